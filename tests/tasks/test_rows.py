"""Rows as people have them pose the task that they mean, before anything is trained."""

import csv
import io
import json

import pytest

from hf_rnn.arguments import DataArguments, LabelledTrainingArguments, ModelArguments
from hf_rnn.data.files.errors import DataError
from hf_rnn.data.files.locations import Places
from hf_rnn.tasks.task import TaskOptions
from hf_rnn.training.train import encode_rows, read_rows

CLASSES, TAGS, MULTI = "text-classification", "token-classification", "multi_label_classification"


@pytest.fixture
def pose(tmp_path):
    """Return what writes files, reads them as a training command does, and returns what is known then."""

    def read(task, files, encode=False, **options):
        named = {}
        for name, content in files.items():
            split = name.partition(".")[0]
            path = tmp_path / name
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            named[f"{split}_file"] = str(path)
        data = DataArguments(**named, **options)
        training = LabelledTrainingArguments(
            output_dir=str(tmp_path / "out"), do_train=True, do_eval=True, do_predict="test_file" in named, report_to=[]
        )
        asked = TaskOptions(data, ModelArguments(vocab_size=60), training)
        places = Places({"train": named["train_file"]}, data.reading)
        with places.named():
            rows = read_rows(task, asked, places)
        return (rows, encode_rows(rows, asked)[1]) if encode else rows

    return read


def lines(rows):
    """Return a JSON object a line."""
    return "\n".join(map(json.dumps, rows))


def table(header, rows, delimiter=","):
    """Return a table."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    return text.getvalue()


TEXTS = [("the rude waiter came", "bad"), ("our kind waiter", "good"), ("thé très fort", "good")] * 10
PLACES = [[0, 1, 1], [1, 0, 0], [0, 0, 0]] * 10
NUMBERS = [[0, 2], [1], [0]] * 10


@pytest.mark.parametrize("kind", [int, float, bool])
def test_places(pose, kind):
    """Three outputs, named or not, trained from lists of any type under any name."""
    rows = lines({"text": text, "labels": [kind(each) for each in row]} for (text, _), row in zip(TEXTS, PLACES, strict=True))
    posed, encoded = pose(CLASSES, {"train.jsonl": rows}, encode=True, problem_type=MULTI)
    assert posed.task.labels == ("labels_0", "labels_1", "labels_2")
    assert encoded["train"][0]["labels"] in [[float(each) for each in row] for row in PLACES]
    named = pose(CLASSES, {"train.jsonl": rows}, problem_type=MULTI, label_names=["a", "b", "c"])
    assert named.task.labels == ("a", "b", "c")


@pytest.mark.parametrize("column", ["label", "labels"])
def test_numbers(pose, column):
    """A column that is called as encoded labels are keeps no type."""
    rows = lines({"text": text, column: row} for (text, _), row in zip(TEXTS, NUMBERS, strict=True))
    posed, encoded = pose(CLASSES, {"train.jsonl": rows}, encode=True, problem_type=MULTI)
    assert posed.task.labels == ("0", "1", "2")
    assert {tuple(row) for row in encoded["train"]["labels"]} == {(1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)}


@pytest.mark.parametrize("kind", [int, float, bool, str])
def test_tags_of_any_type(pose, kind):
    """Tags that are numbers are encoded as numbers of tags."""
    rows = lines({"tokens": ["the", "rude", "host"], "labels": [kind(each) for each in (0, 1, 0)]} for _ in range(20))
    posed, encoded = pose(TAGS, {"train.jsonl": rows}, encode=True)
    assert len(posed.task.labels) == 2
    assert {type(each) for row in encoded["train"]["labels"] for each in row} == {int}


def test_columns_of_labels(pose):
    """Columns of yes and no are several labels, without more options."""
    rows = table(["text", "food", "price"], [(text, index % 2, "yes" if index % 3 else "no") for index, (text, _) in enumerate(TEXTS)])
    posed = pose(CLASSES, {"train.csv": rows}, label_columns=["food", "price"])
    assert posed.task.labels == ("food", "price") and posed.task.problem == MULTI


def test_lists_in_cells(pose):
    """Lists are what cells spell; a separator is told, or asked for."""
    cells = ["['food']", "['food', 'price']", "['price']"] * 10
    rows = table(["text", "labels"], [(text, cell) for (text, _), cell in zip(TEXTS, cells, strict=True)])
    assert pose(CLASSES, {"train.csv": rows}, problem_type=MULTI).task.labels == ("food", "price")
    rows = rows.replace("[", "").replace("]", "").replace("'", "")
    assert pose(CLASSES, {"train.csv": rows}, problem_type=MULTI, label_separator=",").task.labels == ("food", "price")
    with pytest.raises(DataError, match="--label_separator ','"):
        pose(CLASSES, {"train.csv": rows}, problem_type=MULTI)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.csv", table(["text", "label"], TEXTS, ";")),
        ("train.csv", table(["text", "label"], TEXTS).encode("utf-16")),
        ("train.csv", table(["text", "label"], TEXTS).encode("latin-1")),
        ("train.csv", table(["text", "label"], [(text, f"{label} ") for text, label in TEXTS])),
        ("train.txt", "".join(f"__label__{label} {text}\n" for text, label in TEXTS)),
        ("train.json", json.dumps([{"data": {"text": t}, "annotations": [{"result": [
            {"type": "choices", "from_name": "x", "value": {"choices": [c]}}]}]} for t, c in TEXTS])),
    ],
)  # fmt: skip
def test_classes(pose, name, content):
    """Separators, encodings, white space, exports."""
    posed = pose(CLASSES, {name: content})
    assert posed.task.labels == ("bad", "good")
    assert {row["text"] for split in posed.splits.values() for row in split} == {text for text, _ in TEXTS}


def test_two_rows(pose):
    """The true number of rows is said."""
    with pytest.raises(DataError, match="of 2 rows leaves a split empty"):
        pose(CLASSES, {"train.csv": table(["text", "label"], TEXTS[:2])}, validation_share=0.2)


def test_missing_labels(pose):
    """All lines are named, or the rows left out and counted."""
    rows = table(["text", "label"], [*TEXTS, ("a", ""), *TEXTS, ("b", "")])
    with pytest.raises(DataError, match=r"train.csv, line 32 \(train row 30\), column 'label', and 1 more rows \(line 63\): "):
        pose(CLASSES, {"train.csv": rows})
    posed = pose(CLASSES, {"train.csv": rows}, missing_labels="drop")
    assert len(posed.splits["train"]) + len(posed.splits["validation"]) == 60


SENTENCE = [("Petra", "B-PER"), ("Park", "L-PER"), ("flew", "O"), ("Lyon", "U-LOC")]


@pytest.mark.parametrize("name", ["train.conll", "train.txt", "train.iob", "train.tsv"])
@pytest.mark.parametrize("write", ["{0}-{1}", "{1}-{0}", "{1}_{0}"])
def test_schemes(pose, name, write):
    """Spans decide whatever the scheme and the ending."""
    tags = [tag if tag == "O" else write.format(*tag.split("-")) for _, tag in SENTENCE]
    block = "".join(f"{token}\t{tag}\n" for (token, _), tag in zip(SENTENCE, tags, strict=True))
    posed = pose(TAGS, {name: "\n".join([block] * 20)})
    assert posed.task.labels == ("O", "B-PER", "E-PER", "S-LOC")
    assert posed.task.metric == ("f1", True)


def test_lists_of_tokens_in_cells(pose):
    """A table may spell lists of tokens and tags."""
    rows = [(str([token for token, _ in SENTENCE]), str([tag for _, tag in SENTENCE]))] * 20
    posed, encoded = pose(TAGS, {"train.csv": table(["tokens", "tags"], rows)}, encode=True)
    assert posed.task.metric == ("f1", True) and len(encoded["train"]) + len(encoded["validation"]) == 20


def test_a_token_a_row(pose):
    """A table with a token a row is sentences."""
    rows = [(f"Sentence: {n}" if index == 0 else "", *pair) for n in range(20) for index, pair in enumerate(SENTENCE)]
    posed = pose(TAGS, {"train.csv": table(["Sentence #", "Word", "Tag"], rows)})
    assert sum(map(len, posed.splits.values())) == 20 and posed.task.metric == ("f1", True)


GOOD = [{"text": "Mina flew to Busan", "label": [[0, 4, "PER"], [13, 18, "LOC"]]}] * 20
FOUND = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        ([{"text": "Mina", "label": None}, *GOOD], {}),
        ([{**row, "predicted": [[5, 9, "WRONG"]]} for row in GOOD], {"label_column_name": "label"}),
        ([{"id": 1, "data": row["text"], "label": row["label"]} for row in GOOD], {"text_column_name": "data"}),
        ([{**row, "label": [*row["label"], [0, 4, "SUBJ"]]} for row in GOOD], {"overlapping_spans": "first"}),
    ],
)
def test_spans(pose, rows, options):
    """Null spans, named columns, overlaps; a test file without any span."""
    files = {"train.jsonl": lines(rows), "test.jsonl": lines([{("data" if "data" in rows[0] else "text"): "Mina", "label": []}] * 5)}
    posed = pose(TAGS, files, **options)
    assert posed.task.labels == FOUND and posed.splits["test"]["labels"][:] == [[]] * 5


RARE = [
    {"tokens": ["Mina", "saw", f"x{n}"], "tags": ["B-PER", "O", "B-R0" if n == 0 else "O"], "intent": "go" if n else "stay"}
    for n in range(20)
]


@pytest.mark.parametrize("seed", range(4))
def test_the_only_row_of_a_label_is_for_training(pose, seed):
    """Tags, intents, several labels and spans."""
    posed = pose(TAGS, {"train.jsonl": lines(RARE)}, validation_share=0.5, split_seed=seed, intent_column_name="intent")
    assert "B-R0" in {tag for row in posed.splits["train"]["tags"] for tag in row} and "stay" in posed.splits["train"]["intent"][:]
    several = [{"text": f"x{n}", "labels": ["a", "rare"] if n == 0 else ["a"]} for n in range(20)]
    posed = pose(CLASSES, {"train.jsonl": lines(several)}, validation_share=0.5, split_seed=seed, problem_type=MULTI)
    assert ["a", "rare"] in posed.splits["train"]["labels"][:]
    spans = [{"text": "Mina", "label": [[0, 4, "R" if n == 0 else "PER"]]} for n in range(20)]
    posed = pose(TAGS, {"train.jsonl": lines(spans)}, validation_share=0.5, split_seed=seed)
    assert ["R"] in posed.splits["train"]["labels"][:]


REFUSED = [
    (
        CLASSES,
        {"train.csv": table(["text", "label"], TEXTS), "validation.csv": table(["review", "label"], TEXTS)},
        "validation split lacks the col",
    ),
    (
        CLASSES,
        {"train.csv": table(["text", "label"], TEXTS), "test.csv": table(["text", "target"], TEXTS)},
        "test split lacks the column 'label'",
    ),
    (CLASSES, {"train.csv": table(["text^label"], [["a^b"]] * 9)}, r"pass --separator '\^'"),
    (TAGS, {"train.jsonl": lines([{"text": "We flew", "spans": []}] * 9)}, "No training row has a span"),
    (TAGS, {"train.conll": "We NN\nfly NN\n\n" * 9}, r"must hold at least 2 tags, got \['NN'\]"),
]


@pytest.mark.parametrize(("task", "files", "message"), REFUSED)
def test_what_nothing_can_be_learnt_of(pose, task, files, message):
    """It is refused before anything is encoded."""
    with pytest.raises(DataError, match=message):
        pose(task, files)


def test_what_is_read_and_said(pose, caplog):
    """Texts that are empty, words with white space between, tokens of GLiNER, spans beside tokens, several schemes."""
    pose(CLASSES, {"train.csv": table(["text", "label"], [*TEXTS, (" ", "bad"), ("", "good")])})
    assert "2 of 32 training rows have no text in column 'text'" in caplog.text
    assert pose(TAGS, {"train.csv": table(["sentence", "tags"], [["We flew", "B-X O"], ["so", "O"]] * 5)}).task.labels == ("O", "B-X")
    gliner = [{"tokenized_text": ["New", "York", "is"], "ner": [[0, 1, "LOC"]]}, {"tokenized_text": ["We"], "ner": []}] * 5
    assert pose(TAGS, {"train.jsonl": lines(gliner)}).task.labels == ("O", "B-LOC", "I-LOC")
    both = [{"text": "We saw Rome", "tokens": ["We", "saw", "Rome"], "entities": [[7, 11, "LOC"]], "tags": ["X", "O", "O"]}] * 10
    assert pose(TAGS, {"train.jsonl": lines(both)}).task.labels == ("O", "X")
    assert pose(TAGS, {"train.jsonl": lines(both)}, label_column_name="entities").task.labels == ("O", "B-LOC", "I-LOC")
    splits = {"train.conll": "We O\nflew O\nRome I-LOC\nNew I-LOC\n\n" * 9, "test.conll": "Rome B-LOC\n\n"}
    assert pose(TAGS, splits).task.labels == ("O", "B-LOC", "I-LOC")
