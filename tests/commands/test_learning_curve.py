"""The learning curve: nested samples, a run that goes on where it stopped, a table and a picture, for texts and for tags."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_rnn.commands import learning_curve
from hf_rnn.data.files.readers import DataError
from hf_rnn.linear import baselines, fasttext
from hf_rnn.linear.baselines import classify_texts, tag_sentences
from hf_rnn.linear.fasttext import classify_by_fasttext
from hf_rnn.tuning import learning_curve as curves

pytestmark = pytest.mark.lowest


def write(folder, rows):
    """Write rows as JSON Lines, as training and test file, and return options."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--train_file", str(path), "--test_file", str(path), "--output_dir", str(folder / "out")]


TEXTS = [{"text": f"{word} film {number % 3}", "label": label} for number in range(15) for word, label in (("good", "1"), ("bad", "0"))]
TAGGED = [{"tokens": ["in", name], "tags": ["O", "B-city"]} for _ in range(10) for name in ("Seoul", "Busan", "Daegu")]


RAW = [
    {"text": f"{before}{name}에서 왔다", "spans": [{"start": len(before), "end": len(before) + len(name), "label": "LC"}]}
    for before in ("", "나는 ", "그는 ", "또 ", "우리는 ")
    for name in ("서울", "부산", "대구", "인천", "광주", "대전")
]


@pytest.mark.parametrize("rows", [TEXTS, TAGGED, RAW])
def test_points_table_and_picture(rows, tmp_path, monkeypatch):
    """Both are measured at every size and seed, once."""
    calls = []

    def train(task, options):
        calls.append(options)
        return SimpleNamespace(metrics={"test_accuracy": 0.5, "test_f1": 0.5})

    monkeypatch.setattr(curves, "train_by_options", train)
    options = [*write(tmp_path, rows), "--sizes", "20", "1000", "--seeds", "2"]
    summary = learning_curve.main(options)
    assert list(summary) == [20, 30]
    assert summary[30]["baseline"][0] == 100
    assert summary[30]["hf-rnn"][:2] == (50, 0)
    assert len(calls) == 4
    assert learning_curve.main(options) == summary
    assert len(calls) == 4
    assert "| 30   | 100.0 ± 0.0 | 50.0 ± 0.0 |      -50.0 |" in (tmp_path / "out" / curves.TABLE).read_text()
    assert (tmp_path / "out" / curves.PICTURE).stat().st_size > 1000


SEVERAL = [
    {"text": f"{' '.join(words)} film {number}", "label": "|".join(words)}
    for number in range(8)
    for words in (("bad",), ("good",), ("long",), ("good", "long"))
]
NUMBERS = [{"text": f"{word} film {number % 4}", "label": str(value)} for number in range(12) for word, value in (("good", 2), ("bad", -1))]


@pytest.mark.parametrize(
    ("rows", "asked", "metrics", "wanted"),
    [
        (SEVERAL, "problem_type: multi_label_classification\nlabel_separator: '|'\n", {"test_f1_micro": 0.5}, 50),
        (NUMBERS, "problem_type: regression\n", {"test_mse": 0.5 * 2.25}, 50),
    ],
)
def test_several_labels_and_numbers(rows, asked, metrics, wanted, tmp_path, monkeypatch):
    """Micro F1, and the share of variance that is explained, beside a regression for each label or a ridge regression."""
    given = []

    def train(task, options):
        lines = Path(options["train_file"]).read_text(encoding="utf-8").splitlines()
        given.append(([json.loads(line) for line in lines], options))
        return SimpleNamespace(metrics=metrics)

    monkeypatch.setattr(curves, "train_by_options", train)
    (tmp_path / "options.yaml").write_text(asked)
    summary = learning_curve.main([*write(tmp_path, rows), "--seeds", "1", "--options_file", str(tmp_path / "options.yaml")])
    assert summary[len(rows)]["baseline"][0] > 95
    assert summary[len(rows)]["hf-rnn"][0] == pytest.approx(wanted)
    labels = {tuple(row["label"]) if isinstance(row["label"], list) else row["label"] for row in given[0][0]}
    assert labels == ({("bad",), ("good",), ("long",), ("good", "long")} if rows is SEVERAL else {2.0, -1.0})
    # cells are lists by then
    assert "label_separator" not in given[0][1]


def test_baselines_of_several_labels_and_of_numbers():
    """Labels that no row or each row has are answered so; what has no labels at all scores 0."""
    texts, labels = ["good film", "bad film"] * 10, [["good", "film"], ["film"]] * 10
    assert [set(row) for row in baselines.label_texts(texts, labels, ["a good one", "bad"])] == [{"good", "film"}, {"film"}]
    assert baselines.micro_f1([["a", "b"], ["c"]], [["a"], ["d", "c"]]) == pytest.approx(2 / 3)
    assert baselines.micro_f1([[]], [[]]) == 0
    assert baselines.rate_texts(texts, [2.0, 1.0] * 10, ["good film", "bad film"]) == pytest.approx([2, 1], abs=0.2)


def test_names_of_classes(tmp_path):
    """Classes that a file declares go by their names."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    rows = Dataset.from_list([{"text": row["text"], "label": int(row["label"])} for row in TEXTS], features=features)
    rows.to_parquet(tmp_path / "rows.parquet")
    path = str(tmp_path / "rows.parquet")
    assert {label for _, label in curves.LearningCurve(path, path, str(tmp_path / "out")).train} == {"bad", "good"}


def test_characters_of_raw_text_and_their_surroundings():
    """A character, its neighbours and kinds; spans in texts with names that are not known, by what stands around them."""
    features = baselines.character_features("나 A1")
    assert {"bias", "2:character=A", "1:kind=Zs", "2:kind=LATIN", "3:characters=1 ", "triple= A1"} <= set(features[2])
    assert "3:kinds=Nd " in features[2]
    assert "1:kind=" in features[0]


def test_samples_are_nested(tmp_path):
    """A smaller sample is the beginning of a larger one of the same seed, and another seed draws others."""
    (tmp_path / "out").mkdir()
    curve = curves.LearningCurve(*write(tmp_path, TEXTS)[1::2])
    assert curve.sizes == [30]
    assert curve.sample(20, 0)[:10] == curve.sample(10, 0)
    assert curve.sample(20, 0) != curve.sample(20, 1)


def test_baselines_learn(tmp_path):
    """What tells the rows apart is found."""
    assert classify_texts([row["text"] for row in TEXTS], [row["label"] for row in TEXTS], ["good", "bad"]) == ["1", "0"]
    sentences, tags = ([row[name] for row in TAGGED] for name in ("tokens", "tags"))
    found = tag_sentences(sentences, tags, [["in", "Ulsan"]], lambda a, b: float(a == b), str(tmp_path / "crf"))
    assert found == [["O", "B-city"]]


def test_fasttext(tmp_path, monkeypatch, capsys):
    """It learns what tells rows apart, the same again, and stands in table and picture beside the others; labels may have any name."""
    pytest.importorskip("fasttext", reason="the extra fasttext is not installed")
    monkeypatch.setattr(fasttext, "SETTINGS", fasttext.SETTINGS[::5])
    rows = [{**row, "label": {"0": "not so good", "1": "__label__ good"}[row["label"]]} for row in TEXTS] * 4
    texts, labels = ([row[name] for row in rows] for name in ("text", "label"))
    found = classify_by_fasttext(texts, labels, ["good\nfilm", "bad film", ""], str(tmp_path / "rows.txt"), seed=1)
    assert found[:2] == ["__label__ good", "not so good"]
    assert found == classify_by_fasttext(texts, labels, ["good\nfilm", "bad film", ""], str(tmp_path / "rows.txt"), seed=1)
    monkeypatch.setattr(curves, "train_by_options", lambda *_: SimpleNamespace(metrics={"test_accuracy": 0.5}))
    options = [*write(tmp_path, rows), "--sizes", "80", "--seeds", "1", "--fasttext", "true"]
    assert list(learning_curve.main(options)[80]) == ["baseline", "fasttext", "hf-rnn"]
    assert "| rows |    baseline |    fasttext |     hf-rnn | difference |" in capsys.readouterr().out


def test_fasttext_where_it_cannot_be(tmp_path, monkeypatch):
    """It is missed before anything is measured, and is for texts with labels alone."""
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"`fasttext` needs the package 'fasttext'. Install it with pip install '\.\[fasttext\]'"):
        learning_curve.main([*write(tmp_path, TEXTS), "--fasttext", "true"])
    monkeypatch.setattr(curves, "find_spec", lambda name: name)
    with pytest.raises(ValueError, match="`fasttext` gives texts one label each, got rows with something else. Leave --fasttext out"):
        learning_curve.main([*write(tmp_path, TAGGED), "--fasttext", "true"])


def test_other_rows_and_damage(tmp_path, monkeypatch):
    """Points of other rows are not mixed in; a last line that was cut off is measured again, other damage is named; no folder is lost."""
    monkeypatch.setattr(curves, "train_by_options", lambda *_: SimpleNamespace(metrics={"test_accuracy": 0.5}))
    options = [*write(tmp_path, TEXTS), "--sizes", "20", "--seeds", "1"]
    summary = learning_curve.main(options)
    path = tmp_path / "out" / curves.POINTS
    points = path.read_text()
    path.write_text(points[:-9])
    assert learning_curve.main(options)[20]["hf-rnn"][0] == summary[20]["hf-rnn"][0]
    assert len(path.read_text().splitlines()) == 2
    path.write_text("nothing\n" + points)
    with pytest.raises(DataError, match=r"points.jsonl, line 1: no point of a curve: 'nothing'"):
        learning_curve.main(options)
    path.write_text(points)
    write(tmp_path, TEXTS[2:])
    with pytest.raises(DataError, match="is of other rows or options. Pass another --output_dir"):
        learning_curve.main(options)
    with pytest.raises(DataError, match=r"holds the input .*test.jsonl', which would be lost"):
        learning_curve.main([*options[:2], "--test_file", str(tmp_path / "out" / "test.jsonl"), *options[4:]])
    (tmp_path / "mine" / "model").mkdir(parents=True)
    with pytest.raises(DataError, match="is not of this command, which would write over it"):
        learning_curve.main([*options[:4], "--output_dir", str(tmp_path / "mine")])
