"""Taggers of raw text from the command line: what is read, what is written, what is refused."""

import json

import pytest
from runs import predictions, spans

from hf_rnn import load
from hf_rnn.commands import cli, token_classification

TINY = "--hidden_size 8 --embedding_size 8 --num_hidden_layers 1 --num_train_epochs 1 --use_cpu true --disable_tqdm true".split()
TREE = """# text = Don't stop!
1-2	Don't	_	_	_	_	_	_	_	SpaceAfter=_
1	Do	do	AUX	_	_	0	_	_	_
2	n't	not	PART	_	_	0	_	_	_
3	stop	stop	VERB	_	_	0	_	_	SpaceAfter=No
4	!	!	PUNCT	_	_	0	_	_	_

"""


def run(capsys, *arguments):
    """Run the command with its errors as a line; return its status and what it wrote to the error stream."""
    status = cli.main(["token-classification", *map(str, arguments)])
    return status, capsys.readouterr().err


def test_what_a_run_leaves(span_tagger):
    """Predictions with offsets, scores by label, a page of texts, and a card whose example is a raw sentence."""
    folder, metrics = span_tagger
    rows = predictions(folder)
    assert all(row["text"][span["start"] : span["end"]] for row in rows for span in (*row["spans"], *row["predictions"]))
    report = (folder / "report.txt").read_text()
    assert report.startswith("test") and {"LOC", "PER", "all", "any"} <= {line.split()[0] for line in report.splitlines()[3:]}
    assert f"{metrics['test_f1']:.4f}" in report
    assert (folder / "report.html").read_text(encoding="utf-8").count("<article") == len(rows)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.count('aggregation_strategy="simple"') == 3 and "separated by spaces" not in card


def test_emissions_are_no_answers(span_tagger):
    """With a CRF the arg max of what is computed in training is not what the tagger says: no accuracy is told of it, nor judged by."""
    history = json.loads((span_tagger[0] / "trainer_state.json").read_text())["log_history"]
    assert any("loss" in entry for entry in history) and not any("accuracy" in entry for entry in history)


def test_evaluation_alone_and_further_training(span_tagger, tmp_path):
    """A checkpoint evaluated on its own gives the scores of its run; one that goes on keeps units, CRF and labels."""
    folder, metrics = span_tagger
    more = ["--model_name_or_path", str(folder)]
    again = token_classification.main(spans(tmp_path / "eval", *more, "--do_predict"))
    assert again["test_f1"] == pytest.approx(metrics["test_f1"])
    further = token_classification.main(spans(tmp_path / "more", *more, "--do_train", "--do_predict", "--max_steps", "1"))
    config, old = load(str(tmp_path / "more")).model.config, load(str(folder)).model.config
    assert (config.units, config.use_crf, config.id2label, config.ngram_vocab_size) == ("raw", True, old.id2label, old.ngram_vocab_size)
    assert further["test_f1"] > 0.8


def test_treebanks_on_request(tmp_path):
    """`--from_text true` learns words and tags from a treebank's text; without it tokens stay what is tagged."""
    (tmp_path / "a.conllu").write_text(TREE * 20, encoding="utf-8")
    files = ["--train_file", str(tmp_path / "a.conllu"), "--test_file", str(tmp_path / "a.conllu"), "--do_train", "--do_predict", *TINY]
    token_classification.main([*files, "--from_text", "true", "--label_column_name", "upos", "--output_dir", str(tmp_path / "raw")])
    row = predictions(tmp_path / "raw")[0]
    assert row["text"] == "Don't stop!"
    words = [(row["text"][span["start"] : span["end"]], span["label"]) for span in row["spans"]]
    assert words == [("Do", "AUX"), ("n't", "PART"), ("stop", "VERB"), ("!", "PUNCT")]
    token_classification.main([*files, "--label_column_name", "upos", "--output_dir", str(tmp_path / "tokens")])
    assert predictions(tmp_path / "tokens")[0]["tokens"] == ["Do", "n't", "stop", "!"]


def test_entities_of_tokens_and_trimmed_spans(tmp_path, caplog):
    """Tags of a scheme become spans of the joined tokens; white space at the ends of spans is cut off with a warning that counts."""
    rows = [{"tokens": ["to", "New", "York", "."], "tags": ["O", "B-LOC", "I-LOC", "O"]}] * 20
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = ["--train_file", str(tmp_path / "a.jsonl"), "--test_file", str(tmp_path / "a.jsonl"), "--do_train", "--do_predict", *TINY]
    token_classification.main([*files, "--from_text", "true", "--output_dir", str(tmp_path / "a")])
    assert predictions(tmp_path / "a")[0]["spans"] == [{"start": 3, "end": 11, "label": "LOC"}]
    rows = [{"text": "to Rome now", "label": [[2, 8, "LOC"]]}] * 20
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    token_classification.main(["--train_file", str(tmp_path / "b.jsonl"), "--do_train", *TINY, "--output_dir", str(tmp_path / "b")])
    assert "20 spans of the train split had white space at an end" in caplog.text
    assert "0 of 40 borders" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"text": "We flew", "label": [[0, 9, "X"]]},
            "a.jsonl, line 2 (train row 1), span 0 [0, 9) 'X' of the text 'We flew' (7 characters): it lies outside",
        ),
        ({"text": "We flew", "label": [[0, 2, "X"], [1, 4, "Y"]]}, "a.jsonl, line 2 (train row 1): spans [0, 2) 'X' and [1, 4) 'Y'"),
        ({"text": None, "label": [[0, 2, "X"]]}, "error: A row has spans but no text"),
    ],
)
def test_wrong_spans_are_one_line(tmp_path, capsys, row, message):
    """The error names row, span and text, and there is no traceback."""
    rows = [{"text": "We flew", "label": [[0, 2, "X"]]}, row]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    status, error = run(capsys, "--train_file", tmp_path / "a.jsonl", "--do_train", "--output_dir", tmp_path / "out")
    assert status == 1 and message in error and "Traceback" not in error


@pytest.mark.parametrize(("name", "value"), [("teacher_name_or_path", "x"), ("intent_column_name", "y"), ("tokenizer_type", "bpe")])
def test_what_raw_text_has_not_is_refused(tmp_path, capsys, name, value):
    """The error names the option and the way around."""
    status, error = run(capsys, *spans(tmp_path / "a", "--do_train", f"--{name}", value))
    assert status == 1 and f"`{name}`" in error and "--from_text false" in error


def test_half_precision_is_compared_by_spans(span_tagger, tmp_path, capsys):
    """`convert` measures F1 over spans of a file of annotations."""
    test_file = span_tagger[0].parent / "test.jsonl"
    arguments = ["--model_name_or_path", span_tagger[0], "--output_dir", tmp_path / "half", "--dtype", "bfloat16", "--test_file", test_file]
    assert cli.main(["convert", *map(str, arguments)]) == 0
    assert f"F1 over spans {span_tagger[1]['test_f1']:.4f} before" in capsys.readouterr().out
