"""The two tutorials that the package grew from, as code of the package.

The first classifies Korean film reviews with a two-layer bidirectional LSTM and then a GRU. The second shows the LSTM as a model of
sequences and learns a part-of-speech tagger.
"""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification, RnnModel
from hf_rnn.data.files.readers import read_rows
from hf_rnn.data.rows.collator import RnnCollator
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.reports.plots import plot_curves

SAMPLES = Path(__file__).parents[1] / "hf_rnn" / "samples"
LABELS = ["negative", "positive"]


def load(path, tokenizer, limit):
    """Tokenise reviews, at most 256 tokens each."""
    rows = list(read_rows(str(path)))[:limit]
    ids = tokenizer([row["document"] for row in rows], truncation=True, max_length=256)["input_ids"]
    return [{"input_ids": sequence, "labels": LABELS.index(row["label"])} for sequence, row in zip(ids, rows, strict=True)]


def run_epoch(model, loader, optimizer=None):
    """Go once through a loader, training if there is an optimizer; return mean loss and accuracy."""
    model.train(optimizer is not None)
    total = right = count = 0
    for batch in tqdm(loader, disable=None):
        with torch.set_grad_enabled(optimizer is not None):
            output = model(**batch)
        if optimizer is not None:
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
        size = len(batch["labels"])
        total += output.loss.item() * size
        right += (output.logits.argmax(-1) == batch["labels"]).sum().item()
        count += size
    return total / count, right / count


@pytest.mark.parametrize("cell_type", ["lstm", "gru"])
def test_reviews(cell_type, tmp_path):
    """Tutorial 1: tokenizer, loader with rows of their own lengths in batches of 128, two bidirectional layers, logs, plot; it learns."""
    texts = (row["document"] for row in read_rows(str(SAMPLES / "nsmc_train.tsv")))
    tokenizer = train_tokenizer(texts, "bpe", 3000)
    train, validation = load(SAMPLES / "nsmc_train.tsv", tokenizer, 2500), load(SAMPLES / "nsmc_test.tsv", tokenizer, 500)
    collate = RnnCollator(tokenizer.pad_token_id)
    loaders = DataLoader(train, 128, shuffle=True, collate_fn=collate), DataLoader(validation, 128, collate_fn=collate)
    batch = next(iter(loaders[0]))
    assert batch["input_ids"].shape[0] == 128
    # every row keeps its own length: the mask is what the packed recurrence runs on
    assert len(batch["attention_mask"].sum(1).unique()) > 5
    config = RnnConfig(
        vocab_size=len(tokenizer),
        embedding_size=64,
        hidden_size=128,
        num_hidden_layers=2,
        bidirectional=True,
        cell_type=cell_type,
        num_labels=2,
    )
    model = RnnForSequenceClassification(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    log = []
    for epoch in range(1, 4):
        loss, accuracy = run_epoch(model, loaders[0], optimizer)
        eval_loss, eval_accuracy = run_epoch(model, loaders[1])
        log.append({"epoch": epoch, "loss": loss, "accuracy": accuracy, "eval_loss": eval_loss, "eval_accuracy": eval_accuracy})
    plot_curves(log, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert log[-1]["accuracy"] > 0.75 > log[0]["accuracy"]
    assert log[-1]["eval_accuracy"] > 0.65
    assert log[-1]["loss"] < log[0]["loss"]


def test_stepping_equals_the_whole_sequence():
    """Tutorial 2, first part: one vector at a time through the hidden state, or the whole sequence at once."""
    config = RnnConfig(vocab_size=10, embedding_size=3, hidden_size=3, num_hidden_layers=1, bidirectional=False)
    lstm = RnnModel(config).eval()
    inputs = torch.randn(1, 5, 3)
    state = None
    steps = []
    for vector in inputs.unbind(1):
        output = lstm(inputs_embeds=vector[:, None], state=state)
        steps.append(output.last_hidden_state)
        state = output.state
    whole = lstm(inputs_embeds=inputs)
    assert torch.allclose(torch.cat(steps, 1), whole.last_hidden_state, atol=1e-6)
    assert torch.allclose(state, whole.state, atol=1e-6)
    hidden, cell = whole.state.transpose(0, 1).chunk(2, dim=-1)
    assert torch.allclose(hidden[-1], whole.last_hidden_state[:, -1], atol=1e-6)
    # the same weights in torch's own LSTM say the same
    torch_lstm = nn.LSTM(3, 3, batch_first=True)
    torch_lstm.load_state_dict(lstm.layers[0].recurrence.state_dict())
    expected, (h, c) = torch_lstm(inputs)
    assert torch.allclose(whole.last_hidden_state, expected, atol=1e-6)
    assert torch.allclose(hidden, h, atol=1e-6)
    assert torch.allclose(cell, c, atol=1e-6)


@pytest.mark.parametrize("use_crf", [False, True])
def test_tagger_learns_det_nn_v_det_nn(use_crf):
    """Tutorial 2, second part: embedding, LSTM, linear and log-softmax learn to tag two sentences."""
    data = [("The dog ate the apple".split(), "DET NN V DET NN".split()), ("Everybody read that book".split(), "NN V DET NN".split())]
    words = {word: index for index, word in enumerate(dict.fromkeys(word for sentence, _ in data for word in sentence), start=1)}
    tags = ["DET", "NN", "V"]
    config = RnnConfig(
        vocab_size=len(words) + 1,
        embedding_size=6,
        hidden_size=6,
        num_hidden_layers=1,
        bidirectional=False,
        use_crf=use_crf,
        input_dropout=0.0,
        hidden_dropout=0.0,
        classifier_dropout=0.0,
        id2label=dict(enumerate(tags)),
        label2id={tag: index for index, tag in enumerate(tags)},
    )
    model = RnnForTokenClassification(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(300):
        for sentence, gold in data:
            optimizer.zero_grad()
            ids = torch.tensor([[words[word] for word in sentence]])
            model(ids, labels=torch.tensor([[tags.index(tag) for tag in gold]])).loss.backward()
            optimizer.step()
    model.eval()
    for sentence, gold in data:
        scores = model(torch.tensor([[words[word] for word in sentence]])).logits.log_softmax(-1)
        assert [model.config.id2label[index] for index in scores.argmax(-1)[0].tolist()] == gold
