"""Two hundred odd texts go through every command that reads texts: none fails, and each keeps its place."""

import json

import pytest
from odd_texts import SURROGATES, odd_texts
from runs import TINY, predictions

from hf_rnn.commands import cli
from hf_rnn.data.files.json_files import whole_text

TEXTS = odd_texts()
# in JSON, two halves beside each other are one character
WHOLE = [whole_text(json.loads(json.dumps(text))) for text in TEXTS]
SMALL = [*TINY, "--num_train_epochs", "1", "--linear_size", "64"]


@pytest.fixture
def files(tmp_path):
    """Write the texts with labels, as tokens with tags, and with spans."""
    rows = {
        "texts": [{"text": text, "label": "pn"[row % 2]} for row, text in enumerate(TEXTS)],
        "tokens": [{"tokens": text.split(), "tags": ["O", "B-X"][row % 2 :][:1] * len(text.split())} for row, text in enumerate(TEXTS)],
        "spans": [{"text": text, "spans": [[0, 1, "X"]] if text[:1].strip() else []} for text in TEXTS],
    }
    for name, lines in rows.items():
        # escaped, which is how a half of a pair gets into a file
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "tiny.yaml").write_text("\n".join(f"{name[2:]}: {value}" for name, value in zip(SMALL[::2], SMALL[1::2], strict=True)))
    return tmp_path


def run(*arguments):
    """Run a command, which succeeds."""
    assert cli.main([str(argument) for argument in arguments]) == 0


def test_there_are_so_many():
    """Two hundred different texts, eight of which no file can hold as they are."""
    assert len(set(TEXTS)) == 200
    assert len(SURROGATES) == sum(text != whole for text, whole in zip(TEXTS, WHOLE, strict=True)) == 8


@pytest.mark.parametrize("model", ["classifier", "tagger", "span_tagger"])
def test_predict(model, files, request):
    """All are answered in their order, whatever the head."""
    folder = request.getfixturevalue(model)[0]
    run("predict", "--model_name_or_path", folder, "--input_file", files / "texts.jsonl", "--output_file", files / "out.jsonl")
    answers = [json.loads(line) for line in (files / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [row["text"] for row in answers] == WHOLE
    for row in answers:
        assert all(row["text"][span["start"] : span["end"]] == span["word"] for span in row.get("spans", ()))


def test_explain(classifier, files, capsys):
    """All are explained, on the terminal and as a page, with halves of pairs replaced."""
    given = [text for text in TEXTS if not text.startswith("--")]
    run("explain", "--model_name_or_path", classifier[0], "--output_file", files / "page.html", "--texts", *given)
    assert (files / "page.html").read_text(encoding="utf-8").count('<p class="text">') == len(given)
    assert "<script>alert" not in (files / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece", "word", "char"])
def test_train_tokenizer(kind, files):
    """Every kind of tokenizer learns from them."""
    options = ["--tokenizer_type", kind, "--vocab_size", "3000", "--output_dir", files / kind]
    run("train-tokenizer", "--train_file", files / "texts.jsonl", *options)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "name"), [("text-classification", "texts"), ("token-classification", "tokens")])
def test_train_and_evaluate(command, name, files):
    """Training, evaluation and prediction keep the order; so does an evaluation alone."""
    data = ["--train_file", files / f"{name}.jsonl", "--test_file", files / f"{name}.jsonl"]
    sizes = ["--vocab_size", "3000", *SMALL[2:]]
    run(command, *data, *sizes, "--do_train", "--do_eval", "--do_predict", "--output_dir", files / "model")
    data = ["--test_file", files / f"{name}.jsonl", "--use_cpu", "true"]
    run(command, *data, "--model_name_or_path", files / "model", "--do_predict", "--output_dir", files / "evaluated")
    for folder in ("model", "evaluated"):
        rows = predictions(files / folder)
        assert [row.get("text", row.get("tokens")) for row in rows] == [text.split() if name == "tokens" else text for text in WHOLE]


@pytest.mark.slow
def test_train_spans(files):
    """Spans of raw text."""
    data = ["--train_file", files / "spans.jsonl", "--test_file", files / "spans.jsonl"]
    run("token-classification", *data, *SMALL, "--do_train", "--do_eval", "--do_predict", "--output_dir", files / "model")
    assert [row["text"] for row in predictions(files / "model")] == WHOLE


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_language_model(objective, files):
    """Bodies are pretrained on them."""
    more = ["--objective", objective, "--do_train", "--do_eval", "--validation_rows", "20", "--output_dir", files / "body"]
    run("language-model", "--train_files", files / "texts.jsonl", "--vocab_size", "3000", *SMALL[2:-2], *more)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["export", "--quantize", "true"], ["convert"]])
def test_smaller_models(command, classifier, tagger, files):
    """What smaller models lose is measured on them."""
    for (folder, _), name in ((classifier, "texts"), (tagger, "tokens")):
        options = ["--test_file", files / f"{name}.jsonl", "--output_dir", files / name]
        run(*command, "--model_name_or_path", folder, *options)


@pytest.mark.slow
def test_distill_and_learning_curve(files):
    """A teacher answers them, and a curve is measured on them."""
    data = ["--train_file", files / "texts.jsonl", "--test_file", files / "texts.jsonl"]
    (files / "tiny.yaml").write_text((files / "tiny.yaml").read_text().replace("vocab_size: 1500", "vocab_size: 3000"))
    options = ["--options_file", files / "tiny.yaml"]
    run("text-classification", *data[:2], "--vocab_size", "3000", *SMALL[2:], "--do_train", "--output_dir", files / "teacher")
    run("distill", *data, "--teacher", files / "teacher", "--augment", "50", *options, "--output_dir", files / "student")
    run("learning-curve", *data, *options, "--sizes", "150", "--seeds", "1", "--output_dir", files / "curve")
