"""The commands as a user runs them: every file they promise, resumption after a kill, two processes, and errors that help."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_rnn import cli, text_classification, token_classification
from hf_rnn.readers import read_rows

SCRIPTS = Path(__file__).parents[1] / "scripts"
SAMPLES = Path(__file__).parents[1] / "hf_rnn" / "samples"
TINY = "--vocab_size 1500 --embedding_size 16 --hidden_size 16 --num_hidden_layers 1 --use_cpu true --disable_tqdm true".split()
PROMISED = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "all_results.json",
    "trainer_state.json",
    "curves.png",
    "confusion_matrix.png",
    "predictions.jsonl",
    "report.txt",
    "README.md",
}


def reviews(folder, *more):
    """Return arguments that train a tiny classifier on the reviews."""
    files = ["--train_file", str(SAMPLES / "nsmc_train.tsv"), "--test_file", str(SAMPLES / "nsmc_test.tsv")]
    limits = ["--max_train_samples", "800", "--max_eval_samples", "100", "--max_predict_samples", "150", "--validation_share", "0.2"]
    return [*files, *limits, *TINY, "--num_train_epochs", "2", "--output_dir", str(folder), *more]


def sentences(folder, *more):
    """Return arguments that train a tiny tagger on the treebank."""
    files = ["--train_file", str(SAMPLES / "ewt_train.conllu"), "--test_file", str(SAMPLES / "ewt_test.conllu")]
    return [*files, "--max_train_samples", "300", *TINY, "--num_train_epochs", "2", "--output_dir", str(folder), *more]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Train a classifier once; return its folder and metrics."""
    folder = tmp_path_factory.mktemp("classifier") / "reviews"
    return folder, text_classification.main(reviews(folder, "--do_train", "--do_eval", "--do_predict", "--report_to", "tensorboard"))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    """Train a tagger with a CRF once; return its folder and metrics."""
    folder = tmp_path_factory.mktemp("tagger") / "pos"
    return folder, token_classification.main(sentences(folder, "--do_train", "--do_eval", "--do_predict", "--use_crf", "true"))


def test_classifier_writes_what_it_promises(classifier):
    """Every file is there, and predictions stand in data-set order beside the labels of the file."""
    folder, metrics = classifier
    assert {path.name for path in folder.iterdir()} >= PROMISED
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    source = list(read_rows(str(SAMPLES / "nsmc_test.tsv")))[:150]
    assert [(row["text"], row["label"]) for row in rows] == [(row["document"], row["label"]) for row in source]
    right = sum(row["prediction"] == row["label"] for row in rows) / 150
    results = json.loads((folder / "all_results.json").read_text())
    assert metrics["test_accuracy"] == pytest.approx(right) == pytest.approx(results["test_accuracy"])
    assert {"train_loss", "eval_accuracy", "eval_f1_macro", "test_precision_micro"} <= set(results)
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    assert sum("eval_accuracy" in entry for entry in history) == sum("accuracy" in entry for entry in history) == 2
    assert list(folder.rglob("events.out.tfevents*"))


def test_classifier_works_in_a_pipeline(classifier):
    """The folder loads by the Auto classes and a pipeline gives the predictions of the file, singly and in batches."""
    folder, _ = classifier
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()][:40]
    pipe = pipeline("text-classification", model=str(folder))
    for batch_size in (1, 8):
        outputs = pipe([row["text"] for row in rows], batch_size=batch_size)
        for output, row in zip(outputs, rows, strict=True):
            assert output["label"] == row["prediction"]
            assert output["score"] == pytest.approx(row["score"], abs=1e-4)
    assert pipe("")[0]["label"] in ("0", "1")
    assert pipe("영화 " * 5000)[0]["label"] in ("0", "1")


def test_tagger_writes_what_it_promises(tagger):
    """Every file is there; predictions cover every word; a pipeline over tokens finds the same tags."""
    folder, metrics = tagger
    assert {path.name for path in folder.iterdir()} >= PROMISED
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    source = list(read_rows(str(SAMPLES / "ewt_test.conllu")))
    assert [(row["tokens"], row["tags"]) for row in rows] == [(row["form"], row["upos"]) for row in source]
    pairs = [pair for row in rows for pair in zip(row["tags"], row["predictions"], strict=True)]
    assert metrics["test_accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    pipe = pipeline("token-classification", model=str(folder), aggregation_strategy="first")
    for row in rows[:20]:
        starts = {}
        for entity in pipe([row["tokens"]], is_split_into_words=True, delimiter=" ")[0]:
            starts[entity["start"]] = entity["entity_group"]
        position, tags = 0, []
        for token, tag in zip(row["tokens"], row["predictions"], strict=True):
            tags.append((starts.get(position), tag))
            position += len(token) + 1
        assert all(found in (None, tag) for found, tag in tags)
        assert tags[0][0] == row["predictions"][0]


def test_prediction_command(classifier, tagger, tmp_path, capsys):
    """`predict` gives the labels of the predictions file, for texts, text files and tables, and the tags of sentences."""
    folder, _ = classifier
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    cli.main(
        [
            "predict",
            "--model_name_or_path",
            str(folder),
            "--input_file",
            str(SAMPLES / "nsmc_test.tsv"),
            "--output_file",
            str(tmp_path / "p.jsonl"),
        ]
    )
    found = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [row["label"] for row in found[:150]] == [row["prediction"] for row in rows]
    assert len(found) == 1000
    (tmp_path / "a.txt").write_text("영화\n\n좋다\n")
    cli.main(["predict", "--model_name_or_path", str(folder), "--input_file", str(tmp_path / "a.txt")])
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["영화", "", "좋다"]
    folder, _ = tagger
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    cli.main(["predict", "--model_name_or_path", str(folder), "--text", " ".join(rows[0]["tokens"])])
    assert json.loads(capsys.readouterr().out) == {"tokens": rows[0]["tokens"], "tags": rows[0]["predictions"]}
    cli.main(
        [
            "predict",
            "--model_name_or_path",
            str(folder),
            "--input_file",
            str(SAMPLES / "ewt_test.conllu"),
            "--output_file",
            str(tmp_path / "t.jsonl"),
        ]
    )
    assert [json.loads(line)["tags"] for line in (tmp_path / "t.jsonl").read_text().splitlines()] == [row["predictions"] for row in rows]


def test_fine_tuning_goes_on_from_a_checkpoint(classifier, tmp_path):
    """`--model_name_or_path` keeps tokenizer, labels and weights; other labels get a fresh output layer; prediction repeats."""
    folder, metrics = classifier
    again = text_classification.main(reviews(tmp_path / "eval", "--model_name_or_path", str(folder), "--do_predict"))
    assert again["test_accuracy"] == pytest.approx(metrics["test_accuracy"])
    data = tmp_path / "intents.csv"
    data.write_text("text,label\n" + "".join(f"영화 {word},{word}\n" for word in ("a", "b", "c") * 10))
    arguments = [
        "--train_file",
        str(data),
        "--model_name_or_path",
        str(folder),
        "--do_train",
        "--num_train_epochs",
        "1",
        "--use_cpu",
        "true",
    ]
    text_classification.main([*arguments, "--output_dir", str(tmp_path / "intents")])
    tuned = AutoModelForSequenceClassification.from_pretrained(tmp_path / "intents")
    assert tuned.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert AutoTokenizer.from_pretrained(tmp_path / "intents").get_vocab() == AutoTokenizer.from_pretrained(folder).get_vocab()


@pytest.mark.parametrize(
    ("problem_type", "content", "metric"),
    [
        ("multi_label_classification", [{"text": f"{a} {b}", "label": [a, b]} for a in "xyz" for b in "uvw"] * 12, "eval_f1_micro"),
        ("regression", [{"text": "good " * (i % 5) + "x", "label": i % 5 / 4} for i in range(120)], "eval_mse"),
    ],
)
def test_other_problem_types(problem_type, content, metric, tmp_path):
    """Several labels a row and regression run from a file to predictions, and learn."""
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in content))
    arguments = [
        "--train_file",
        str(tmp_path / "a.jsonl"),
        "--problem_type",
        problem_type,
        "--do_train",
        "--do_eval",
        "--validation_share",
        "0.2",
    ]
    options = [
        "--tokenizer_type",
        "word",
        *TINY,
        "--num_train_epochs",
        "15",
        "--learning_rate",
        "0.02",
        "--per_device_train_batch_size",
        "8",
    ]
    metrics = text_classification.main([*arguments, *options, "--output_dir", str(tmp_path / "out")])
    assert metrics[metric] > 0.9 if metric == "eval_f1_micro" else metrics[metric] < 0.03
    first = json.loads((tmp_path / "out" / "predictions.jsonl").read_text().splitlines()[0])
    assert {"text", "label", "prediction"} <= set(first)


def test_streaming(tmp_path):
    """A stream trains for a number of steps, and says so when it has none."""
    arguments = reviews(tmp_path / "out", "--do_train", "--streaming", "true")
    with pytest.raises(ValueError, match="`streaming` needs the number of steps"):
        text_classification.main(arguments)
    text_classification.main([*arguments, "--max_steps", "5"])
    assert json.loads((tmp_path / "out" / "trainer_state.json").read_text())["global_step"] == 5


def test_options_from_a_file(tmp_path, capsys):
    """YAML and JSON files hold options; those of the command line win."""
    options = dict(zip(*[iter(argument.removeprefix("--") for argument in reviews(tmp_path / "out"))] * 2, strict=True))
    (tmp_path / "o.yaml").write_text(
        "\n".join(f"{name}: {value}" for name, value in {**options, "do_train": True, "cell_type": "lstm"}.items())
    )
    text_classification.main([str(tmp_path / "o.yaml"), "--cell_type", "gru", "--num_train_epochs", "1"])
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["cell_type"], config["hidden_size"]) == ("gru", 16)


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("text-classification", ["--do_train"], "Give either --dataset_name or files"),
        ("text-classification", ["--train_file", "x.csv"], "Nothing to do: pass at least one of --do_train"),
        ("text-classification", ["--train_file", "x.csv", "--do_train"], "x.csv: there is no such file"),
        ("text-classification", ["--train_file", str(SAMPLES / "nsmc_test.tsv"), "--do_predict"], "The run needs a test split"),
        (
            "text-classification",
            ["--train_file", str(SAMPLES / "nsmc_test.tsv"), "--do_train", "--text_column_name", "t"],
            "lacks column 't'",
        ),
        (
            "text-classification",
            ["--train_file", str(SAMPLES / "nsmc_test.tsv"), "--do_train", "--pooling", "lsat"],
            "`pooling` must be one of",
        ),
        (
            "text-classification",
            ["--train_file", str(SAMPLES / "nsmc_test.tsv"), "--do_train", "--problem_type", "x"],
            "`problem_type` must be",
        ),
        (
            "token-classification",
            ["--train_file", str(SAMPLES / "ewt_test.conllu"), "--do_train", "--use_crf", "true", "--crf_constraints", "bio"],
            "BIO scheme",
        ),
        (
            "token-classification",
            ["--train_file", str(SAMPLES / "ewt_test.conllu"), "--do_train", "--max_length", "5"],
            "more than max_length=5",
        ),
        ("text-classification", ["nowhere.yaml"], "nowhere.yaml: there is no such file of options"),
        ("predict", ["--model_name_or_path", ".", "--input_file", "x.csv"], ""),
    ],
)
def test_errors_are_one_line(command, arguments, message, tmp_path, capsys):
    """Wrong options and data end in status 1 and one line that names the thing, not in a traceback."""
    more = [] if command == "predict" or arguments[0].endswith(".yaml") else ["--output_dir", str(tmp_path / "o"), "--use_cpu", "true"]
    assert cli.main([command, *arguments, *more]) == 1
    error = capsys.readouterr().err
    assert error.strip().splitlines()[-1].startswith("error: ") or not message
    assert message in error
    assert "Traceback" not in error


def test_the_command_lists_what_it_can(capsys):
    """Without a command, with --help and with an unknown one."""
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert "text-classification" in capsys.readouterr().out
    assert cli.main(["dance"]) == 2
    assert "no command 'dance'" in capsys.readouterr().err


def test_tokenizer_command(tmp_path):
    """A tokenizer is trained and saved, from texts or from tokens, and a run can use it."""
    cli.main(
        [
            "train-tokenizer",
            "--train_file",
            str(SAMPLES / "ewt_train.conllu"),
            "--tokenizer_type",
            "bpe",
            "--vocab_size",
            "300",
            "--output_dir",
            str(tmp_path / "t"),
        ]
    )
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "t")
    assert len(tokenizer) == 300
    arguments = sentences(tmp_path / "out", "--do_train", "--tokenizer_name", str(tmp_path / "t"), "--num_train_epochs", "1")
    token_classification.main(arguments)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == tokenizer.get_vocab()


def weights(folder):
    """Return the weights of a run."""
    return load_file(folder / "model.safetensors")


def test_an_earlier_run_is_not_overwritten(classifier, tmp_path):
    """Checkpoints of another run in the output folder are an error that names both ways on."""
    folder, _ = classifier
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run. Pass --resume_from_checkpoint last"):
        text_classification.main(reviews(folder, "--do_train"))
    with pytest.raises(ValueError, match="is not a whole checkpoint: config.json is missing"):
        text_classification.main(reviews(folder, "--do_train", "--resume_from_checkpoint", str(tmp_path)))


def test_resume_after_kill_is_bit_identical(tmp_path):
    """Killed at any moment and resumed, as often as it takes, the run ends with the weights of one that was left alone."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    options = [
        "--do_train",
        "--do_eval",
        "--save_strategy",
        "steps",
        "--eval_strategy",
        "steps",
        "--save_steps",
        "4",
        "--eval_steps",
        "4",
        "--logging_steps",
        "4",
    ]
    command = [sys.executable, str(SCRIPTS / "run_text_classification.py")]
    subprocess.run([*command, *reviews(tmp_path / "whole", *options)], env=environment, check=True, capture_output=True)
    kills = 0
    while not (tmp_path / "killed" / "all_results.json").is_file():
        resumed = ["--resume_from_checkpoint", "last"] if (tmp_path / "killed").is_dir() else []
        process = subprocess.Popen(
            [*command, *reviews(tmp_path / "killed", *options, *resumed)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        if kills < 2:
            before = set((tmp_path / "killed").glob("checkpoint-*"))
            while process.poll() is None and set((tmp_path / "killed").glob("checkpoint-*")) <= before:
                time.sleep(0.01)
            # the folder is there, its files are being written
            time.sleep(0.03 * kills)
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, error = process.communicate(timeout=300)
        assert process.returncode in (0, -signal.SIGKILL), error.decode()[-2000:]
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert kills == 2
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_two_processes_give_the_metrics_of_one(tmp_path):
    """Under `accelerate launch` with two CPU processes training takes the same steps and evaluation finds the same metrics."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    options = ["--do_train", "--do_eval", "--do_predict", "--learning_rate", "0.5", "--optim", "sgd", "--max_eval_samples", "99"]
    options += ["--input_dropout", "0", "--hidden_dropout", "0", "--classifier_dropout", "0"]
    # --multi_gpu is accelerate's way to start several processes on one machine; --use_cpu keeps them off any GPU
    launch = "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no"
    launch = [sys.executable, *launch.split(), "--main_process_port", "0"]
    script = str(SCRIPTS / "run_text_classification.py")
    for name, prefix, size in (("two", launch, 16), ("one", [sys.executable], 32)):
        arguments = reviews(tmp_path / name, *options, "--per_device_train_batch_size", str(size))
        process = subprocess.run([*prefix, script, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr[-3000:]
    states = [json.loads((tmp_path / name / "trainer_state.json").read_text()) for name in ("one", "two")]
    assert states[0]["global_step"] == states[1]["global_step"] == 40
    one, two = (json.loads((tmp_path / name / "all_results.json").read_text()) for name in ("one", "two"))
    for metric in ("eval_accuracy", "eval_f1_macro", "eval_recall_macro", "test_accuracy", "test_f1_micro"):
        assert two[metric] == pytest.approx(one[metric], abs=1e-9), metric
    # the Trainer averages the losses of batches, of which the last is filled up with rows seen before
    assert two["eval_loss"] == pytest.approx(one["eval_loss"], abs=5e-3)
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a if a[name].is_floating_point())
    predictions = [(tmp_path / name / "predictions.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert [json.loads(line)["text"] for line in predictions[0]] == [json.loads(line)["text"] for line in predictions[1]]
    assert len(predictions[1]) == 150


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
def test_every_aggregation_strategy(tagger, strategy):
    """Offsets of Korean, emoji and combining marks point at words; batches give the labels of single sentences; no text, no entity."""
    folder, _ = tagger
    # the library maps a composed letter to its base alone, so that a mark at the very end of a word would be left out
    text = "이 multi-millionaires 😀 cafe\u0301s visited Seoul ."
    pipe = pipeline("token-classification", model=str(folder), aggregation_strategy=strategy)
    entities = pipe(text)
    covered = "".join(text[entity["start"] : entity["end"]] for entity in entities)
    if strategy in ("first", "average", "max"):
        assert covered.replace(" ", "") == text.replace(" ", "")
    borders = {0, len(text)} | {index + shift for index, letter in enumerate(text) if letter == " " for shift in (0, 1)}
    if strategy != "none":
        assert all(entity["start"] in borders and entity["end"] in borders for entity in entities)
    key = "entity" if strategy == "none" else "entity_group"
    for single, batched in zip((entities, pipe("a b")), pipe([text, "a b"], batch_size=2), strict=True):
        assert [entity[key] for entity in single] == [entity[key] for entity in batched]
    assert pipe("") == pipe("   ") == []


def test_evaluator_works_offline(classifier):
    """`evaluate.evaluator` gives the accuracy of the predictions file."""
    import datasets
    import evaluate

    from hf_rnn.metrics import ClassificationMetric, load_metric

    folder, _ = classifier
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()][:50]
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    results = evaluate.evaluator("text-classification").compute(
        model_or_pipeline=model,
        tokenizer=AutoTokenizer.from_pretrained(folder),
        data=datasets.Dataset.from_list([{"text": row["text"], "label": int(row["label"])} for row in rows]),
        metric=load_metric(ClassificationMetric),
        label_mapping=model.config.label2id,
    )
    assert results["accuracy"] == pytest.approx(sum(row["prediction"] == row["label"] for row in rows) / 50)
