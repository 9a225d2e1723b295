"""Whatever writes rows, they are read as they were: hypothesis looks for those that are not."""

import bz2
import csv
import gzip
import io
import json
import lzma

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.data.rows.annotated import annotated_texts
from hf_rnn.data.rows.schemes import find_scheme
from hf_rnn.data.rows.splits import load_splits

LABELS = ["good", "bad", "so-so"]


def delimited(delimiter, quoting=csv.QUOTE_MINIMAL, end="\r\n", encoding="utf-8", **more):
    """Return a writer of tables."""

    def write(path, rows):
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end, **more)
        writer.writerows([["text", "label"], *rows])
        path.write_bytes(text.getvalue().encode(encoding))

    return write


def json_lines(make):
    """Return a writer of a JSON object a line."""
    return lambda path, rows: path.write_text("\n".join(json.dumps(make(*row)) for row in rows))


def studio(text, label):
    """Return a task of Label Studio."""
    chosen = {"type": "choices", "from_name": "x", "to_name": "text", "value": {"choices": [label]}}
    return {"id": 1, "data": {"text": text}, "annotations": [{"was_cancelled": False, "result": [chosen]}]}


def as_parquet(path, rows):
    """Write class numbers, with their names in the metadata."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=LABELS)})
    columns = {"text": [text for text, _ in rows], "label": [LABELS.index(label) for _, label in rows]}
    Dataset.from_dict(columns, features=features).to_parquet(path)


CLASS_WRITERS = {
    "comma.csv": delimited(","),
    # a writer quotes no end of a line but its own
    "mac.csv": delimited(",", csv.QUOTE_ALL, end="\r"),
    "semicolon.csv": delimited(";", csv.QUOTE_ALL, end="\n"),
    "tabs.csv": delimited("\t"),
    "pipe.csv": delimited("|", csv.QUOTE_ALL),
    "escaped.csv": delimited(",", csv.QUOTE_ALL, doublequote=False, escapechar="\\"),
    "quoted.tsv": delimited("\t", csv.QUOTE_ALL),
    "minimal.tsv": delimited("\t"),
    "utf16.csv": delimited(",", encoding="utf-16"),
    "mark.csv": delimited(";", encoding="utf-8-sig"),
    "packed.csv.gz": lambda path, rows: (delimited(",")(path, rows), path.write_bytes(gzip.compress(path.read_bytes()))),
    "packed.csv.bz2": lambda path, rows: (delimited(";")(path, rows), path.write_bytes(bz2.compress(path.read_bytes()))),
    "packed.tsv.xz": lambda path, rows: (delimited("\t")(path, rows), path.write_bytes(lzma.compress(path.read_bytes()))),
    "lines.jsonl": json_lines(lambda text, label: {"text": text, "label": label}),
    "lines.json": json_lines(lambda text, label: {"text": text, "label": label}),
    "list.jsonl": lambda path, rows: path.write_text(json.dumps([{"text": text, "label": label} for text, label in rows], indent=1)),
    "split.json": lambda path, rows: path.write_text(json.dumps({"columns": ["text", "label"], "data": rows})),
    "doccano.jsonl": json_lines(lambda text, label: {"id": 1, "data": text, "label": [label]}),
    "prodigy.jsonl": json_lines(lambda text, label: {"text": text, "options": [], "accept": [label], "answer": "accept"}),
    "spacy.jsonl": json_lines(lambda text, label: [text, {"cats": {each: float(each == label) for each in LABELS}}]),
    "studio.json": lambda path, rows: path.write_text(json.dumps([studio(*row) for row in rows])),
    "named.parquet": as_parquet,
    "fasttext.txt": lambda path, rows: path.write_text("".join(f"__label__{label} {text}\n" for text, label in rows), encoding="utf-8"),
}
# what a file of lines cannot hold
PLAIN = {"fasttext.txt"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12) | st.text(
    alphabet="ab ,;|\"'\\\t#\n", min_size=1, max_size=12
)
CLASS_ROWS = st.lists(st.tuples(TEXTS, st.sampled_from(LABELS)), min_size=1, max_size=8)


def check_classes(folder, name, rows):
    """The same texts with the same classes."""
    if name in PLAIN:
        rows = [(" ".join(text.split()) or "x", label) for text, label in rows]
        rows = [(text.lstrip(", ") or "x", label) for text, label in rows]
    if name == "escaped.csv":
        # two backslashes without a quote behind them are two in any other table
        rows = [(text.replace("\\", "/"), label) for text, label in rows]
    CLASS_WRITERS[name](folder / name, rows)
    read = list(read_rows(str(folder / name)))
    texts = [row.get("text", row.get("data")) for row in read]
    labels = [row["label"][0] if isinstance(row["label"], list) else row["label"] for row in read]
    labels = [LABELS[label] if isinstance(label, int) else label for label in labels]
    assert list(zip(texts, labels, strict=True)) == rows, (name, rows)


def conll(separator, end="\n", comment=""):
    """Return a writer of a token a line."""

    def write(path, rows):
        lines = (comment + "".join(f"{token}{separator}{tag}{end}" for token, tag in row) for row in rows)
        path.write_bytes(end.join(lines).encode())

    return write


def numbered(path, rows):
    """Write a table with a token a row, whose sentences the first row of each numbers."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["Sentence #", "Word", "Tag"])
    for number, row in enumerate(rows):
        writer.writerows((f"Sentence: {number}" if index == 0 else "", *pair) for index, pair in enumerate(row))
    path.write_bytes(text.getvalue().encode())


def brackets(path, rows):
    """Write CoNLL-2012."""
    blocks = []
    for row in rows:
        lines = []
        for index, (token, tag) in enumerate(row):
            ends = index + 1 == len(row) or row[index + 1][1][0] != "I"
            cell = f"({tag[2:]}{')' if ends else '*'}" if tag[0] == "B" else "*)" if tag[0] == "I" and ends else "*"
            lines.append(f"d 0 {index} {token} NN * - - - s {cell} -\n")
        blocks.append("".join(lines))
    path.write_bytes(("#begin document (d); part 0\n" + "\n".join(blocks) + "\n#end document\n").encode())


def suffixed(path, rows):
    """Write the letter behind the type."""
    conll("\t")(path, [[(token, "-".join(reversed(tag.split("-")))) for token, tag in row] for row in rows])


TAG_WRITERS = {
    "blanks.conll": conll(" "),
    "tabs.iob": conll("\t", comment="# id = 1\n"),
    "windows.bio": conll("\t", "\r\n"),
    "copied.conll": conll(" ", "\r\r\n"),
    "suffix.conll": suffixed,
    "lines.txt": conll(" "),
    "table.tsv": conll("\t"),
    "numbered.csv": numbered,
    "brackets.conll": brackets,
    "rows.jsonl": lambda path, rows: path.write_text(
        "\n".join(json.dumps({"tokens": [each[0] for each in row], "tags": [each[1] for each in row]}) for row in rows)
    ),
}
TOKENS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=5) | st.sampled_from(["#", "10\u00a0000", "##", '"'])


def gliner(path, rows):
    """Write tokens with the first and the last token of each span."""
    made = [{"tokenized_text": [each[0] for each in row], "ner": [[a, b - 1, kind] for a, b, kind in spans_of(row)]} for row in rows]
    path.write_text("\n".join(map(json.dumps, made)))


def spans_of(row):
    """Return the first token, the one after the last, and the type of each span of a sentence."""
    starts = [index for index, (_, tag) in enumerate(row) if tag[0] == "B"]
    return [(a, next((i for i in range(a + 1, len(row)) if row[i][1][0] != "I"), len(row)), row[a][1][2:]) for a in starts]


TAG_WRITERS["gliner.jsonl"] = gliner


@st.composite
def tagged_rows(draw):
    """Return sentences of tokens with BIO tags, of which at least one begins an entity."""
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        row, before = [], "O"
        for token in draw(st.lists(TOKENS, min_size=1, max_size=6)):
            tags = ["O", "B-PER", "B-LOC", *([f"I-{before[2:]}"] if before != "O" else [])]
            before = draw(st.sampled_from(tags))
            row.append((token, before))
        rows.append(row)
    rows.append([("Mina", "B-PER"), ("sees", "O")])
    return rows


def check_tags(folder, name, rows):
    """The same tokens with the same tags."""
    TAG_WRITERS[name](folder / name, rows)
    read = list(read_rows(str(folder / name)))
    tokens = [row.get("tokens", row.get("column_0")) for row in read]
    tags = [row.get("ner_tags", row.get("tags", row.get("column_1"))) for row in read]
    scheme = find_scheme(tags)
    tags = [scheme.rewrite(each) for each in tags]
    assert [list(zip(*pair, strict=True)) for pair in zip(tokens, tags, strict=True)] == rows, (name, rows)


QUICK = settings(max_examples=200, deadline=None)
LONG = settings(max_examples=2000, deadline=None)


@QUICK
@given(st.sampled_from(sorted(CLASS_WRITERS)), CLASS_ROWS)
@example("minimal.tsv", [('"a" b', "bad"), ("c\t", "good")])
@example("tabs.csv", [('"', "bad"), ('""', "good")])
def test_classes_come_back(tmp_path_factory, name, rows):
    """Tables, encodings, exports of tools."""
    check_classes(tmp_path_factory.getbasetemp(), name, rows)


@pytest.mark.slow
@LONG
@given(st.sampled_from(sorted(CLASS_WRITERS)), CLASS_ROWS)
def test_classes_come_back_at_length(tmp_path_factory, name, rows):
    """The same, two thousand times."""
    check_classes(tmp_path_factory.getbasetemp(), name, rows)


@QUICK
@given(st.sampled_from(sorted(TAG_WRITERS)), tagged_rows())
def test_tags_come_back(tmp_path_factory, name, rows):
    """Kinds of CoNLL, and tables with a token a row."""
    check_tags(tmp_path_factory.getbasetemp(), name, rows)


@pytest.mark.slow
@LONG
@given(st.sampled_from(sorted(TAG_WRITERS)), tagged_rows())
def test_tags_come_back_at_length(tmp_path_factory, name, rows):
    """The same, two thousand times."""
    check_tags(tmp_path_factory.getbasetemp(), name, rows)


SPAN_WRITERS = {
    "doccano.jsonl": lambda text, spans: {"id": 1, "text": text, "label": [list(span) for span in spans]},
    "studio.json": lambda text, spans: {
        "data": {"text": text},
        "annotations": [{"result": [{"value": {"start": a, "end": b, "text": text[a:b], "labels": [kind]}} for a, b, kind in spans]}],
    },
    "prodigy.jsonl": lambda text, spans: {
        "text": text,
        "spans": [{"start": a, "end": b, "label": kind} for a, b, kind in spans],
        "answer": "accept",
    },
    "spacy.json": lambda text, spans: [text, {"entities": [list(span) for span in spans]}],
}


@st.composite
def spans_of_text(draw):
    """Return a text of words and some of them as spans."""
    words = draw(st.lists(st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=4), min_size=1, max_size=8))
    text, places = "", []
    for word in words:
        places.append((len(text), len(text) + len(word)))
        text += word + draw(st.sampled_from([" ", "  ", "\n", "\r\n"]))
    return text, [(a, b, draw(st.sampled_from(["PER", "LOC"]))) for a, b in places if draw(st.booleans())]


@settings(max_examples=10, deadline=None)
@given(st.lists(spans_of_text(), min_size=20, max_size=20))
def test_spans_come_back(tmp_path_factory, texts):
    """Two hundred texts through the shapes of four tools: offsets are exact."""
    for name, make in SPAN_WRITERS.items():
        path = tmp_path_factory.getbasetemp() / name
        made = [make(*each) for each in texts]
        path.write_text("\n".join(map(json.dumps, made)) if name.endswith("l") else json.dumps(made))
        read = load_splits(files={"train": str(path)})["train"]
        if any(spans for _, spans in texts):
            assert list(zip(*annotated_texts(read, "train")[:2], strict=True)) == texts


def test_names_of_classes_come_along(tmp_path):
    """Names in the metadata of parquet and arrow, and in folders of `datasets`, alone and as splits."""
    as_parquet(tmp_path / "a.parquet", [("a", "bad"), ("b", "good")])
    rows = load_splits(files={"train": str(tmp_path / "a.parquet")})["train"]
    rows.save_to_disk(tmp_path / "saved")
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    for path in (tmp_path / "a.parquet", arrow, tmp_path / "saved"):
        for streaming in (False, True):
            read = load_splits(files={"train": str(path)}, streaming=streaming)["train"]
            assert read.features["label"].names == LABELS
            assert [row["label"] for row in read] == [1, 0]
        assert [row["text"] for row in read_rows(str(path))] == ["a", "b"]
    named = load_splits(str(tmp_path / "saved"))
    assert list(named) == ["train"] and named["train"].features["label"].names == LABELS
    named.save_to_disk(tmp_path / "splits")
    assert load_splits(str(tmp_path / "splits"))["train"][:] == rows[:]
    assert load_splits(files={"train": str(tmp_path / "splits")})["train"][:] == rows[:]
    with pytest.raises(DataError, match=r"has the splits \['train'\], and no 'test'"):
        load_splits(files={"test": str(tmp_path / "splits")})
