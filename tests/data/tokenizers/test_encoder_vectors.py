"""Vectors borrowed from an encoder are its states by hand, and those of static checkpoints are their rows."""

import json

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from hf_rnn.data.tokenizers.encoder_vectors import borrow_vectors, borrow_word_vectors, find_similar, list_words, load_source_tokenizer
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.data.tokenizers.vocabulary import cut_vocabulary

TEXTS = ["the cats sat on the mats", "a dog sees the cat", "singing songs of the sea", "unseen mountains rise"]


@pytest.fixture
def tokenizer():
    """Return a small word-piece tokenizer."""
    return train_tokenizer(TEXTS * 3, "wordpiece", 120)


@pytest.fixture
def encoder(tokenizer, tmp_path):
    """Save a tiny random encoder with its tokenizer; return its folder."""
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    return str(tmp_path / "encoder")


def angles(vectors):
    """Return the cosines between all pairs of vectors."""
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    return unit @ unit.T


def test_states_of_each_piece_alone(encoder, tokenizer):
    """As wide as the encoder nothing is lost: cosines are those of the centred mean states, also of a cut vocabulary's pieces."""
    cut = cut_vocabulary(tokenizer, iter(TEXTS[:1]), size=0)
    model = BertModel.from_pretrained(encoder).eval()
    for each in (tokenizer, cut):
        found = borrow_vectors(encoder, each, 24)
        assert found.std().item() == pytest.approx(0.1)
        with torch.no_grad():
            ids = tokenizer.convert_tokens_to_ids(each.convert_ids_to_tokens(list(range(len(each)))))
            # a text of these tokenizers ends in [SEP]
            states = torch.stack([model(torch.tensor([[index, tokenizer.sep_token_id]])).last_hidden_state[0].mean(0) for index in ids])
        assert torch.allclose(angles(found), angles(states - states.mean(0)), atol=1e-5)
        # later pieces, which are rarer, weigh more
        assert found[-20:].norm(dim=1).mean() / states[-20:].sub(states.mean(0)).norm(dim=1).mean() > (
            found[:5].norm(dim=1).mean() / states[:5].sub(states.mean(0)).norm(dim=1).mean()
        )


@pytest.mark.parametrize(("folder", "name"), [("", "embeddings"), ("0_StaticEmbedding", "embedding.weight")])
def test_static_checkpoints(folder, name, tokenizer, tmp_path):
    """Model2Vec's and sentence-transformers' formats: rows of the matrix, found by the piece."""
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    matrix = torch.randn(len(tokenizer), 10)
    save_file({name: matrix}, place / "model.safetensors")
    tokenizer.save_pretrained(place)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "model2vec"}))
    cut = cut_vocabulary(load_source_tokenizer(str(tmp_path)), iter(TEXTS[:1]), size=0)
    rows = matrix[tokenizer.convert_tokens_to_ids(cut.convert_ids_to_tokens(list(range(len(cut)))))]
    assert torch.allclose(angles(borrow_vectors(str(tmp_path), cut, 10)), angles(rows - rows.mean(0)), atol=1e-5)


def test_too_wide(encoder, tokenizer):
    """An embedding wider than the encoder is refused."""
    with pytest.raises(ValueError, match="have 24 values, fewer than `embedding_size` 30"):
        borrow_vectors(encoder, tokenizer, 30)


def test_words_of_several_pieces_together(encoder, tokenizer):
    """A word's vector is the mean state over all of its pieces, whatever else is asked for; cosines are those of the centred ones."""
    words = ["cat", "mountains", "seas", "dog", "unseen"]
    found = borrow_word_vectors(encoder, words, 24)
    assert found.std().item() == pytest.approx(0.1)
    model = BertModel.from_pretrained(encoder).eval()
    rows = [tokenizer(word)["input_ids"] for word in words]
    assert len({len(row) for row in rows}) > 1
    with torch.no_grad():
        states = torch.stack([model(torch.tensor([row])).last_hidden_state[0].mean(0) for row in rows])
    assert torch.allclose(angles(found), angles(states - states.mean(0)), atol=1e-5)
    with pytest.raises(ValueError, match="have 24 values, fewer than `embedding_size` 25"):
        borrow_word_vectors(encoder, words, 25)


def test_words_that_a_vocabulary_knows(tokenizer, tmp_path):
    """Whole words, no parts and no signs; with a capital too where the tokenizer lower-cases."""
    tokenizer.save_pretrained(tmp_path / "cased")
    words = list_words(str(tmp_path / "cased"))
    assert "the" in words and "The" not in words
    assert all(len(tokenizer.tokenize(word)) == 1 for word in words)
    assert not any(word.startswith("##") or word in tokenizer.all_special_tokens for word in words)
    lower = train_tokenizer(TEXTS * 3, "wordpiece", 120, lowercase=True)
    lower.save_pretrained(tmp_path / "lower")
    both = list_words(str(tmp_path / "lower"))
    assert both[both.index("the") + 1] == "The" and len(set(both)) == len(both)


def test_similar_words(encoder, tokenizer):
    """The nearest by the cosine of centred mean states, never the word itself, only words of the vocabulary."""
    pool = list_words(encoder)
    model = BertModel.from_pretrained(encoder).eval()
    with torch.no_grad():
        states = torch.stack([model(torch.tensor([tokenizer(word)["input_ids"]])).last_hidden_state[0].mean(0) for word in [*pool, "sees"]])
    cosines = angles(states - states[:-1].mean(0))
    similar = find_similar(encoder, [pool[0], "sees", "The"], count=3)
    assert similar[pool[0]] == [pool[i] for i in cosines[0, :-1].topk(len(pool)).indices.tolist() if i][:3]
    assert similar["sees"] == [pool[i] for i in cosines[-1, :-1].topk(len(pool)).indices.tolist() if pool[i] != "sees"][:3]
    assert len(similar["The"]) == 3 and "the" not in similar["The"]
    assert find_similar(encoder, []) == {}
    assert set(find_similar(encoder, ["sees"], count=9, most=2)["sees"]) == set(pool[:2])


def test_a_name_is_not_similar_to_itself(tmp_path):
    """Nor is a word that a cased vocabulary has with a capital alone, in whatever case it is asked for."""
    tokenizer = train_tokenizer(["Anna sees a Bob", "A Bob sees Anna"] * 5, "word", 50)
    sizes = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert set(list_words(str(tmp_path))) == {"Anna", "Bob", "sees", "a", "A"}
    similar = find_similar(str(tmp_path), ["Anna", "anna"])
    assert set(similar["Anna"]) == set(similar["anna"]) == {"Bob", "sees", "a"}
