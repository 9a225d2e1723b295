"""A token a line, in the kinds of CoNLL that there are, under whatever ending."""

import pytest

from hf_rnn.data.files.conll import unbracket
from hf_rnn.data.files.readers import DataError, read_rows


def read(tmp_path, name, content):
    """Write text and return the columns of its sentences."""
    (tmp_path / name).write_bytes(content.encode("utf-8"))
    return [list(row.values()) for row in read_rows(str(tmp_path / name))]


PETRA = [[["Petra", "flew"], ["B-PER", "O"]], [["Mina"], ["B-PER"]]]


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.tsv", "a.iob", "a.bio", "a.txt.gz"])
@pytest.mark.parametrize(
    "content",
    [
        "Petra B-PER\nflew O\n\nMina B-PER\n",
        "Petra\tB-PER\nflew\tO\n\nMina\tB-PER\n",
        "Petra\t\tB-PER\nflew\tO\t\n\n\nMina  \tB-PER",
        "Petra B-PER\r\r\nflew O\r\r\n\r\r\nMina B-PER\r\r\n",
        "-DOCSTART- O\n\n# sent_id = 1\nPetra B-PER\nflew O\n \n# id 2\nMina B-PER\n",
        "\ufeffPetra B-PER\rflew O\r\rMina B-PER\r",
    ],
)
def test_columns(tmp_path, name, content):
    """Tabs, blanks, ends of lines, comments and marks of documents."""
    if name.endswith(".gz"):
        gzip = pytest.importorskip("gzip")
        (tmp_path / name).write_bytes(gzip.compress(content.encode()))
        assert [list(row.values()) for row in read_rows(str(tmp_path / name))] == PETRA
    elif (name, "\t\t") != ("a.tsv", content[5:7]):
        assert read(tmp_path, name, content) == PETRA


def test_what_begins_with_a_hash(tmp_path):
    """A line is a comment only where it has no tag column like its neighbours."""
    assert read(tmp_path, "a.conll", "# O\n0 O\n# B-TAG\nBusan I-TAG\n#win O\n") == [
        [["#", "0", "#", "Busan", "#win"], ["O", "O", "B-TAG", "I-TAG", "O"]]
    ]
    assert read(tmp_path, "b.conll", "# sent 1\npaid VBD B-VP\n# # B-NP\n2.5 CD I-NP\n") == [
        [["paid", "#", "2.5"], ["VBD", "#", "CD"], ["B-VP", "B-NP", "I-NP"]]
    ]
    assert read(tmp_path, "c.conll", "# text = O\nPetra NN _ B-PER\n") == [[["Petra"], ["NN"], ["_"], ["B-PER"]]]


def test_blanks_and_tabs_alone_part_columns(tmp_path):
    """A no-break space, a line separator or an ideographic space is a character of a token."""
    tokens = ["10\u00a0000", "a\u2028b", "c\u3000d", "e\x0bf"]
    assert read(tmp_path, "a.conll", "".join(f"{token} B-NUM\n" for token in tokens)) == [[tokens, ["B-NUM"] * 4]]
    assert read(tmp_path, "b.conll", "New York\tB-LOC\nin\tO\n") == [[["New York", "in"], ["B-LOC", "O"]]]


CONLL_2012 = """#begin document (bc/cctv); part 000
bc/cctv 0 0 Mina NNP (TOP(S* - - - Speaker#1 (PERSON* (ARG0* -
bc/cctv 0 1 Park NNP * - - - Speaker#1 *) *) (1)
bc/cctv 0 2 flew VBD * fly 01 1 Speaker#1 * (V*) -

bc/cctv 0 0 Hi UH (TOP*) - - - Speaker#1 * -
#end document
"""


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a.v4_gold_conll"])
def test_conll_2012(tmp_path, name):
    """Entities in brackets are BIO; sentences have as many columns as they have verbs."""
    if name.endswith("gold_conll"):
        with pytest.raises(DataError, match="the ending must be one of"):
            read(tmp_path, name, CONLL_2012)
        return
    first, second = read(tmp_path, name, CONLL_2012)
    assert first == [["Mina", "Park", "flew"], ["NNP", "NNP", "VBD"], ["B-PERSON", "I-PERSON", "O"]]
    assert second == [["Hi"], ["UH"], ["O"]]
    assert unbracket(["(A)", "(B*", "*", "*)", "*"]) == ["B-A", "B-B", "I-B", "I-B", "O"]


@pytest.mark.parametrize(
    "content",
    [
        "hello world\ngood day\n",
        "The cat sat.\nIt purred.\n",
        "A B\nC D\n",
        "one\n\ntwo words\n\nthree more words\n",
        "YES SIR\nNO SIR\n",
        "I like B-movies\nso do I\n",
    ],
)
def test_texts_are_no_tokens(tmp_path, content):
    """Lines of running text stay texts."""
    (tmp_path / "a.txt").write_text(content)
    assert [row["text"] for row in read_rows(str(tmp_path / "a.txt"))] == content.splitlines()


def test_parts_of_speech_in_a_text_file(tmp_path):
    """Tags without a scheme tell too where they come again in sentences."""
    content = "the DET\ncat NOUN\nsleeps VERB\n. PUNCT\n\nthe DET\ndog NOUN\nbarks VERB\n. PUNCT\n"
    assert read(tmp_path, "a.txt", content)[1] == [["the", "dog", "barks", "."], ["DET", "NOUN", "VERB", "PUNCT"]]


def test_numbers_and_tags_before_tokens(tmp_path):
    """Columns as GermEval, the corpora of restaurants and films, and CoNLL-X have them."""
    numbered = "# http://x [2010]\n1\tPetra\tB-PER\tO\n2\tflew\tO\tO\n\n1\tMina\tB-PER\tO\n"
    assert read(tmp_path, "a.conll", numbered) == [[["Petra", "flew"], ["B-PER", "O"], ["O", "O"]], [["Mina"], ["B-PER"], ["O"]]]
    assert read(tmp_path, "a.bio", "B-PER\tPetra\nO\tflew\n\nB-PER\tMina\n") == PETRA
    treebank = "1\tHe\the\tPRON\tPRP\t_\t2\tnsubj\t_\t_\n2\tran\trun\tVERB\tVBD\t_\t0\troot\t_\t_\n"
    assert read(tmp_path, "b.conll", treebank)[0][1:4] == [["He", "ran"], ["he", "run"], ["PRON", "VERB"]]
    assert read(tmp_path, "d.conll", "token tag\nPetra B-PER\nflew O\n\nMina B-PER\n") == PETRA
    counts = "1 B-NUM\n2 I-NUM\n"
    assert read(tmp_path, "c.conll", counts) == [[["1", "2"], ["B-NUM", "I-NUM"]]]
