"""Which encoding a file has: by its byte-order mark, as UTF-8, or as the one encoding in which it reads like a language."""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from .errors import DataError

# of a file, read at once
CHUNK = 1 << 20
# bytes of lines with more than ASCII that a guess goes by
EVIDENCE = 1 << 16
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# the most frequent letters of a script, which a wrong encoding does not hit
HANGUL = "이다는의가에고하을도나지로은사리기어한그시아해자있스인과정대를서전여수보게라들영무면너오화마요것같음만네으진"
HANZI = "的一是不了人我在有他这中大来上个国和也子时道说为就好看很没要到得对会生出那你地着下可以后还过天都心她家小起多然没电影非常这部"
TRADITIONAL = "的一是不了人我在有他這中大來上個國和也子時道說為就好看很沒要到得對會生出那你地著下可以後還過天都心她家小起多然電影非常部"
CYRILLIC, GREEK = "оеаинтсрвлкмдпуяыьі", "αοιετσνηυρκπμλςάέίόήύώ"
HEBREW, ARABIC, THAI = "יוהלאתמרבשנ", "اليمونرتبةعدسفهكح", "านรอกเงคมยลวดทตสะ่้ีิั็"
# letters of west and central European languages, with the logarithm of how often they are met
WESTERN = {
    **dict.fromkeys("éäöüßñóáíçãèàêåøæ", -1.0),
    **dict.fromkeys("úôâîëïûùõòì", -2.0),
    **dict.fromkeys("ÉÄÖÜÑÓÁÍÇÃÈÀÊÅØÆÚÔÂÎËÏÛÙÕÒÌœŒðþýÿÐÞÝ", -3.0),
}
CENTRAL = {
    **dict.fromkeys("ąęłóżśćńźáéíěščřžýůúőűöü", -1.0),
    **dict.fromkeys("ďťňľăşţâîäôŁŻŚŹČŠŽŘ", -2.0),
    **dict.fromkeys("ĄĘÓĆŃÁÉÍĚÝŮÚŐŰÖÜĎŤŇĽĂŞŢÂÎÄÔŔŕĹĺđĐçÇßë", -3.5),
}
SIGNS = {**dict.fromkeys("«»“”„‘’–—…€£°\u00a0¡¿", -0.5), **dict.fromkeys("§·´®©½¼¾²³ªº×•\u00ad", -3.0)}
# a sign stands between letters in no language, but for an apostrophe and its like
MISPLACED = re.compile(r"(?<=[^\W\d_])[^\w\s!-~’‘´·–—\u00ad\u00a0](?=[^\W\d_])")
DOUBTFUL = (re.compile(r"ã(?=[^oes\W\d])"), re.compile(r"õ(?!e)"))
TYPOGRAPHY = "“”‘’–—…€"
# letters beyond ASCII that are no accident
FEWEST = 4
# where letters tell nothing, Western encodings are met more often
WEST, CENTER = 4.0, 3.5
LONG_RUN = re.compile(r"[^\x00-\x7f]{5}")
WORD = re.compile(r"[^\W\d_]*[^\W\d_\x00-\x7f][^\W\d_]*")


@dataclass(frozen=True)
class Candidate:
    """An encoding, and how well a decoded text reads as what is written in it: at least 0 if it does, more if better.

    Attributes:
        codec (`str`): As Python calls it.
        name (`str`): As `iconv` calls it.
        score (`Callable`): Says so of the decoded text.
    """

    codec: str
    name: str
    score: Callable[[str], float]


def _common(letters: str, least: float) -> Callable[[str], float]:
    """Score by the share of frequent letters among those beyond ASCII."""
    known = set(letters)

    def score(text: str) -> float:
        beyond = [char for char in text if char > "\x7f" and char.isalpha()]
        return sum(char in known for char in beyond) / len(beyond) - least if len(beyond) >= FEWEST and not _is_mixed(text) else -1.0

    return score


def _is_mixed(text: str) -> bool:
    """Return whether words with letters beyond ASCII have as many of ASCII, as in Latin scripts."""
    words = "".join(WORD.findall(text))
    return sum(char > "\x7f" for char in words) <= 0.6 * len(words)


def _korean(text: str) -> float:
    beyond = [char for char in text if char > "\x7f" and char.isalpha()]
    syllables = [char for char in beyond if "가" <= char <= "힣" and _has(char, "euc_kr")]
    return _common(HANGUL, 0.15)("".join(beyond)) if len(syllables) >= 0.85 * len(beyond) else -1.0


def _japanese(text: str) -> float:
    beyond = [char for char in text if char > "\x7f" and char.isalpha()]
    return sum("ぁ" <= char <= "ヿ" for char in beyond) / len(beyond) - 0.25 if beyond else -1.0


def _has(char: str, codec: str) -> bool:
    try:
        return len(char.encode(codec)) == 2
    except UnicodeEncodeError:
        return False


def _latin(letters: dict[str, float], base: float) -> Callable[[str], float]:
    """Score by how often the letters are met; signs have to stand where signs do."""
    known = {**SIGNS, **letters}

    def score(text: str) -> float:
        beyond = [char for char in text if char > "\x7f"]
        is_other = any(char.isalpha() for char in beyond) and not _is_mixed(text)
        is_other |= not any(char in letters or char in TYPOGRAPHY for char in beyond)
        if is_other or any(char not in known for char in beyond) or MISPLACED.search(text) or LONG_RUN.search(text):
            return -1.0
        # Romanian and Hungarian letters read as Portuguese ones
        doubt = base == WEST and any(pattern.search(text) for pattern in DOUBTFUL)
        return base - doubt + sum(known[char] for char in beyond) / len(beyond)

    return score


CANDIDATES = (
    Candidate("cp949", "CP949", _korean),
    Candidate("cp932", "CP932", _japanese),
    Candidate("euc_jp", "EUC-JP", _japanese),
    Candidate("gb18030", "GB18030", _common(HANZI, 0.12)),
    Candidate("cp950", "BIG5", _common(TRADITIONAL, 0.12)),
    Candidate("cp1251", "CP1251", _common(CYRILLIC, 0.5)),
    Candidate("koi8_r", "KOI8-R", _common(CYRILLIC, 0.5)),
    Candidate("cp866", "CP866", _common(CYRILLIC, 0.5)),
    Candidate("cp1253", "CP1253", _common(GREEK, 0.5)),
    Candidate("cp1255", "CP1255", _common(HEBREW, 0.5)),
    Candidate("cp1256", "CP1256", _common(ARABIC, 0.5)),
    Candidate("cp874", "CP874", _common(THAI, 0.5)),
    Candidate("cp1252", "CP1252", _latin(WESTERN, WEST)),
    Candidate("cp1250", "CP1250", _latin(CENTRAL, CENTER)),
    Candidate("iso8859_2", "ISO-8859-2", _latin(CENTRAL, CENTER)),
    Candidate("mac_roman", "MACINTOSH", _latin(WESTERN, WEST)),
    Candidate("cp850", "CP850", _latin(WESTERN, WEST)),
)
TWO_BYTES = ("cp949", "cp932", "euc_jp", "gb18030", "cp950")
# by how much one has to read better than the next
MARGIN = 0.15


def find_encoding(path: str, opener: Callable[[str, str], BinaryIO]) -> str:
    """Return the encoding of a file, as Python calls it.

    Args:
        path (`str`): Its path.
        opener (`Callable`): Opens it for bytes, by path and mode.

    Raises:
        DataError: It is none that can be told from its bytes; names the first that are not UTF-8, and a remedy.
    """
    with opener(path, "rb") as file:
        start = file.read(CHUNK)
        codec = next((codec for mark, codec in MARKS if start.startswith(mark)), None) or _wide(start)
        if codec is not None:
            return codec
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            while start:
                decoder.decode(start)
                start = file.read(CHUNK)
            decoder.decode(b"", final=True)
            return "utf-8"
        except UnicodeDecodeError:
            pass
    with opener(path, "rb") as file:
        return _guess(path, file.read())


def first_bad(path: str, opener: Callable[[str, str], BinaryIO], codec: str) -> int | None:
    """Return the first line, counted from 1, with bytes that are not of an encoding, or None if there are none."""
    decoder = codecs.getincrementaldecoder(codec)()
    number = 1
    with opener(path, "rb") as file:
        while chunk := file.read(CHUNK):
            try:
                number += decoder.decode(chunk).count("\n")
            except UnicodeDecodeError as error:
                return number + error.object[: error.start].decode(codec, errors="replace").count("\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return number
    return None


def _wide(start: bytes) -> str | None:
    """Return UTF-16 without a mark, whose every other byte is zero where it holds ASCII."""
    even, odd = start[0:4096:2], start[1:4096:2]
    if len(odd) >= 4 and max(even.count(0), odd.count(0)) > 0.6 * len(odd):
        if even.count(0) < 0.05 * len(even):
            return "utf-16-le"
        if odd.count(0) < 0.05 * len(odd):
            return "utf-16-be"
    return None


def _guess(path: str, content: bytes) -> str:
    lines = [line for line in re.split(rb"[\r\n]+", content) if not line.isascii()]
    bad = [line for line in lines if not _decodes(line, "utf-8")]
    evidence = b"\n".join(lines)[:EVIDENCE].rsplit(b"\n", 1)[0] if sum(map(len, lines)) > EVIDENCE else b"\n".join(lines)
    scored = [] if 2 * len(bad) <= len(lines) else rank(evidence)
    best = scored[0] if scored else None
    if best and all(best[0] - MARGIN > score or text == best[2] for score, _, text in scored[1:]):
        return best[1].codec
    raise DataError(_explain(path, content, [candidate.name for _, candidate, _ in scored], len(lines) - len(bad)))


def rank(evidence: bytes) -> list[tuple[float, Candidate, str]]:
    """Return what bytes may be encoded in, the best first: how well it reads, the encoding, and the text."""
    found = []
    for candidate in CANDIDATES:
        if _decodes(evidence, candidate.codec):
            text = evidence.decode(candidate.codec)
            if not any(char.isprintable() is False and char not in "\t\r\n\u00a0\u00ad\u3000" for char in text):
                found.append((candidate.score(text), candidate, text))
    found = sorted((each for each in found if each[0] >= 0), key=lambda each: -each[0])
    # letters of two bytes do not happen by chance, those of one do
    return [each for each in found if each[1].codec in TWO_BYTES] or found


def _decodes(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _explain(path: str, content: bytes, names: list[str], whole: int) -> str:
    """Say where a file is not UTF-8, what it may be, and how to read it.

    Args:
        path (`str`): The file.
        content (`bytes`): What it holds.
        names (`list`): Encodings that it may have.
        whole (`int`): Lines with more than ASCII that are UTF-8.
    """
    may_be = f", and may be {' or '.join(names[:3])}" if names else ""
    remedy = f"Convert the file, for example with `iconv -f {names[0] if names else 'CP949'} -t UTF-8`, or pass --encoding."
    if whole:
        may_be = f", as {whole} other lines with letters beyond ASCII are"
        remedy = "Convert the part of another encoding, or pass --encoding utf-8 to read what is not as U+FFFD."
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as found:
            return f"{path}, line {number}: byte {line[found.start]:#04x} at position {found.start} is not UTF-8{may_be}. {remedy}"
    return f"{path}: not UTF-8{may_be}. {remedy}"
