"""`hf_rnn.train`: rows from wherever they are, options by name, and what comes back; what earlier versions trained wrongly."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset, DatasetDict, load_dataset
from runs import SAMPLES
from safetensors.torch import load_file

import hf_rnn
from hf_rnn.arguments import DistillationArguments
from hf_rnn.data.loading import load_config, load_tokenizer
from hf_rnn.data.rows.collator import RnnCollator
from hf_rnn.distillation import teachers
from hf_rnn.distillation.teaching import Teaching
from hf_rnn.inference.loading import load
from hf_rnn.training import running

SMALL = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "use_cpu": True, "disable_tqdm": True}
SMALL |= {"per_device_train_batch_size": 8, "validation_share": 0.25, "num_train_epochs": 1, "linear_size": 0}
EAGER = dict.fromkeys(("embedding_dropout", "input_dropout", "hidden_dropout", "classifier_dropout"), 0.0) | {"early_stopping_patience": 50}

ROWS = [{"text": f"{word} {number}", "label": word} for number in range(12) for word in ("good", "bad", "dull")]
SENTENCES = [
    {"tokens": ["play", "a", "song"], "tags": ["O", "O", "B-thing"], "intent": "music"},
    {"tokens": ["book", "a", "table"], "tags": ["O", "O", "B-place"], "intent": "booking"},
] * 20


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path):
    """Keep answers of teachers where the test does."""
    monkeypatch.setattr(teachers, "STORE", tmp_path / "answers")


def as_file(rows, folder):
    """Write rows to a file and return its name."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("kind", ["list", "columns", "frame", "dataset", "dict", "file"])
def test_rows_in_memory_and_in_files_train_the_same(kind, tmp_path):
    """A list, a dictionary of columns, a DataFrame, a Dataset, a DatasetDict and a file end in the same weights."""
    forms = {
        "list": lambda: ROWS,
        "columns": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
        "frame": lambda: pd.DataFrame(ROWS),
        "dataset": lambda: Dataset.from_list(ROWS),
        "dict": lambda: DatasetDict(train=Dataset.from_list(ROWS)),
        "file": lambda: as_file(ROWS, tmp_path),
    }
    result = hf_rnn.train("text-classification", train=forms[kind](), output_dir=str(tmp_path / "a"), **SMALL)
    known = hf_rnn.train("text-classification", train=ROWS, output_dir=str(tmp_path / "b"), **SMALL)
    assert result.folder == tmp_path / "a"
    assert result.metrics["eval_accuracy"] == known.metrics["eval_accuracy"]
    first, second = (load_file(each.folder / "model.safetensors") for each in (result, known))
    assert all(torch.equal(first[name], second[name]) for name in second)
    answers = result.predictor("good 3")
    assert answers == load(str(result.folder)).predict("good 3")
    assert answers[0]["label"] in ("good", "bad", "dull")


def test_test_rows_are_predicted(tmp_path):
    """Given as rows they are scored, and written in their order."""
    result = hf_rnn.train(train=ROWS, validation=pd.DataFrame(ROWS[:9]), test=ROWS[:6], output_dir=str(tmp_path / "m"), **SMALL)
    assert {"eval_accuracy", "test_accuracy"} <= set(result.metrics)
    written = (tmp_path / "m" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in written] == [row["text"] for row in ROWS[:6]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden_size": 8}, "There is no option --hiden_size here. Did you mean --hidden_size"),
        ({"use_crf": True}, "`use_crf` means nothing to text-classification"),
        ({"learning_rate": -1.0}, "`learning_rate` must be above 0, got -1.0"),
        ({"unknown_labels": "guess"}, r"`unknown_labels` must be one of \('error', 'wrong'\), got 'guess'"),
        ({"train": 5}, "`train` must be a file name, a Dataset, a DataFrame"),
        ({"train": []}, "`train` must be a file name, a Dataset"),
        ({"task": "translation"}, "`task` must be one of"),
    ],
)
def test_wrong_calls(options, message, tmp_path):
    """Are one line that says what to do."""
    with pytest.raises(ValueError, match=message):
        hf_rnn.train(**{"train": ROWS, "output_dir": str(tmp_path / "m"), **SMALL, **options})


def test_columns_come_with_the_model(tmp_path):
    """A model that was trained on a column of an unusual name finds it again, by itself; and the same in predict."""
    rows = [{"ticket": row["text"], "queue": row["label"]} for row in ROWS]
    names = {"text_column_name": "ticket", "label_column_name": "queue"}
    result = hf_rnn.train(train=rows, output_dir=str(tmp_path / "m"), **names, **SMALL)
    assert load_config(str(result.folder)).columns == {"text": "ticket", "labels": "queue"}
    from hf_rnn.commands import cli

    output = tmp_path / "answers.jsonl"
    files = ["--input_file", as_file(rows, tmp_path), "--output_file", str(output)]
    assert cli.main(["predict", "--model_name_or_path", str(result.folder), *files]) == 0
    assert [json.loads(line)["text"] for line in output.read_text().splitlines()] == [row["text"] for row in ROWS]


def moved(before, after, part):
    """Return whether the weights of a part of a model differ between two checkpoints."""
    first, second = (load_file(folder / "model.safetensors") for folder in (before, after))
    return any(not torch.equal(first[name], second[name]) for name in first if part in name)


def test_intents_learn_with_smoothed_labels(tmp_path):
    """Their logits have a gradient too, and come to be right."""
    options = {**SMALL, **EAGER, "intent_column_name": "intent", "label_smoothing_factor": 0.1, "word_vocab_size": 0}
    options |= {"num_train_epochs": 15, "learning_rate": 0.01, "metric_for_best_model": "intent_accuracy", "greater_is_better": True}
    result = hf_rnn.train("token-classification", train=SENTENCES, output_dir=str(tmp_path / "m"), **options)
    assert result.metrics["eval_intent_accuracy"] == 1.0


def test_intents_learn_beside_a_teacher(tmp_path):
    """Rows with labels teach them; rows that a teacher alone answers have none."""
    options = {**SMALL, **EAGER, "intent_column_name": "intent", "word_vocab_size": 0, "num_train_epochs": 15, "learning_rate": 0.01}
    result = hf_rnn.train("token-classification", train=SENTENCES, output_dir=str(tmp_path / "teacher"), **options)
    teacher = Teaching(DistillationArguments([str(result.folder)], augment=10))
    student = hf_rnn.train("token-classification", train=SENTENCES, output_dir=str(tmp_path / "m"), teacher=teacher, **options)
    assert student.metrics["eval_intent_accuracy"] == 1.0
    assert student.predictor("book a table")[0]["intent"] == "booking"


def test_several_labels_learn_from_a_teacher(tmp_path):
    """Each label by a probability of its own: a student that sees answers alone comes to give them."""
    rows = [{"text": " ".join(words), "label": list(words)} for words in (["food"], ["price"], ["food", "price"], ["food", "service"])] * 10
    options = {**SMALL, **EAGER, "problem_type": "multi_label_classification", "num_train_epochs": 30, "learning_rate": 0.03}
    options |= {"metric_for_best_model": "loss", "greater_is_better": False}
    teacher = hf_rnn.train(train=rows, validation=rows[:8], output_dir=str(tmp_path / "teacher"), **options)
    assert teacher.metrics["eval_f1_micro"] == 1.0
    taught = Teaching(DistillationArguments([str(teacher.folder)], augment=20, distillation_alpha=1.0, distillation_temperature=1.0))
    student = hf_rnn.train(train=rows, validation=rows[:8], output_dir=str(tmp_path / "m"), teacher=taught, **options)
    texts = ["food", "price", "food price", "food service"]
    expected, found = ([list(row["scores"].values()) for row in each.predictor(texts)] for each in (teacher, student))
    assert np.abs(np.array(expected) - np.array(found)).max() < 0.15


def test_rows_without_labels_teach_no_label(tmp_path):
    """The loss of several labels leaves rows out that have -100."""
    model = hf_rnn.RnnForSequenceClassification(hf_rnn.RnnConfig(vocab_size=9, hidden_size=4, num_labels=3, problem_type=MULTI)).eval()
    ids, labels = torch.randint(1, 9, (3, 4)), torch.tensor([[1.0, 0, 1], [0, 0, 1], [-100, -100, -100]])
    assert torch.allclose(model(ids, labels=labels).loss, model(ids[:2], labels=labels[:2]).loss)


MULTI = "multi_label_classification"


def test_the_length_of_training_is_that_of_answers(tmp_path):
    """A tokenizer that was loaded truncates where training did."""
    first = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "a"), **SMALL)
    options = {"tokenizer_name": str(first.folder), "max_length": 7}
    second = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "b"), **SMALL, **options)
    assert load_tokenizer(str(second.folder)).model_max_length == 7
    long = "good bad " * 20
    assert second.predictor(long)[0]["score"] == pytest.approx(second.predictor(long + "dull " * 50)[0]["score"], abs=1e-6)


def test_known_labels_stay_when_training_goes_on(tmp_path, caplog):
    """Rows of the output layer of labels that stay are those of the checkpoint; labels that the new rows lack are kept; new ones join."""
    first = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "a"), **SMALL)
    rows = [{"text": f"{word} {number}", "label": word} for number in range(12) for word in ("good", "new")]
    options = {name: value for name, value in SMALL.items() if name not in ("vocab_size",)} | {"learning_rate": 1e-9, "weight_decay": 0.0}
    second = hf_rnn.train(train=rows, model_name_or_path=str(first.folder), output_dir=str(tmp_path / "b"), **options)
    assert second.task.labels == ("bad", "dull", "good", "new")
    before, after = (load_file(each.folder / "model.safetensors")["classifier.weight"] for each in (first, second))
    assert torch.allclose(after[:3], before, atol=1e-6)
    other = [{"text": row["text"], "label": f"{row['label']} film"} for row in ROWS]
    third = hf_rnn.train(train=other, model_name_or_path=str(first.folder), output_dir=str(tmp_path / "c"), **options)
    assert third.task.labels == ("bad film", "dull film", "good film")


@pytest.mark.thorough
def test_rows_of_before_are_learnt_again(tmp_path, caplog):
    """Rows to replay are training rows, from a file and from memory alike; labels without rows are told where there are none."""
    first = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "a"), **SMALL, **EAGER)
    rows = [{"text": f"new {number}", "label": "new", "note": number} for number in range(12)]
    options = (
        {name: value for name, value in SMALL.items() if name != "vocab_size"} | EAGER | {"num_train_epochs": 12, "learning_rate": 0.05}
    )
    options |= {"model_name_or_path": str(first.folder)}
    written = as_file(ROWS, tmp_path)
    second = hf_rnn.train(train=rows, replay_file=written, output_dir=str(tmp_path / "b"), **options)
    assert "36 rows of before are learnt again beside 12 new ones." in caplog.text and "may forget" not in caplog.text
    assert [second.predictor(f"{word} 3")[0]["label"] for word in ("bad", "dull", "good", "new")] == ["bad", "dull", "good", "new"]
    third = hf_rnn.train(train=as_file(rows, tmp_path / "b"), replay=ROWS, output_dir=str(tmp_path / "c"), **options)
    first_weights, again = (load_file(each.folder / "model.safetensors")["classifier.weight"] for each in (second, third))
    assert torch.equal(first_weights, again)
    hf_rnn.train(train=[*rows, *ROWS[:1]], output_dir=str(tmp_path / "d"), **options)
    assert "No training row has ['bad', 'dull'], which the model knows and may forget" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replay": ROWS}, "`replay_file` goes with a model that learnt those rows, got 'rows' alone. Pass --model_name_or_path too."),
        (
            {"replay": [{"text": "a", "topic": "b"}], "model_name_or_path": "checkpoint"},
            "The replay split lacks the column 'label' of the train split",
        ),
        ({"replay": ROWS, "model_name_or_path": "checkpoint", "streaming": True, "max_steps": 1}, "beside a stream or the Hub"),
    ],
)
def test_rows_that_cannot_be_learnt_again_are_told(tmp_path, options, message):
    """Without a model, without the columns, or beside a stream."""
    if "model_name_or_path" in options:
        checkpoint = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "a"), **SMALL).folder
        options = {**options, "model_name_or_path": str(checkpoint)}
    small = {name: value for name, value in SMALL.items() if name != "vocab_size"}
    with pytest.raises(ValueError, match=re.escape(message)):
        hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "b"), **small, **options)


def test_a_linear_model_stays_where_its_labels_have_no_rows(tmp_path, caplog):
    """Fitted again it would rule out what no row has: its weights of known labels stay, and new ones have none."""
    first = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "a"), **{**SMALL, "linear_size": 40})
    rows = [{"text": f"{word} {number}", "label": word} for number in range(12) for word in ("good", "new")]
    left_out = {name: value for name, value in SMALL.items() if name not in ("linear_size", "vocab_size")}
    second = hf_rnn.train(train=rows, model_name_or_path=str(first.folder), output_dir=str(tmp_path / "b"), **left_out)
    before, after = (load_file(each.folder / "model.safetensors") for each in (first, second))
    assert torch.equal(after["linear.weight"][:, :3], before["linear.weight"]) and not after["linear.weight"][:, 3].any()
    assert torch.equal(after["linear.bias"][:3], before["linear.bias"]) and "is kept as it is" in caplog.text
    assert torch.equal(after["linear.keys"], before["linear.keys"])


def test_test_rows_may_have_labels_of_before(tmp_path):
    """What the model knows is no unknown label, though no training row has it; what neither knows is one."""
    first = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "a"), **SMALL)
    rows = [{"text": f"{word} {number}", "label": word} for number in range(12) for word in ("good", "new")]
    options = {name: value for name, value in SMALL.items() if name != "vocab_size"} | {"model_name_or_path": str(first.folder)}
    result = hf_rnn.train(train=rows, test=ROWS, output_dir=str(tmp_path / "b"), **options)
    assert result.task.labels == ("bad", "dull", "good", "new") and "test_accuracy" in result.metrics
    with pytest.raises(ValueError, match="label 'odd' does not occur in the train split"):
        hf_rnn.train(train=rows, test=[{"text": "x", "label": "odd"}], output_dir=str(tmp_path / "c"), **options)


@pytest.mark.thorough
def test_spans_of_before_are_learnt_again(tmp_path, caplog):
    """Rows of text and spans are mixed as others are; a kind of span without rows is told by its name."""
    old = [{"text": f"see Ann {number}", "label": [[4, 7, "who"]]} for number in range(12)]
    new = [{"text": f"in Rome {number}", "label": [[3, 7, "where"]]} for number in range(12)]
    options = {**SMALL, "word_vocab_size": 0}
    first = hf_rnn.train("token-classification", train=old, output_dir=str(tmp_path / "a"), **options)
    more = {name: value for name, value in options.items() if name != "vocab_size"} | {"model_name_or_path": str(first.folder)}
    second = hf_rnn.train("token-classification", train=new, replay=old, output_dir=str(tmp_path / "b"), **more)
    assert second.task.labels == ("O", "B-who", "I-who", "B-where", "I-where") and "may forget" not in caplog.text
    hf_rnn.train("token-classification", train=new, output_dir=str(tmp_path / "c"), **more)
    assert "No training row has ['who'], which the model knows and may forget" in caplog.text


def test_transitions_of_known_tags_stay(tmp_path):
    """Scores of a CRF between tags that stay are those of the checkpoint."""
    options = {**SMALL, "word_vocab_size": 0}
    first = hf_rnn.train("token-classification", train=SENTENCES, output_dir=str(tmp_path / "a"), **options)
    rows = [*SENTENCES, *[{"tokens": ["call", "Ann"], "tags": ["O", "B-who"], "intent": "x"}] * 10]
    more = {name: value for name, value in options.items() if name != "vocab_size"} | {"learning_rate": 1e-9, "weight_decay": 0.0}
    second = hf_rnn.train("token-classification", train=rows, model_name_or_path=str(first.folder), output_dir=str(tmp_path / "b"), **more)
    assert second.task.labels == (*first.task.labels, "B-who")
    before, after = (load_file(each.folder / "model.safetensors")["crf.transitions"] for each in (first, second))
    assert torch.allclose(after[: len(before), : len(before)], before, atol=1e-6)


@pytest.mark.thorough
def test_a_linear_model_goes_on_as_it_was(tmp_path, caplog):
    """A checkpoint with one has one of the same size again, one without has none; the line of options names none that build a model."""
    with_linear = {**SMALL, "linear_size": 40}
    left_out = {name: value for name, value in SMALL.items() if name not in ("linear_size", "vocab_size", "hidden_size", "embedding_size")}
    for name, options, expected in (("with", with_linear, 40), ("without", SMALL, 0)):
        first = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / f"{name}-a"), **options)
        caplog.clear()
        second = hf_rnn.train(train=ROWS, model_name_or_path=str(first.folder), output_dir=str(tmp_path / f"{name}-b"), **left_out)
        assert (second.model.config.linear_size > 0) == (expected > 0) and second.model.config.linear_size <= expected
        told = caplog.text
        assert "num_train_epochs" in told and "hidden_size" not in told and "linear_size" not in told
        assert ("is fitted again to these rows" in told) == (expected > 0)


def test_a_card_counts_the_linear_model(tmp_path):
    """The weights of the linear model are among those that the card tells."""
    result = hf_rnn.train(train=ROWS, output_dir=str(tmp_path / "m"), **{**SMALL, "linear_size": 40})
    linear = sum(buffer.numel() for buffer in result.model.linear.buffers() if buffer.is_floating_point())
    assert linear > 3 * 10
    assert f"{result.model.num_parameters() + linear:,} parameters" in (tmp_path / "m" / "README.md").read_text()


def test_whole_numbers_of_several_labels_are_no_tags():
    """Where the collator is told so, lists of 0 and 1 as long as the rows are labels of rows."""
    rows = [{"input_ids": [1, 2, 3], "labels": [0, 1, 1]}, {"input_ids": [4, 5, 6], "labels": [1, 0, 0]}]
    assert torch.equal(RnnCollator(has_tags=False)(rows)["labels"], torch.tensor([[0, 1, 1], [1, 0, 0]]))
    short = [{"input_ids": [1], "labels": [5]}, rows[0]]
    assert torch.equal(RnnCollator()(short)["labels"], torch.tensor([[5, -100, -100], [0, 1, 1]]))


def test_the_samples_by_five_lines(tmp_path):
    """What the README says of `hf_rnn.train`, on the sample reviews, in no more than a few steps."""
    data = load_dataset("csv", data_files=str(SAMPLES / "nsmc_train.tsv"), sep="\t", quoting=3, split="train[:200]")
    options = {**SMALL, "vocab_size": 1500, "max_steps": 3}
    result = hf_rnn.train(train=data, text_column_name="document", output_dir=str(tmp_path / "m"), **options)
    assert set(result.metrics) >= {"eval_accuracy", "eval_loss"}


def test_a_long_training_hears_of_bf16(monkeypatch, tmp_path, caplog):
    """Where the processor has it, rows are many and nobody chose it; few rows, and processors without, hear nothing."""
    monkeypatch.setattr(running, "MANY_ROWS", 10)
    for has_bf16, rows, chosen, times in (
        (True, ROWS, False, 1),
        (False, ROWS, False, 0),
        (True, ROWS[:10], False, 0),
        (True, ROWS, True, 0),
    ):
        caplog.clear()
        monkeypatch.setattr(running, "is_available", lambda dtype, has_bf16=has_bf16: has_bf16)
        hf_rnn.train(train=rows, output_dir=str(tmp_path / f"{has_bf16} {len(rows)} {chosen}"), **{**SMALL, "bf16": chosen})
        assert caplog.text.count("--bf16 true") == times
