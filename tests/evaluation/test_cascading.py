"""What the linear part is sure of it answers alone, and the whole model would say the same as often as is asked for."""

import json
import re
from dataclasses import replace

import pytest
import torch
from checkpoints import REVIEWS, random_checkpoint

import hf_rnn
from hf_rnn.commands import cli
from hf_rnn.evaluation.cascading import find_cascade, with_cascade
from hf_rnn.inference import precision
from hf_rnn.inference.cascade import Cascade, linear_logits


def logits_of(count, error, seed):
    """Return logits of a linear part that is wrong the more often the less sure it is, and those of the model, twice as sure."""
    generator = torch.Generator().manual_seed(seed)
    margin = torch.rand(count, generator=generator) * 4
    differs = torch.rand(count, generator=generator) < error * torch.exp(-margin)
    linear = torch.stack([margin / 2, -margin / 2], 1)
    return linear, 2 * torch.where(differs.unsqueeze(1), linear.flip(1), linear)


def test_agreement_holds():
    """On texts that nothing was chosen by it is kept in 19 of 20 draws; a higher one answers less."""
    kept, shares = 0, []
    other_linear, other_whole = logits_of(50_000, 0.3, 10_000)
    for seed in range(40):
        found = find_cascade(*logits_of(1500, 0.3, seed), 0.98)
        scores = (found.cascade.scale * other_linear).softmax(-1).amax(-1)
        differs = (scores >= found.cascade.threshold) & (other_linear.argmax(-1) != other_whole.argmax(-1))
        kept += bool(1 - differs.float().mean() >= 0.98)
        shares.append(found.answered)
    assert kept >= 36
    assert 0.2 < min(shares) <= max(shares) < 1
    linear, whole = logits_of(1500, 0.3, 0)
    assert find_cascade(linear, whole, 0.995).answered < find_cascade(linear, whole, 0.97).answered


def test_what_cannot_be_shown():
    """Too few texts, or a linear part that is wrong where it is surest, give none; one that is never wrong answers all."""
    linear, whole = logits_of(100, 0.0, 0)
    assert find_cascade(linear, whole, 0.99) is None
    linear, whole = logits_of(1000, 0.0, 0)
    found = find_cascade(linear, whole, 0.99)
    assert (found.answered, found.agreement) == (1, 1)
    assert found.cascade.scale == pytest.approx(2)
    assert find_cascade(linear, linear.flip(1), 0.9) is None
    # equal scores are answered together or not at all
    same = torch.tensor([[1.0, 0]] * 1000)
    assert find_cascade(same, torch.cat([same[:900], same[:100].flip(1)]), 0.95) is None


def test_answers(classifier, caplog):
    """Below the threshold those of the whole model, above it those of the linear part, in the order of the texts; long ones are read."""
    predictor = hf_rnn.load(str(classifier[0]), long_texts="windows")
    assert predictor.model.config.linear_size
    texts = [*REVIEWS[:60], " ".join(REVIEWS[:60])]
    whole = predictor.predict(texts, all_scores=True)
    ids = predictor.tokenizer(texts[:60], truncation=True)["input_ids"]
    scores = linear_logits(predictor.decoder, ids, 16).softmax(-1)
    least = float(scores.amax(-1).median())
    found = replace(predictor, cascade=Cascade(least, 1.0)).predict(texts, 7, all_scores=True)
    for place, (answer, full) in enumerate(zip(found[:60], whole[:60], strict=True)):
        is_sure = float(scores[place].max()) >= least
        expected = scores[place].tolist() if is_sure else list(full["scores"].values())
        assert list(answer["scores"].values()) == pytest.approx(expected, abs=1e-5)
    assert found[60]["scores"] == pytest.approx(whole[60]["scores"], abs=1e-5)
    assert with_cascade(predictor, texts[:20], 0.999, 32) is predictor
    assert "No cascade: 20 texts do not show that 0.999" in caplog.text
    chosen = with_cascade(predictor, REVIEWS[:150] * 4, 0.5, 64)
    assert "Cascade: the linear part alone answers what it is sure of" in caplog.text
    labels = [[answer["label"] for answer in each.predict(REVIEWS[:150])] for each in (chosen, predictor)]
    assert sum(one == other for one, other in zip(*labels, strict=True)) >= 75


def test_with_a_precision_that_is_chosen(classifier, tmp_path, monkeypatch, caplog):
    """`--precision auto --cascade`: the precision first, then the cascade in it; answers are those of both asked for by hand."""
    monkeypatch.setattr(precision, "WORTH_WHILE", 64)
    monkeypatch.setattr(precision, "is_available", lambda dtype: True)
    monkeypatch.setattr(precision, "FASTER", 0.0)
    texts = [" ".join(text.split()) for text in REVIEWS[:150]] * 4
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(texts))
    options = ["--input_file", str(source), "--output_file", str(output), "--precision", "auto", "--cascade", "0.5"]
    assert cli.main(["predict", "--model_name_or_path", str(classifier[0]), *options]) == 0
    chosen = re.search(r"Products in (\w+):", caplog.text)[1]
    assert caplog.text.index("Products in") < caplog.text.index("Cascade: ")
    with precision.products_in(chosen):
        predictor = with_cascade(hf_rnn.load(str(classifier[0])), texts, 0.5, 1024)
        expected = predictor.predict(texts, 1024)
    assert predictor.cascade is not None
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [answer["label"] for answer in found] == [answer["label"] for answer in expected]
    assert [answer["score"] for answer in found] == pytest.approx([answer["score"] for answer in expected], abs=1e-4)


def test_the_command(classifier, tmp_path, capsys, monkeypatch):
    """`--cascade` of a file; refused where there is no linear part, and by several processes."""
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(text for text in REVIEWS[:120] if "\n" not in text))
    options = ["--input_file", str(source), "--output_file", str(output), "--cascade", "0.6"]
    assert cli.main(["predict", "--model_name_or_path", str(classifier[0]), *options]) == 0
    assert all(json.loads(line)["label"] for line in output.read_text().splitlines())
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["predict", "--model_name_or_path", str(classifier[0]), *options]) == 1
    assert "each process would choose its own" in capsys.readouterr().err
    monkeypatch.delenv("WORLD_SIZE")
    for fields, told in ({"problem_type": "single_label_classification"}, "RnnForSequenceClassification without one"), ({}, "with tags"):
        random_checkpoint(tmp_path / told[:3], ["a", "b"], **fields)
        assert cli.main(["predict", "--model_name_or_path", str(tmp_path / told[:3]), *options]) == 1
        assert f"`cascade` needs a classifier of one label with a linear part beside its recurrence, got {told}" in " ".join(
            capsys.readouterr().err.split()
        ).replace("one that answers ", "")
