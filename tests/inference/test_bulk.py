"""Many texts at once: the same pieces as the tokenizer gives, the same answers as one by one, bfloat16 only where it changes none."""

import json
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from odd_texts import KNOWN
from transformers import BertTokenizerFast

from hf_rnn import load, train_tokenizer
from hf_rnn.commands import cli
from hf_rnn.data.tokenizers.training import TOKENIZER_TYPES
from hf_rnn.data.tokenizers.words import piece_windows
from hf_rnn.inference import precision
from hf_rnn.inference.bulk import batches
from hf_rnn.inference.precision import choose_precision, products_in, without_scores

TEXTS = [*KNOWN, "정말 재미있고 감동적인 영화였어요", "시간이 아깝다", "영화 " * 400, ""]


@pytest.mark.parametrize("kind", TOKENIZER_TYPES)
def test_pieces_are_those_of_a_call(kind):
    """Cut where a call cuts, whatever calls came before, with special tokens as text or as themselves."""
    tokenizer = train_tokenizer(iter(TEXTS), kind, 1000, model_max_length=50)
    expected = tokenizer(TEXTS, truncation=True)["input_ids"]
    tokenizer(TEXTS, padding=True)
    assert [each[0] for each in piece_windows(tokenizer, TEXTS, 8)] == expected
    assert max(map(len, expected)) == 50
    tokenizer.split_special_tokens = True
    assert [each[0] for each in piece_windows(tokenizer, ["a [SEP] b"], 8)] == tokenizer(["a [SEP] b"], split_special_tokens=True)[
        "input_ids"
    ]
    tokenizer.model_max_length = int(1e30)
    assert len(piece_windows(tokenizer, ["영화 " * 400], 8)[0][0]) > 50


def test_tokenizers_that_are_asked_as_they_are():
    """Those that give a model more than ids and mask, and those without a backend."""
    assert piece_windows(BertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1, "a": 2}), ["a"], 8) is None
    assert piece_windows(SimpleNamespace(model_input_names=["input_ids"]), ["a"], 8) is None


def test_answers_are_those_of_texts_one_by_one(classifier):
    """In their order, encoded at once or by the tokenizer's own call, in batches of any size."""
    predictor = load(str(classifier[0]))
    alone = [predictor.decoder.answer([text])[0] for text in TEXTS]
    for size in (1, 3, 1000):
        together = predictor.predict(TEXTS, size)
        assert [row["label"] for row in together] == [row["label"] for row in alone]
        assert [row["score"] for row in together] == pytest.approx([row["score"] for row in alone], abs=1e-5)
    assert predictor.predict([]) == []


def test_batches_hold_so_many_pieces():
    """Every row once, the longest first; one that is too long alone."""
    sizes = [3, 100, 1, 7, 7, 40]
    found = list(batches(sizes, 10, 42))
    assert sorted(row for rows in found for row in rows) == list(range(6))
    assert all(len(rows) == 1 or len(rows) * max(sizes[row] for row in rows) <= 42 for rows in found)
    assert found[0] == [1]


def predictor_that(answers, monkeypatch, seconds=(2.0, 1.0)):
    """Return a predictor whose answers are those of `answers` in fp32 and in bfloat16, after so many seconds."""
    clock = count()
    times = [0.0, seconds[0], 0.0, seconds[1]]
    monkeypatch.setattr(precision, "is_available", lambda dtype: True)
    monkeypatch.setattr(precision.time, "perf_counter", lambda: times[next(clock) % 4])
    device = SimpleNamespace(type="cpu")
    return SimpleNamespace(
        model=SimpleNamespace(device=device),
        predict=lambda texts, size: [answers[torch.is_autocast_enabled("cpu")]] * len(texts),
    )


def test_bfloat16_where_it_is_faster_and_changes_no_answer(monkeypatch, caplog):
    """Scores may differ; labels, tags and spans may not; of few texts nothing is tried."""
    texts = ["a"] * precision.WORTH_WHILE
    same = [{"label": "x", "score": 0.9}, {"label": "x", "score": 0.91}]
    assert choose_precision(predictor_that(same, monkeypatch), texts, 64) == "bfloat16"
    assert "Products in bfloat16: bfloat16 is 2.0 times as fast, and the first 512 answers are the same" in caplog.text
    assert choose_precision(predictor_that(same, monkeypatch, (1.0, 1.0)), texts, 64) == "float32"
    other = [{"spans": [{"start": 0, "score": 0.9}]}, {"spans": [{"start": 1, "score": 0.9}]}]
    caplog.clear()
    assert choose_precision(predictor_that(other, monkeypatch), texts, 64) == "float32"
    assert "512 of the first 512 answers differ" in caplog.text
    caplog.clear()
    assert choose_precision(predictor_that(same, monkeypatch), texts[:100], 64) == "float32"
    monkeypatch.setattr(precision, "is_available", lambda dtype: False)
    assert choose_precision(SimpleNamespace(model=SimpleNamespace(device=torch.device("cpu"))), texts, 64) == "float32"
    assert not caplog.records
    assert without_scores([{"a": [{"score": 1, "b": 2}], "scores": {}}]) == [{"a": [{"b": 2}]}]


def test_scores_in_bfloat16_are_near(classifier, tmp_path):
    """On request, from Python and from the command."""
    predictor = load(str(classifier[0]))
    with products_in("bfloat16"):
        near = predictor.predict(TEXTS)
    assert [row["score"] for row in near] == pytest.approx([row["score"] for row in predictor.predict(TEXTS)], abs=0.02)
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    options = ["--input_file", str(tmp_path / "rows.jsonl"), "--output_file", str(tmp_path / "out.jsonl"), "--precision", "bfloat16"]
    assert cli.main(["predict", "--model_name_or_path", str(classifier[0]), *options]) == 0
    written = [json.loads(line)["score"] for line in (tmp_path / "out.jsonl").read_text().rstrip("\n").split("\n")]
    assert written == pytest.approx([row["score"] for row in near], abs=0.01)
