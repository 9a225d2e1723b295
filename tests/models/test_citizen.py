"""Models behave as those of transformers where tools expect it: keywords, hidden states in the graph, words from pieces."""

import logging

import pytest
import torch
from tiny import assert_close, build
from transformers import AutoModelForSequenceClassification, BertTokenizerFast
from transformers.utils import logging as transformers_logging

from hf_rnn import RnnConfig, RnnForCausalLM, RnnForMaskedLM, RnnForSequenceClassification, RnnForTokenClassification, RnnModel, RnnTrainer
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.models.pieces import piece_types

pytestmark = pytest.mark.lowest

CLASSES = [RnnModel, RnnForSequenceClassification, RnnForTokenClassification, RnnForMaskedLM, RnnForCausalLM]
IDS, MASK = torch.tensor([[5, 6, 13, 7], [8, 15, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize("model_class", CLASSES)
def test_what_other_encoders_take_is_ignored(model_class):
    """Outputs are the same with segment ids, positions and what else pipelines and Trainer pass."""
    model = build(model_class, bidirectional=False).eval()
    extra = {"token_type_ids": torch.zeros_like(IDS), "position_ids": IDS, "output_attentions": False, "use_cache": True, "new": None}
    for plain, found in zip(model(IDS, MASK).to_tuple(), model(IDS, MASK, **extra).to_tuple(), strict=True):
        assert torch.equal(plain, found)


@pytest.mark.parametrize("backend", ["auto", "packed", "dense", "stock", "masked"])
@pytest.mark.parametrize("word_pooling", [None, "mean"])
def test_hidden_states_get_gradients(backend, word_pooling):
    """`retain_grad` on any of them: what a perturbation of the layer's input gets; alone as in the batch."""
    model = build(RnnForSequenceClassification, num_hidden_layers=2, word_pooling=word_pooling, pooling="mean").eval()
    model.recurrence_backend = backend

    def gradients(ids, mask):
        output = model(ids, mask, output_hidden_states=True)
        for hidden in output.hidden_states:
            hidden.retain_grad()
        output.logits[:, 0].sum().backward()
        return [hidden.grad for hidden in output.hidden_states]

    together = gradients(IDS, MASK)
    for index, length in enumerate((4, 2)):
        for alone, found in zip(gradients(IDS[index : index + 1, :length], None), together, strict=True):
            assert_close(found[index, :length], alone[0])
            assert not found[index, length:].any()
    if word_pooling is None:
        # the embeddings are those that a caller could pass
        vectors = model.get_input_embeddings()(IDS).detach().requires_grad_()
        model(inputs_embeds=vectors, attention_mask=MASK).logits[:, 0].sum().backward()
        assert_close(together[0], vectors.grad)
    seen = []
    if backend != "masked":
        # layer by layer on one row, where packed order is that of time
        for layer in model.model.layers:
            layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]) or given[0].retain_grad())
        alone = gradients(IDS[:1], None)
        assert len(seen) == 2
        if word_pooling is None:
            for given, hidden in zip(seen, alone, strict=False):
                assert_close(hidden[0], given.grad)


def test_the_last_hidden_state_is_the_last_of_them():
    """As in every model of transformers."""
    output = build(RnnModel).eval()(IDS, MASK, output_hidden_states=True)
    assert output.hidden_states[-1] is output.last_hidden_state
    assert [hidden.shape for hidden in output.hidden_states] == [(2, 4, 6), (2, 4, 8), (2, 4, 8)]


def test_attention_implementations_are_those_of_a_model_without_attention(tmp_path):
    """The name "eager" is accepted, others are refused by the library, as for its own models without attention."""
    build(RnnForSequenceClassification, dtype=torch.float32).save_pretrained(tmp_path)
    AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="eager")
    with pytest.raises(ValueError, match="does not support"):
        AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="sdpa")


@pytest.fixture
def messages(monkeypatch):
    """Collect what the embeddings log."""
    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger = transformers_logging.get_logger("hf_rnn.models.embeddings")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def test_words_from_a_tokenizer(messages, tmp_path):
    """`set_piece_types` takes a tokenizer; without it training warns once; the trainer sets it by itself."""
    tokenizer = train_tokenizer(["singing songs", "a song is sung"] * 3, "bpe", 30)
    config = RnnConfig(vocab_size=len(tokenizer), hidden_size=8, embedding_size=8, word_pooling="mean")
    model = RnnForTokenClassification(config)
    ids = tokenizer("singing a song", return_tensors="pt").input_ids
    model.eval()(ids)
    assert messages == []
    for _ in range(2):
        model.train()(ids)
    assert len(messages) == 1
    assert "Call model.set_piece_types(tokenizer) before training" in messages[0]
    model.set_piece_types(tokenizer)
    assert model.model.embeddings.piece_types.tolist() == piece_types(tokenizer)
    fresh = RnnForTokenClassification(config)
    assert fresh.needs_piece_types
    RnnTrainer(model=fresh, processing_class=tokenizer)
    assert not fresh.needs_piece_types
    fresh.train()(ids)
    assert len(messages) == 1


def test_a_tokenizer_of_the_bert_family(tmp_path):
    """Its segment ids pass through a pipeline, and its "##" pieces make words."""
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film", "##s"]))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    assert "token_type_ids" in tokenizer("good films")
    model = RnnForSequenceClassification(RnnConfig(vocab_size=8, hidden_size=8, embedding_size=8, word_pooling="mean")).eval()
    model.set_piece_types(tokenizer)
    assert model.model.words(torch.tensor([[2, 5, 6, 7, 3]]), torch.ones(1, 5, dtype=torch.bool))[0].tolist() == [[1, 1, 1, 0, 1]]
    assert model(**tokenizer(["good films", "good"], padding=True, return_tensors="pt")).logits.shape == (2, 2)
