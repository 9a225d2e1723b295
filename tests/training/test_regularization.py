"""Regularisers: adversarial directions and soft targets are those of their definitions, and training uses them."""

import json
import math

import pytest
import torch
from runs import reviews, sentences
from tiny import build, rows_and_batches
from torch import nn

from hf_rnn import RnnForSequenceClassification
from hf_rnn.arguments import RnnTrainingArguments
from hf_rnn.commands import text_classification, token_classification
from hf_rnn.distillation.trainer import distillation_loss
from hf_rnn.training.regularization import AdversarialEmbeddings

LABELS = torch.tensor([0, 1, 2, 0, 1])


def test_perturbation_is_along_the_gradient_of_each_row():
    """Every row's noise has the asked norm and the direction of its gradient; a row's noise is that of the row alone."""
    model = build(RnnForSequenceClassification).train()
    alone = {}
    for rows, ids, mask, order, places in rows_and_batches():
        adversary = AdversarialEmbeddings(model.get_input_embeddings(), 0.3)
        with adversary.record():
            model(ids, mask, labels=LABELS[order], num_items_in_batch=5).loss.backward()
        noise = adversary._noise(mask)
        for index, row in enumerate(order):
            own = noise[mask.nonzero()[:, 0] == index]
            alone.setdefault(row, own)
            assert torch.allclose(own, alone[row], atol=1e-12)
            if len(rows[row]):
                assert own.norm().item() == pytest.approx(0.3)
        grad = adversary._vectors.grad
        assert ((noise * grad).sum(1) > 0).all()
        assert places
        # and no hook is left
        assert not model.get_input_embeddings()._forward_hooks


@pytest.mark.parametrize("epsilon", [0.01, 0.5])
def test_perturbed_loss_is_higher(epsilon):
    """A step along the gradient raises the loss, about by the norm of the gradient times its length."""
    model = build(RnnForSequenceClassification).train()
    *_, (_, ids, mask, order, _) = rows_and_batches()
    adversary = AdversarialEmbeddings(model.get_input_embeddings(), epsilon)
    with adversary.record():
        loss = model(ids, mask, labels=LABELS).loss
        loss.backward()
    with adversary.perturb(mask), torch.no_grad():
        perturbed = model(ids, mask, labels=LABELS).loss
    assert perturbed > loss
    if epsilon == 0.01:
        grad, rows = adversary._vectors.grad, mask.nonzero()[:, 0]
        rise = sum(grad[rows == row].norm() for row in range(len(order))) * epsilon
        assert (perturbed - loss).item() == pytest.approx(rise.item(), rel=0.05)


def test_distillation():
    """Least where student and teacher agree; at temperature 1 the cross entropy of torch; gradients keep their size with temperature."""
    teacher = torch.randn(4, 3, dtype=torch.float64) * 0.1
    counted = torch.tensor([True, True, False, True])
    student = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    wanted = nn.functional.cross_entropy(student[counted], teacher[counted].softmax(-1), reduction="sum")
    assert distillation_loss(student, teacher, counted, 1.0).item() == pytest.approx(wanted.item(), rel=1e-5)
    sizes = [torch.autograd.grad(distillation_loss(student, teacher, counted, t), student)[0].norm().item() for t in (1.0, 4.0)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)
    same = teacher.clone().requires_grad_()
    (grad,) = torch.autograd.grad(distillation_loss(same, teacher, counted, 2.0), same)
    assert grad.abs().max() < 1e-6


def test_training_uses_it(tmp_path):
    """It changes what is learnt, for classifiers and taggers with a CRF, and the loss stays a number."""
    runs = {}
    for value in ("0.5", None):
        folder = tmp_path / str(value)
        more = ["--max_steps", "6", "--save_strategy", "no", "--linear_size", "0", *(["--adversarial_epsilon", value] if value else [])]
        text_classification.main(reviews(folder / "c", "--do_train", *more))
        token_classification.main(sentences(folder / "t", "--do_train", "--use_crf", "true", *more))
        runs[value] = [(folder / kind / "model.safetensors").read_bytes() for kind in "ct"]
        history = [json.loads((folder / kind / "trainer_state.json").read_text())["log_history"] for kind in "ct"]
        assert all(math.isfinite(entry["train_loss"]) for entries in history for entry in entries if "train_loss" in entry)
    assert all(a != b for a, b in zip(*runs.values(), strict=True))


def test_wrong_values(tmp_path):
    """Named, with what to pass."""
    with pytest.raises(ValueError, match="`adversarial_epsilon` must be at least 0, got -1.0"):
        RnnTrainingArguments(output_dir=str(tmp_path), use_cpu=True, adversarial_epsilon=-1.0)
