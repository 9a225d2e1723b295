"""`hf-rnn compare` puts folders, exports, other architectures, recipes and settings into one table and one picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from runs import SAMPLES
from transformers import BertConfig, BertForSequenceClassification

from hf_rnn.commands import cli, compare
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.loading import load_tokenizer
from hf_rnn.inference.loading import load

TINY = {"vocab_size": 1200, "embedding_size": 16, "hidden_size": 16, "num_train_epochs": 1, "use_cpu": True, "linear_size": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write reviews to train on and to compare on, and a recipe; return the folder."""
    folder = tmp_path_factory.mktemp("compare")
    rows = list(read_rows(str(SAMPLES / "nsmc_train.tsv")))
    for name, part in (("train", rows[800:1000]), ("test", rows[1000:1080])):
        (folder / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": r["document"], "label": r["label"]}) for r in part))
    (folder / "gru.yaml").write_text(json.dumps({**TINY, "cell_type": "gru", "test_file": "never read", "do_predict": True}))
    return folder


@pytest.mark.thorough
def test_everything_in_one_table(data, classifier, tmp_path, monkeypatch, capsys):
    """An LSTM, its export in fp32 and int8, a transformer, a recipe and settings, each measured on the same rows; trained only once."""
    source = str(classifier[0])
    assert cli.main(["export", "--model_name_or_path", source, "--quantize", "true", "--output_dir", str(tmp_path / "onnx")]) == 0
    tokenizer = load_tokenizer(source)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    labels = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **sizes, **labels)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    settings = " ".join(f"{name}={value}" for name, value in {**TINY, "cell_type": "lstm"}.items())
    models = [source, str(tmp_path / "onnx"), str(tmp_path / "bert"), str(data / "gru.yaml"), settings]
    files = ["--train_file", str(data / "train.jsonl"), "--test_file", str(data / "test.jsonl")]
    argv = [*models, *files, "--output_dir", str(tmp_path / "out"), "--resamples", "200"]
    lines = compare.main([*argv, "--names", "lstm", "onnx", "bert", "gru", "small"])
    assert list(lines) == ["lstm", "onnx/model.onnx", "onnx/model_quantized.onnx", "bert", "gru", "small"]
    answers = load(source).predict([row["text"] for row in read_rows(str(data / "test.jsonl"))])
    right = [answer["label"] == row["label"] for answer, row in zip(answers, read_rows(str(data / "test.jsonl")), strict=True)]
    assert lines["lstm"]["score"]["value"] == pytest.approx(sum(right) / len(right))
    assert lines["lstm"]["brier"] == pytest.approx(
        np.mean([(answer["score"] - ok) ** 2 for answer, ok in zip(answers, right, strict=True)])
    )
    exported = lines["onnx/model.onnx"]
    assert exported["difference"] == {"value": 0, "low": 0, "high": 0, "p": 1}
    assert exported["parameters"] == pytest.approx(lines["lstm"]["parameters"], rel=0.01)
    assert lines["onnx/model_quantized.onnx"]["MiB"] < exported["MiB"]
    for line in lines.values():
        assert line["score"]["low"] <= line["score"]["value"] <= line["score"]["high"]
        assert line["texts/s alone"] > 0 and line["texts/s in batches"] > 0
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == lines
    assert (tmp_path / "out" / "comparison.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000
    monkeypatch.setattr(compare, "train_by_options", None)
    again = compare.main([*argv, "--names", "lstm", "onnx", "bert", "gru", "small"])
    assert {name: line["score"] for name, line in again.items()} == {name: line["score"] for name, line in lines.items()}
    # other rows under the same name are another model
    rows = (data / "train.jsonl").read_text()
    (data / "train.jsonl").write_text(rows.partition("\n")[2])
    trained = []
    monkeypatch.setattr(compare, "train_by_options", lambda task, options: trained.append(options))
    with pytest.raises(ValueError, match="There is no folder"):
        compare.main([*argv, "--names", "lstm", "onnx", "bert", "gru", "small"])
    (data / "train.jsonl").write_text(rows)
    assert len(trained) == 1


def test_seeds(data, classifier, tmp_path, monkeypatch, capsys):
    """Settings are trained with each seed, from that of --seed or of the recipe on; a folder stands beside them as it is."""
    trained = []

    def train(task, options):
        trained.append((options["seed"], options["output_dir"]))
        Path(options["output_dir"]).parent.mkdir(parents=True, exist_ok=True)
        Path(options["output_dir"]).symlink_to(classifier[0])

    monkeypatch.setattr(compare, "train_by_options", train)
    source, files = str(classifier[0]), ["--test_file", str(data / "test.jsonl"), "--output_dir", str(tmp_path / "out")]
    (tmp_path / "gru.json").write_text(json.dumps({"cell_type": "gru", "seed": 7, "train_file": str(data / "train.jsonl")}))
    argv = [source, str(tmp_path / "gru.json"), *files, "--seeds", "3", "--resamples", "100"]
    lines = compare.main(argv)
    assert [seed for seed, _ in trained] == [7, 8, 9]
    assert len({folder for _, folder in trained}) == 3
    name = "gru.json"
    alone = lines[source.rpartition("/")[2]]
    # the same answers, counted alike; a mean of equal numbers may be the last bit off them
    assert lines[name]["scores"] == alone["scores"] * 3 and alone["scores"] == pytest.approx([alone["score"]["value"]], rel=1e-12)
    assert "mean of 3 seeds ± standard deviation" in capsys.readouterr().out
    table = (tmp_path / "out" / "comparison.tex").read_text()
    assert r"\pm$ 0.00" in table and table.count(r"\\") == 3
    line = lines[name]
    assert line["ece"] > 0 and line["brier"] == pytest.approx(lines[source.rpartition("/")[2]]["brier"])
    assert "& ECE & Brier & parameters" in table and f"& {line['ece']:.3f} & {line['brier']:.3f} &" in table
    trained.clear()
    compare.main([*argv, "--seed", "1"])
    assert [seed for seed, _ in trained] == [1, 2, 3]


@pytest.mark.thorough
def test_taggers(tagger, tmp_path):
    """Tags of no scheme are compared by accuracy over words, beside the export."""
    assert cli.main(["export", "--model_name_or_path", str(tagger[0]), "--output_dir", str(tmp_path / "onnx")]) == 0
    options = ["--test_file", str(SAMPLES / "ewt_test.conllu"), "--output_dir", str(tmp_path / "out"), "--resamples", "100"]
    lines = compare.main([str(tagger[0]), str(tmp_path / "onnx" / "model.onnx"), *options])
    assert list(lines) == ["pos", "model.onnx"]
    assert lines["pos"]["measure"] == "accuracy"
    assert lines["pos"]["score"]["value"] == pytest.approx(tagger[1]["test_accuracy"])


def test_raw_text(span_tagger, tmp_path):
    """Taggers of raw text are compared by F1 over spans of characters."""
    options = ["--test_file", str(span_tagger[0].parent / "test.jsonl"), "--output_dir", str(tmp_path / "out"), "--resamples", "100"]
    copy = tmp_path / "copy"
    copy.symlink_to(span_tagger[0])
    lines = compare.main([str(span_tagger[0]), str(copy), *options])
    assert lines["copy"]["measure"] == "f1"
    assert lines["copy"]["score"]["value"] == pytest.approx(span_tagger[1]["test_f1"])
    assert 0 < lines["copy"]["brier"] < 1


def test_wrong_calls(data, classifier, tagger, capsys):
    """One line says what is wrong."""
    source, test = str(classifier[0]), str(data / "test.jsonl")
    for argv, message in [
        ([], "`models` is needed: two or more to compare"),
        ([source], "`test_file` is needed"),
        ([source, "--test_file", test], "A comparison needs two models"),
        ([source, source, "--test_file", test], "`models` must be different"),
        ([source, str(tagger[0]), "--test_file", test], "Classifiers and taggers answer different questions"),
        ([source, "cell_typ=gru", "--train_file", test, "--test_file", test], "no option --cell_typ here. Did you mean --cell_type"),
        ([source, "x=1", "--test_file", "gone.csv"], "gone.csv: there is no such file"),
        ([source, "none.yaml", "--test_file", test], "none.yaml: there is no such file of options"),
        ([source, "gone", "--test_file", test, "--names", "a"], "`names` must be one for each of 2 models"),
        ([source, f"{source}/", "--test_file", test, "--label_column_name", "text"], "none of those of the test file"),
    ]:
        assert cli.main(["compare", *argv, "--output_dir", str(data / "wrong")]) == 1
        assert message in capsys.readouterr().err
