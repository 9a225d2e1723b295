"""The commands as a user runs them: every file they promise, options, and errors that help."""

import json

import pytest
from runs import SAMPLES, TINY, predictions, reviews, sentences
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertTokenizerFast, pipeline

from hf_rnn.commands import cli, text_classification, token_classification
from hf_rnn.data.files.readers import DataError, read_rows
from hf_rnn.data.tokenizers.training import train_tokenizer

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


def test_classifier_writes_what_it_promises(classifier):
    """Every file is there, and predictions stand in data-set order beside the labels of the file."""
    folder, metrics = classifier
    assert {path.name for path in folder.iterdir()} >= PROMISED
    rows = predictions(folder)
    source = list(read_rows(str(SAMPLES / "nsmc_test.tsv")))[:150]
    assert [(row["text"], row["label"]) for row in rows] == [(row["document"], row["label"]) for row in source]
    right = sum(row["prediction"] == row["label"] for row in rows) / 150
    results = json.loads((folder / "all_results.json").read_text())
    assert metrics["test_accuracy"] == pytest.approx(right) == pytest.approx(results["test_accuracy"])
    assert {"train_loss", "eval_accuracy", "eval_f1_macro", "test_precision_micro"} <= set(results)
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    assert sum("eval_accuracy" in entry for entry in history) == sum("accuracy" in entry for entry in history) == 2
    assert list(folder.rglob("events.out.tfevents*"))
    assert "test_unseen_accuracy" not in metrics


def test_tagger_writes_what_it_promises(tagger):
    """Every file is there; predictions cover every word; a pipeline over tokens finds the same tags."""
    folder, metrics = tagger
    assert {path.name for path in folder.iterdir()} >= PROMISED
    rows = predictions(folder)
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


@pytest.mark.thorough
def test_rows_that_training_has_too(tmp_path):
    """Where texts of the test split were trained on, the score on the others is told beside that on all."""
    lines = {name: (SAMPLES / f"nsmc_{name}.tsv").read_text().splitlines() for name in ("train", "test")}
    (tmp_path / "test.tsv").write_text("\n".join([*lines["test"][:41], *lines["train"][1:21]]) + "\n")
    arguments = reviews(tmp_path / "c", "--do_train", "--do_predict", "--test_file", str(tmp_path / "test.tsv"))
    metrics = text_classification.main(arguments)
    rows = predictions(tmp_path / "c")
    right = [row["prediction"] == row["label"] for row in rows]
    assert metrics["test_unseen_samples"] == 40
    assert metrics["test_unseen_accuracy"] == pytest.approx(sum(right[:40]) / 40)
    assert metrics["test_accuracy"] == pytest.approx(sum(right) / 60)
    assert json.loads((tmp_path / "c" / "test_results.json").read_text())["test_unseen_samples"] == 40
    assert "unseen\\_accuracy" in (tmp_path / "c" / "README.md").read_text()
    train, test = ((SAMPLES / f"ewt_{name}.conllu").read_text().split("\n\n") for name in ("train", "test"))
    (tmp_path / "test.conllu").write_text("\n\n".join([*train[:5], *test[:10]]) + "\n\n")
    arguments = sentences(tmp_path / "t", "--do_train", "--do_predict", "--linear_size", "0", "--test_file", str(tmp_path / "test.conllu"))
    metrics = token_classification.main(arguments)
    pairs = [pair for row in predictions(tmp_path / "t")[5:] for pair in zip(row["tags"], row["predictions"], strict=True)]
    assert metrics["test_unseen_samples"] == 10
    assert metrics["test_unseen_accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))


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
    short = ["--num_train_epochs", "1", "--linear_size", "0"]
    token_classification.main(sentences(tmp_path / "out", "--do_train", "--tokenizer_name", str(tmp_path / "t"), *short))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == tokenizer.get_vocab()


def test_unlabelled_test_files(classifier, tagger, tmp_path):
    """Texts without labels are predicted, without metrics; for sentences without tags the error names the column that lacks."""
    folder, _ = classifier
    (tmp_path / "texts.jsonl").write_text('{"text": "영화"}\n{"text": "좋다"}\n')
    arguments = ["--test_file", str(tmp_path / "texts.jsonl"), "--do_predict", "--use_cpu", "true", "--output_dir"]
    metrics = text_classification.main([*arguments, str(tmp_path / "a"), "--model_name_or_path", str(folder)])
    assert "test_accuracy" not in metrics
    rows = [json.loads(line) for line in (tmp_path / "a" / "predictions.jsonl").read_text().splitlines()]
    assert [(row["text"], row["label"]) for row in rows] == [("영화", None), ("좋다", None)]
    assert {row["prediction"] for row in rows} <= {"negative", "positive"}
    (tmp_path / "texts.jsonl").write_text('{"tokens": ["a", "b"]}\n')
    with pytest.raises(DataError, match="The test split lacks any of the usual columns"):
        token_classification.main([*arguments, str(tmp_path / "b"), "--model_name_or_path", str(tagger[0])])


def test_labels_that_training_lacks(tmp_path):
    """They are an error, or count as wrong if asked for; they are never dropped."""
    for name, labels in (("train", "aabb" * 10), ("valid", "aabc")):
        (tmp_path / f"{name}.csv").write_text("text,label\n" + "".join(f"word {label},{label}\n" for label in labels))
    files = ["--train_file", str(tmp_path / "train.csv"), "--validation_file", str(tmp_path / "valid.csv"), "--do_train", "--do_eval"]
    options = [
        "--tokenizer_type",
        "word",
        *TINY,
        "--num_train_epochs",
        "8",
        "--learning_rate",
        "0.02",
        "--output_dir",
        str(tmp_path / "out"),
    ]
    with pytest.raises(DataError, match=r"line 5 \(validation row 3\), column 'label': label 'c' does not occur in the train split"):
        text_classification.main([*files, *options])
    metrics = text_classification.main([*files, *options, "--unknown_labels", "wrong"])
    assert metrics["eval_accuracy"] == 0.75


def test_a_tokenizer_of_the_bert_family(tmp_path, capsys):
    """It goes through training, saving, a pipeline, which passes its segment ids on, and `hf-rnn predict`."""
    texts = [row["document"] for row in read_rows(str(SAMPLES / "nsmc_test.tsv"))]
    vocabulary = train_tokenizer(texts, "wordpiece", 1000).get_vocab()
    pieces = ["[CLS]", *sorted(vocabulary, key=vocabulary.__getitem__)]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizerFast(str(tmp_path / "vocab.txt"), do_lower_case=False).save_pretrained(tmp_path / "bert")
    options = ["--tokenizer_name", str(tmp_path / "bert"), "--word_pooling", "rnn", "--do_train", "--do_eval"]
    metrics = text_classification.main(reviews(tmp_path / "model", *options))
    assert 0 < metrics["eval_accuracy"] <= 1
    classify = pipeline("text-classification", model=str(tmp_path / "model"))
    assert "token_type_ids" in classify.tokenizer("영화")
    assert not classify.model.needs_piece_types
    answer = classify("정말 재미있는 영화")[0]
    capsys.readouterr()
    assert cli.main(["predict", "--model_name_or_path", str(tmp_path / "model"), "--text", "정말 재미있는 영화"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["label"] == answer["label"]
    assert found["score"] == pytest.approx(answer["score"], abs=1e-6)
