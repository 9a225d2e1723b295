"""Files are read in the encoding that they have, and refused where it cannot be told."""

import pytest

from hf_rnn.data.files import opening
from hf_rnn.data.files.readers import DataError, read_rows

TEXTS = {
    "cp949": ["이 영화 정말 재미있어요", "배우들의 연기가 좋았다", "돈이 아깝다"],
    "shift_jis": ["この映画はとても面白かったです", "俳優の演技がひどい"],
    "euc_jp": ["この映画はとても面白かったです", "俳優の演技がひどい"],
    "gb18030": ["这部电影非常好看", "演员的表演很糟糕"],
    "big5": ["這部電影非常好看", "演員的表演很糟糕"],
    "latin-1": ["le café était très mauvais", "une soirée agréable à Genève"],
    "cp1252": ["He said “good”", "it’s fine – really"],
    "mac_roman": ["le café était très mauvais", "une soirée agréable à Genève"],
    "cp1250": ["bardzo dobry żurek i pierogi, świetnie", "źle, brzydkie łóżko"],
    "iso8859_2": ["bardzo dobry żurek i pierogi, świetnie", "źle, brzydkie łóżko"],
    "cp1251": ["очень хороший фильм", "плохая игра актеров"],
    "koi8_r": ["очень хороший фильм", "плохая игра актеров"],
    "utf-16": ["le café", "😀"],
    "utf-16-le": ["le café au lait", "a good day"],
    "utf-16-be": ["le café au lait", "a good day"],
    "utf-32": ["le café"],
    "utf-8-sig": ["le café"],
}


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("times", [1, 20])
def test_encodings_are_found(tmp_path, monkeypatch, encoding, times):
    """A few rows tell, and what is not UTF-8 is said; a spoilt byte in UTF-8 is no other encoding."""
    told = []
    monkeypatch.setattr(opening.logger, "warning_once", told.append)
    texts = TEXTS[encoding] * times
    content = "\r\n".join(["text,label", *(f'"{text}",good' for text in texts)])
    (tmp_path / "a.csv").write_bytes(content.encode(encoding))
    assert [row["text"] for row in read_rows(str(tmp_path / "a.csv"))] == texts
    assert bool(told) == (not encoding.startswith("utf-8"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "ok\nécole\ncafé\n".encode() + b"caf\xe9\n",
            "line 4: byte 0xe9 at position 3 is not UTF-8, as 2 other lines .* are. .*pass --encoding utf-8",
        ),
        (b"ok\n\xb0\xa1\n", "line 2: byte 0xb0 at position 0 is not UTF-8. Convert the file, for example with `iconv"),
        ("סרט טוב מאוד\nמשחק גרוע\n".encode("cp1255"), "may be .*CP1255.*iconv"),
        (bytes(range(128, 256)), "is not UTF-8. Convert"),
        ("a cup".encode("utf-16")[:-1], "not the utf-16 that it begins as"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path, content, message):
    """The line and the byte are named, what it may be, and how to convert the file."""
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(str(tmp_path / "a.txt")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04...", "Excel or zip file. Name an Excel file .xlsx"),
        (b"PAR1...", "Name it .parquet"),
        (b"BZh9", "not a whole bz2 file"),
    ],
)
def test_binary_files_under_a_wrong_name(tmp_path, content, message):
    """They are named for what they are."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(str(tmp_path / "a.csv")))
