"""What goes in comes out: other columns beside the answers, in any kind of file, in the shapes of tools, with the scores asked for."""

import datetime
import json

import pandas
import pytest
from datasets import Dataset, IterableDataset
from pyarrow import table
from pyarrow.parquet import write_table
from runs import annotated_texts
from transformers.utils import logging

import hf_rnn
from hf_rnn.commands import predict
from hf_rnn.commands.input_rows import read_input
from hf_rnn.data.files.cells import plain
from hf_rnn.data.files.errors import DataError
from hf_rnn.data.files.readers import read_rows
from hf_rnn.inference import bulk
from hf_rnn.inference.rows import Keeping


def run(model, source, output, *more):
    """Predict a file; return the rows of the output."""
    predict.main(["--model_name_or_path", str(model), "--input_file", str(source), "--output_file", str(output), *more])
    return list(read_rows(str(output)))


@pytest.fixture
def reviews(tmp_path):
    """Write a table with a number, a label, a place and a day beside the text; return its path."""
    path = tmp_path / "in.csv"
    path.write_text('number,review,label,place\n1,"good, very",x,Seoul\n2,"bad ""film""",y,\n3,,x,Busan\n', encoding="utf-8")
    return path


def test_other_columns_come_back(classifier, reviews, tmp_path, caplog):
    """In their order, before the answer; one that is named like a part of it stays out, with a word; some, or none, can be asked for."""
    # other tests may have been told it
    logging.get_logger("hf_rnn").warning_once.cache_clear()
    rows = run(classifier[0], reviews, tmp_path / "out.jsonl")
    assert [list(row) for row in rows] == [["number", "place", "text", "label", "score"]] * 3
    told = [("1", "Seoul", "good, very"), ("2", "", 'bad "film"'), ("3", "Busan", "")]
    assert [(row["number"], row["place"], row["text"]) for row in rows] == told
    assert caplog.text.count("column 'label' of the input has the name of 'label' of the answer, and does not come back") == 1
    (row, *_) = run(classifier[0], reviews, tmp_path / "out.jsonl", "--keep_columns", "place", "review")
    assert list(row) == ["place", "review", "text", "label", "score"] and row["review"] == row["text"]
    assert list(run(classifier[0], reviews, tmp_path / "out.jsonl", "--keep_columns", "none")[0]) == ["text", "label", "score"]
    for wanted in ("all", "label"):
        with pytest.raises(DataError, match=r"row 0: column 'label' of the input has the name of 'label' of the answer. Rename it, or"):
            run(classifier[0], reviews, tmp_path / "out2.jsonl", "--keep_columns", wanted)
    with pytest.raises(DataError, match=r"row 0: there is no column 'stars' among \['number', 'review', 'label', 'place'\]"):
        run(classifier[0], reviews, tmp_path / "out2.jsonl", "--keep_columns", "stars")
    assert not list(tmp_path.glob("out2*"))


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".json"])
def test_kinds_of_files(classifier, reviews, tmp_path, ending):
    """The ending says how answers are written; a run that stopped goes on and ends in the same file, and leaves nothing beside it."""
    lines = run(classifier[0], reviews, tmp_path / "out.jsonl", "--scores", "all")
    rows = run(classifier[0], reviews, tmp_path / f"out{ending}", "--scores", "all")
    assert [list(row) for row in rows] == [list(row) for row in lines]
    assert [(row["number"], row["text"], row["label"]) for row in rows] == [(row["number"], row["text"], row["label"]) for row in lines]
    assert [float(row["score"]) for row in rows] == [row["score"] for row in lines]
    told = [json.loads(row["scores"]) if isinstance(row["scores"], str) else row["scores"] for row in rows]
    assert told == [row["scores"] for row in lines]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"in.csv", "out.jsonl", f"out{ending}"})


def test_going_on_to_a_table(classifier, tmp_path, monkeypatch):
    """What is answered stays a part of JSON lines until all is; other columns beside the same texts are another input."""
    monkeypatch.setattr(bulk, "WINDOW_ROWS", 2)
    rows = [{"id": number, "text": f"film {number}"} for number in range(5)]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text("\n".join(map(json.dumps, [*rows, {"id": 5, "text": None}])))
    with pytest.raises(DataError, match=r"row 5, column 'text': expected text, got None \(NoneType\)\. .* 4 rows before it are answered"):
        run(classifier[0], source, output)
    assert len((tmp_path / "out.csv.part-0-of-1").read_text().splitlines()) == 4 and not output.exists()
    source.write_text("\n".join(json.dumps({**row, "id": -1}) for row in rows))
    with pytest.raises(DataError, match="holds answers to other texts"):
        run(classifier[0], source, output, "--resume", "true")
    source.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="another scores"):
        run(classifier[0], source, output, "--resume", "true", "--scores", "all")
    assert [row["id"] for row in run(classifier[0], source, output, "--resume", "true")] == list("01234")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.csv"]


def test_scores(classifier, tagger, reviews, tmp_path, capsys):
    """Of the best label, of all, which add up to one, or of so many; a tagger has none of that kind, and nobody knows `--scores few`."""
    (best, *_) = run(classifier[0], reviews, tmp_path / "top.jsonl", "--scores", "top")
    (row, *_) = run(classifier[0], reviews, tmp_path / "all.jsonl", "--scores", "all")
    assert "scores" not in best and sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert row["scores"][row["label"]] == row["score"] == best["score"]
    (row, *_) = run(classifier[0], reviews, tmp_path / "one.jsonl", "--scores", "1")
    assert row["scores"] == {row["label"]: row["score"]}
    for value in ("few", "0", "-1", "1.5"):
        with pytest.raises(ValueError, match="`scores` must be top, all or a whole number of at least 1, got"):
            run(classifier[0], reviews, tmp_path / "out.jsonl", "--scores", value)
    with pytest.raises(ValueError, match="this model is none. Leave --scores out"):
        run(tagger[0], reviews, tmp_path / "out.jsonl", "--scores", "all")
    assert predict.cut_scores({"scores": {"a": 0.1, "b": 0.7, "c": 0.2}}, 2) == {"scores": {"b": 0.7, "c": 0.2}}


@pytest.mark.parametrize(("name", "ending"), [("label_studio", ".json"), ("doccano", ".jsonl"), ("prodigy", ".jsonl"), ("jsonl", ".jsonl")])
def test_a_model_annotates_first(span_tagger, tmp_path, name, ending):
    """What is written in the shape of a tool is read with the texts, the spans and the numbers of the answers."""
    texts = [{"number": number, "text": row["text"]} for number, row in enumerate(annotated_texts(40, seed=3))]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, texts)))
    expected = hf_rnn.load(str(span_tagger[0])).predict([row["text"] for row in texts])
    assert any(row["spans"] for row in expected)
    rows = run(span_tagger[0], tmp_path / "in.jsonl", tmp_path / f"out{ending}", "--format", name)
    assert [(row["number"], row["text"]) for row in rows] == [(row["number"], row["text"]) for row in texts]
    for row, answer in zip(rows, expected, strict=True):
        assert [(span["start"], span["end"], span["label"]) for span in row["spans"]] == [
            (span["start"], span["end"], span["entity_group"]) for span in answer["spans"]
        ]
    with pytest.raises(DataError, match="the ending must be one of"):
        run(span_tagger[0], tmp_path / "in.jsonl", tmp_path / "out.csv", "--format", name)


def test_tasks_of_label_studio(classifier, tmp_path, capsys):
    """Tasks that nobody has annotated are answered, and come back as they are with a prediction; also to the terminal."""
    tasks = [{"id": 4, "data": {"review": "good", "page": 2}}, {"id": 5, "data": {"review": "bad", "page": 3}}]
    (tmp_path / "in.json").write_text(json.dumps(tasks))
    predict.main(["--model_name_or_path", str(classifier[0]), "--input_file", str(tmp_path / "in.json"), "--format", "label_studio"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{name: row[name] for name in ("id", "data")} for row in told] == tasks
    assert [row["predictions"][0]["result"][0]["type"] for row in told] == ["choices"] * 2


def test_formats_have_no_place_for_numbers():
    """A regression is refused where classes or spans are expected."""
    with pytest.raises(ValueError, match="`format` 'doccano' holds labels and spans, but this model answers numbers. Pass --format"):
        predict._check_kind("number", "doccano", None)
    predict._check_kind("number", "label_studio", None)


def test_nothing_is_left_out(tmp_path):
    """Rows that an annotator rejected, or that several did, are rows to answer like others; headers may be in capitals."""
    rows = [{"text": "a", "answer": "reject", "label": "x"}, {"Text": "b"}, {"content": "c"}, {"data": "d"}, {"data": {"only": "e"}}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    keeping = Keeping(None, ("text",))
    with pytest.raises(DataError, match=r"row 4: no column of texts; it has \['only'\]. Pass --text_column_name"):
        [row.text for row in read_input(str(tmp_path / "in.jsonl"), keeping)]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows[:-1])))
    read = list(read_input(str(tmp_path / "in.jsonl"), keeping))
    assert [row.text for row in read] == ["a", "b", "c", "d"]
    assert read[0].others == {"answer": "reject", "label": "x"}


def test_values_of_other_columns(tmp_path, caplog):
    """Dates are text, what is no number is null; bytes have no place in a file of answers."""
    day = datetime.datetime(2026, 1, 2, 3, 4)
    write_table(table({"text": ["a"], "day": [day], "odd": [float("nan")], "raw": [b"\xff"], "list": [[1.5]]}), tmp_path / "in.parquet")
    (row,) = read_input(str(tmp_path / "in.parquet"), Keeping(None, ("text",)))
    assert row.others == {"day": "2026-01-02 03:04:00", "odd": None, "list": [1.5]}
    assert "column 'raw' of the input holds values of the type bytes" in caplog.text
    with pytest.raises(DataError, match="values of the type bytes, which have no place"):
        list(read_input(str(tmp_path / "in.parquet"), Keeping(["raw"], ("text",))))
    assert plain((float("inf"), {1: True}, "\ud800")) == ["inf", {"1": True}, "\ufffd"]
    with pytest.raises(TypeError, match="object"):
        plain(object())


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, r"got None \(NoneType\)"),
        (float("nan"), r"got nan \(float\)"),
        (b"film", r"got b'film' \(bytes\)"),
        (5, r"got 5 \(int\)"),
        (["a", None], r"got \['a', None\] \(list\)"),
        ({"a": 1}, r"none of the columns .*; it has \['a'\]"),
    ],
)
def test_what_is_no_text(classifier, value, told):
    """It is told in a line that says where it stands, what it is and what to do."""
    predictor = hf_rnn.load(str(classifier[0]))
    with pytest.raises(DataError, match=told) as caught:
        predictor.predict(["good", value])
    assert "\n" not in str(caught.value)
    if not isinstance(value, dict):
        assert str(caught.value).startswith("text 1: ")
    if not isinstance(value, list):
        with pytest.raises(DataError, match=told):
            predictor.predict(value)


def test_whatever_holds_texts(classifier, tagger):
    """Rows, frames, columns, arrays, data sets and generators are answered as the texts in them."""
    predictor = hf_rnn.load(str(classifier[0]))
    texts = ["good film", "bad"]
    expected = predictor.predict(texts)
    rows = [{"id": 1, "review": text} for text in texts]
    series = pandas.Series(texts, index=[7, 9])
    for given in (
        *(tuple(texts), iter(texts), (text for text in texts), series, series.to_numpy(), series.to_frame("document")),
        *({"text": texts}, rows, Dataset.from_list(rows), Dataset.from_list(rows)["review"]),
        *(IterableDataset.from_generator(lambda: iter(rows)), Dataset.from_list(rows).to_iterable_dataset(), series.astype("category")),
    ):
        assert predictor.predict(given) == expected, type(given)
    assert predictor.predict({"text": "bad"}) == predictor.predict(series.to_numpy()[1:]) == expected[1:]
    (row,) = hf_rnn.load(str(tagger[0])).predict({"tokens": ["We", "flew"]})
    assert row["tokens"] == ["We", "flew"]
    with pytest.raises(DataError, match=r"text 1: expected text or a list of tokens, got (nan|<NA>) \(\w+\)"):
        predictor.predict(pandas.Series(["a", None], dtype="string"))


def test_columns_come_back_in_python(classifier, tagger):
    """Those that are named, or all, before the answers, whatever holds the rows; texts alone have none."""
    predictor = hf_rnn.load(str(classifier[0]))
    rows = [{"id": number, "review": text, "label": "x"} for number, text in enumerate(["good film", "bad"])]
    answers = predictor.predict(["good film", "bad"])
    expected = [{"id": number, **answer} for number, answer in enumerate(answers)]
    frame = pandas.DataFrame(rows)
    for given in (rows, iter(rows), frame, frame.to_dict("list"), Dataset.from_list(rows), Dataset.from_list(rows).to_iterable_dataset()):
        assert predictor.predict(given, keep_columns=["id"]) == expected, type(given)
    assert list(predictor.predict(rows, keep_columns="id")[0]) == ["id", *answers[0]]
    assert predictor.predict(rows[1], keep_columns="id") == expected[1:]
    assert predictor.predict([{"id": 1, "review": "bad"}], keep_columns="all") == expected[1:]
    with pytest.raises(DataError, match="row 0: column 'label' of the input has the name of 'label' of the answer"):
        predictor.predict(rows, keep_columns=["label"])
    for given in ("good film", ["good film"], 5):
        with pytest.raises(DataError, match="`keep_columns` needs rows with columns, got"):
            predictor.predict(given, keep_columns="all")
    (row,) = hf_rnn.load(str(tagger[0])).predict({"n": 3, "tokens": ["We", "flew"]}, keep_columns="all")
    assert (row["n"], row["tokens"]) == (3, ["We", "flew"])


def test_encodings_and_separators(classifier, tmp_path, capsys):
    """They are options of `predict` as of training."""
    (tmp_path / "in.csv").write_bytes("text^id\ncafé noir^7\n".encode("cp1250"))
    predict.main(
        ["--model_name_or_path", str(classifier[0]), "--input_file", str(tmp_path / "in.csv"), "--encoding", "cp1250", "--separator", "^"]
    )
    answer = json.loads(capsys.readouterr().out)
    assert (answer["text"], answer["id"]) == ("café noir", "7")
