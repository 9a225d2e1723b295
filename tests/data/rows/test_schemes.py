"""Tags of any scheme are read as BIO or BIOES, and describe the spans that seqeval finds."""

import random

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, List, Value
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, IOE2, Entities

from hf_rnn.data.rows import tag_columns
from hf_rnn.data.rows.schemes import Scheme, find_scheme
from hf_rnn.data.rows.tag_columns import read_lists, read_tags

# how each scheme writes a span of one token, and of more; beside a neighbour of its type IOB1 and IOE1 mark the border
WRITTEN = {
    "IOB1": (IOB1, lambda n: ["I"] * n),
    "IOB2": (IOB2, lambda n: ["B", *["I"] * (n - 1)]),
    "IOE1": (None, lambda n: ["I"] * n),
    "IOE2": (IOE2, lambda n: [*["I"] * (n - 1), "E"]),
    "IOBES": (IOBES, lambda n: ["S"] if n == 1 else ["B", *["I"] * (n - 2), "E"]),
    "BILOU": (BILOU, lambda n: ["U"] if n == 1 else ["B", *["I"] * (n - 2), "L"]),
    "BMEWO": (None, lambda n: ["W"] if n == 1 else ["B", *["M"] * (n - 2), "E"]),
}


def draw_spans(seed):
    """Return twenty sentences of spans (start, end, kind), of length 12."""
    draw, sentences = random.Random(seed), []
    for _ in range(20):
        spans, place = [], 0
        while place < 10:
            place += draw.choice((0, 1, 2))
            end = place + draw.choice((1, 1, 2, 3))
            if end <= 12:
                spans.append((place, end, draw.choice(("PER", "LOC-x"))))
            place = end
        sentences.append(spans)
    return sentences


def write_tags(spans, name):
    """Return the tags of a sentence in a scheme."""
    letters = [("O", "")] * 12
    for index, (start, end, kind) in enumerate(spans):
        written = WRITTEN[name][1](end - start)
        if name == "IOB1" and index and spans[index - 1][1:] == (start, kind):
            written[0] = "B"
        if name == "IOE1" and index + 1 < len(spans) and spans[index + 1][0] == end and spans[index + 1][2] == kind:
            written[-1] = "E"
        letters[start:end] = [(letter, kind) for letter in written]
    return letters


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("form", ["{0}-{1}", "{1}-{0}", "{0}_{1}", "{1}_{0}", "lower"])
def test_schemes(name, form):
    """What is written comes back from every scheme, letter before or behind, in any case; seqeval finds the same spans."""
    spans = draw_spans(0)
    parts = [write_tags(each, name) for each in spans]
    text = "{0}-{1}" if form == "lower" else form
    tags = [["O" if letter == "O" else text.format(letter, kind) for letter, kind in sentence] for sentence in parts]
    if form == "lower":
        tags = [["o" if tag == "O" else tag[0].lower() + tag[1:] for tag in sentence] for sentence in tags]
    elif text == "{0}-{1}" and WRITTEN[name][0] is not None:
        found = Entities(tags, WRITTEN[name][0]).entities
        assert [[(each.start, each.end, each.tag) for each in sentence] for sentence in found] == spans
    scheme = find_scheme(tags)
    assert [scheme.spans(sentence) for sentence in tags] == spans
    usual = [scheme.rewrite(sentence) for sentence in tags]
    assert find_scheme(usual).name in ("BIO", "BIOES")
    assert [[(start, end + 1, kind) for kind, start, end in get_entities(sentence)] for sentence in usual] == spans


@pytest.mark.parametrize(
    "tags", [["NN", "VB"], ["e-mail", "O"], ["u-turn", "l-shape"], ["B", "I", "O"], ["O", "O"], ["PERSON", "O"], ["0", "1"], ["B-X", "Q-X"]]
)
def test_other_tags_are_of_no_scheme(tags):
    """Parts of speech, words with hyphens, letters without a type, numbers."""
    assert find_scheme([tags]) is None


def test_what_breaks_a_scheme_is_still_there():
    """An I that follows nothing is not mended where others begin with B: it is for the reader to see."""
    assert find_scheme([["B-X", "O", "I-X"]]) == Scheme("BIO")
    assert find_scheme([["b-X", "O", "i-X"]]).rewrite(["b-X", "O", "i-X"]) == ["B-X", "O", "I-X"]


def test_splits_are_read_together(monkeypatch):
    """All splits tell the scheme; usual tags stay as they are, class names of a data set too; what is no scheme is said."""
    told = []
    monkeypatch.setattr(tag_columns.logger, "warning", told.append)
    splits = DatasetDict(train=Dataset.from_dict({"tags": [["B-X", "L-X", "O"]]}), test=Dataset.from_dict({"tags": [["U-X"]]}))
    assert read_tags(splits, "tags")["test"]["tags"][:] == [["S-X"]]
    assert "BILOU" in told.pop()
    features = Features({"tags": List(ClassLabel(names=["O", "X-B", "X-I"])), "id": Value("int64")})
    named = DatasetDict(train=Dataset.from_dict({"tags": [[1, 2, 0]], "id": [7]}, features=features))
    assert read_tags(named, "tags")["train"][0] == {"tags": ["B-X", "I-X", "O"], "id": 7}
    told.clear()
    usual = DatasetDict(train=Dataset.from_dict({"tags": [["B-X", "I-X", "O"], None]}))
    assert read_tags(usual, "tags") is usual and not told
    odd = [[f"B-{kind}", f"I-{kind}"] for kind in "abcdef"] + [["PERSON", "O"]]
    read_tags(DatasetDict(train=Dataset.from_dict({"tags": odd})), "tags")
    assert "['PERSON'] are of no scheme" in told.pop()


def test_lists_in_cells_of_tables():
    """A table may spell lists of tokens and tags; a text that is none stays."""
    table = {"tokens": ["['a', \"b's\"]", '["c"]'], "tags": ["['B-X' 'O']", "[O]"], "text": ["[a]", "b"]}
    splits = DatasetDict(train=Dataset.from_dict(table))
    for column in table:
        splits = read_lists(splits, column)
    assert splits["train"]["tokens"][:] == [["a", "b's"], ["c"]]
    assert splits["train"]["tags"][:] == [["B-X", "O"], ["O"]]
    assert splits["train"]["text"][:] == table["text"]


def test_streams():
    """Tags that are read as they are needed are of the same form."""
    stream = IterableDataset.from_generator(lambda: iter([{"tags": ["X-B", "X-I", "O"]}, {"tags": ["Y-B"]}]))
    read = read_tags(IterableDatasetDict(train=stream), "tags")
    assert [row["tags"] for row in read["train"]] == [["B-X", "I-X", "O"], ["B-Y"]]
