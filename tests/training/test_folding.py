"""Each row is answered by a model that was trained on other folds; what is done is not done again."""

import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

import hf_rnn
from hf_rnn.arguments import DataArguments, LabelledTrainingArguments, ModelArguments
from hf_rnn.commands import cli
from hf_rnn.data.rows.folds import ANSWERS, FOLDS
from hf_rnn.evaluation.kept_answers import read_answers
from hf_rnn.options import make_options
from hf_rnn.tasks.task import TaskOptions
from hf_rnn.training import folding
from hf_rnn.training import train as training_module

SMALL = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}
SMALL |= {"per_device_train_batch_size": 16, "num_train_epochs": 1, "word_vocab_size": 0}
ROWS = [{"text": f"{word} film {number}", "label": word} for number in range(30) for word in ("good", "bad")]
ROWS[7] = {"text": "Good film 5!", "label": "good"}


def lines_of(path):
    """Return the rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    """Train a classifier with folds, and note which trainings there were; return result, folder and them."""
    calls, once = [], training_module.train_once
    folder = tmp_path_factory.mktemp("folded") / "m"

    def note(name, options, *more):
        calls.append((options.training.output_dir, {split: len(rows) for split, rows in (more[1] or {}).items()}))
        return once(name, options, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_module, "train_once", note)
        result = hf_rnn.train(train=ROWS, test=ROWS[:10], output_dir=str(folder), folds=2, linear_size=50, **SMALL)
    return result, folder, calls


def test_folds_and_a_model_of_all_rows(folded):
    """Each fold is the test split of a training on the others; the last training has all rows and the test rows."""
    result, folder, calls = folded
    sizes = [sizes for _, sizes in calls]
    assert [each["train"] + each["test"] for each in sizes[:-1]] == [60, 60] and sum(each["test"] for each in sizes[:-1]) == 60
    assert len(sizes) == 3 and sizes[-1] == {"train": 60, "test": 10}
    assert calls[-1][0] == str(folder) and all(f"/{FOLDS}/fold-" in name for name, _ in calls[:-1])
    scores = json.loads((folder / "folds_results.json").read_text())
    accuracies = [fold["test_accuracy"] for fold in scores["folds"]]
    assert result.metrics["folds_accuracy"] == scores["folds_accuracy"] == pytest.approx(np.mean(accuracies))
    assert result.metrics["folds_accuracy_std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert "test_accuracy" in result.metrics
    # models of folds stay, what they were resumed from does not
    assert len(list((folder / FOLDS).glob("fold-*/model.safetensors"))) == 2 and not list((folder / FOLDS).glob("fold-*/checkpoint-*"))


def test_answers_are_kept(folded):
    """One line a row, in the order of the data, with what is given and the scores of the model that has not seen it."""
    result, folder, _ = folded
    kept = lines_of(folder / ANSWERS)
    assert [(row["index"], row["text"], row["given"]) for row in kept] == [(i, row["text"], row["label"]) for i, row in enumerate(ROWS)]
    for row in kept:
        assert row["label"] == max(row["scores"], key=row["scores"].get) and sum(row["scores"].values()) == pytest.approx(1)
    accuracy = np.mean([np.mean([row["label"] == row["given"] for row in kept if row["fold"] == fold]) for fold in (1, 2)])
    assert accuracy == pytest.approx(result.metrics["folds_accuracy"])
    # the same text but for case and punctuation
    assert kept[7]["fold"] == next(row["fold"] for row in kept if row["text"] == "good film 5")


def test_what_is_done_is_not_done_again(folded, monkeypatch, caplog):
    """A fold is trained again only where its answers are not there, or rows or options are others."""
    _, folder, _ = folded
    before = (folder / ANSWERS).read_bytes()
    options = {**SMALL, "train": ROWS, "test": ROWS[:10], "output_dir": str(folder), "folds": 2, "resume_from_checkpoint": "last"}
    trained = []

    def stop(name, options, *more):
        trained.append(options.training)
        raise InterruptedError

    monkeypatch.setattr(training_module, "train_once", stop)
    done = sorted((folder / FOLDS).glob("fold-*/answers.jsonl"))
    done[1].unlink()
    with pytest.raises(InterruptedError):
        hf_rnn.train(**options, linear_size=50)
    assert len(trained) == 1 and trained[0].folds == 2
    assert (folder / ANSWERS).read_bytes() == before
    assert "Fold 1 of 2 is trained already" in caplog.text
    with pytest.raises(InterruptedError):
        hf_rnn.train(**options, linear_size=0)
    assert (trained[1].do_predict, trained[1].folds, trained[1].promise) == (True, None, None)


def test_check_reads_them(folded, tmp_path, capsys):
    """`hf-rnn check` judges labels by both; a folder without answers, or with those to other rows, is refused in a line."""
    _, folder, _ = folded
    rows = [{**row, "label": "bad"} if number == 10 else row for number, row in enumerate(ROWS)]
    files = {"train": rows, "other": [{"text": f"{row['text']} x", "label": row["label"]} for row in rows]}
    for name, part in files.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
    argv = ["check", "--train_file", str(tmp_path / "train.jsonl"), "--output_dir", str(tmp_path / "out"), "--out_of_fold"]
    assert cli.main([*argv, str(folder)]) == 0
    assert "line 11: bad, not good?" in capsys.readouterr().out
    assert cli.main([*argv, str(tmp_path)]) == 1
    assert f"holds no {ANSWERS}. Name the folder" in capsys.readouterr().err
    argv[2] = str(tmp_path / "other.jsonl")
    assert cli.main([*argv, str(folder)]) == 1
    assert "`out_of_fold` has no answers to such rows" in capsys.readouterr().err


def test_taggers(tmp_path):
    """Of tokens the scores of the answers and of the given tags are kept."""
    rows = [{"tokens": ["fly", "to", city, str(n)], "tags": ["O", "O", "B-place", "O"]} for n in range(8) for city in ("Rome", "Oslo")]
    rows[3]["tags"][3] = "B-rare"
    asked = {**SMALL, "linear_size": 0, "folds": 2, "do_train": True, "output_dir": str(tmp_path / "m")}
    data, model, training, _ = make_options(training_module.LABELLED_GROUPS, asked)
    options = TaskOptions(data, model, training)
    found = folding.train_folds(training_module.train_once, "token-classification", options, DatasetDict(train=Dataset.from_list(rows)))
    assert {"folds_f1", "folds_f1_std"} <= set(found)
    kept = lines_of(tmp_path / "m" / ANSWERS)
    assert [row["tokens"] for row in kept] == [row["tokens"] for row in rows]
    assert kept[3]["given"] == ["O", "O", "B-place", "B-rare"] and kept[3]["given_scores"][3] < 0.5
    for row in kept:
        for tag, given, score, own in zip(row["tags"], row["given"], row["scores"], row["given_scores"], strict=True):
            assert own == pytest.approx(score) if tag == given else own <= score
    assert set(read_answers(str(tmp_path / "m")).of_text) == {" ".join(row["tokens"]) for row in rows}


def test_rows_that_are_left_out(tmp_path):
    """Numbers of rows are those of the file, whatever is left out; texts of spans keep their spans."""
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "\n".join(json.dumps(row) for row in [{"text": "a", "label": "x"}, {"text": "b", "label": None}, {"text": "c", "label": "y"}])
    )
    training = LabelledTrainingArguments(output_dir=str(tmp_path / "m"), do_train=True, use_cpu=True)
    options = TaskOptions(DataArguments(train_file=str(path), missing_labels="drop"), ModelArguments(), training)
    read = folding._read("text-classification", options, 2, {"train": str(path)}, None)
    assert read.kept.tolist() == [0, 2] and read.texts == ["a", "c"] and read.given == ["x", "y"]
    path.write_text("\n".join(json.dumps({"text": f"{n} Seoul", "spans": [{"start": 2, "end": 7, "label": "city"}]}) for n in range(4)))
    options = TaskOptions(DataArguments(train_file=str(path)), ModelArguments(), training)
    read = folding._read("token-classification", options, 2, {"train": str(path)}, None)
    assert read.texts[1] == "1 Seoul" and read.given[1] == [{"start": 2, "end": 7, "label": "city"}]
    assert sorted(read.folds.tolist()) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "`folds` must be at least 2 and at most 100, got 1"),
        ({"folds": 2, "do_train": False}, "`folds` are trained on. Pass --do_train"),
        ({"folds": 2, "streaming": True, "max_steps": 3}, "`folds` need all rows in one process"),
        ({"folds": 5, "train": ROWS[:4]}, "`folds` must be at most the number of different texts, 4, got 5"),
    ],
)
def test_wrong_calls(options, message, tmp_path):
    """Are refused before anything is trained."""
    with pytest.raises(ValueError, match=message):
        hf_rnn.train(**{"train": ROWS, "output_dir": str(tmp_path / "m"), **SMALL, **options})


def test_no_teacher(tmp_path):
    """A teacher has seen the rows of every fold."""
    training = LabelledTrainingArguments(output_dir=str(tmp_path / "m"), do_train=True, use_cpu=True, folds=2)
    with pytest.raises(ValueError, match="`folds` go without a teacher"):
        folding.train_folds(lambda: None, "text-classification", TaskOptions(DataArguments(), ModelArguments(), training, has_teacher=True))
