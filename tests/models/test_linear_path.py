"""The linear model beside the recurrence: features against plain Python, values against scikit-learn, rows alone and in batches."""

import re
from itertools import pairwise

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from tiny import PIECE_TYPES, PIECES, assert_close, make, rows_and_batches
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from hf_rnn import RnnConfig, RnnForTokenClassification
from hf_rnn.data.rows.spans import find_units
from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.data.tokenizers.units import Cuts, train_unit_tokenizer
from hf_rnn.linear.design import choose_features, design_matrix
from hf_rnn.models.features import PIECE_LENGTH, character_keys, encode_piece, kind_of, piece_characters, read_characters, word_keys
from hf_rnn.models.hashing import UNUSED_KEY
from hf_rnn.models.linear import LinearEmissions, LinearPath
from hf_rnn.models.pieces import SPACE, SPECIAL, WORD_START, piece_types

TEXTS = ["The cat sat, the CAT ran!", "a dog-like cat", "", "세상에 이런 일이 있네요", "the the the", "don't  stop_now 42x"]


def linear_classifier():
    """Return a tiny classifier with a linear model."""
    return make("classifier", "lstm", {"linear_size": 1})


def plain_ngrams(text):
    """Return the n-grams of 1 to 5 characters of a text's words and their borders, as often as they occur; a lone border is none."""
    spaced = f" {' '.join(text.lower().split())} "
    found = (spaced[i : i + n] for n in range(1, 6) for i in range(len(spaced) - n + 1))
    return sorted(gram for gram in found if gram.strip() and " " not in gram[1:-1])


def plain_words(text):
    """Return the words and pairs of neighbours of a text."""
    words = re.findall(r"\w+", text.lower())
    return sorted([*words, *(f"{a} {b}" for a, b in pairwise(words))])


def encode(texts):
    """Return the table of characters of a tokenizer trained on texts, and ids and mask of the texts."""
    tokenizer = train_tokenizer(texts, "bpe", 100)
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    return torch.tensor(piece_characters(tokenizer), dtype=torch.int32), batch["input_ids"], batch["attention_mask"].bool()


@pytest.mark.parametrize("is_compiling", [True, False])
def test_features_by_hand(is_compiling, monkeypatch):
    """Equal n-grams have equal keys and different ones different keys, in all rows; each occurs as often as in the text."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: is_compiling)
    table, ids, mask = encode(TEXTS)
    codes = read_characters(table, ids, mask)
    assert (codes.shape[1] == 2 + ids.shape[1] * PIECE_LENGTH) == is_compiling
    for keys, plain in ((character_keys(codes), plain_ngrams), (word_keys(codes), plain_words)):
        counted = [sorted(row[row != UNUSED_KEY].tolist()) for row in keys]
        expected = [plain(text) for text in TEXTS]
        assert [len(row) for row in counted] == [len(row) for row in expected]
        # which key belongs to which n-gram shows in the rows that have it and how often
        profiles = [
            sorted(tuple(row.count(feature) for row in rows) for feature in {feature for row in rows for feature in row})
            for rows in (counted, expected)
        ]
        assert profiles[0] == profiles[1]
        assert len({key for row in counted for key in row}) == len({gram for row in expected for gram in row})


def test_values_are_those_of_scikit_learn():
    """Sublinear counts times inverse document frequencies, each kind of length 1."""
    table, ids, mask = encode(TEXTS)
    path = LinearPath(len(table), 0, 2)
    path.characters = table
    rows = [row[known].tolist() for row, known in zip(ids, mask, strict=True)]
    choose_features(path, rows, 10_000)
    found = design_matrix(path, rows)
    kinds = [TfidfVectorizer(analyzer=kind, sublinear_tf=True).fit_transform(TEXTS) for kind in (plain_words, plain_ngrams)]
    # inner products do not depend on the order of features
    assert abs(found @ found.T - sum(kind @ kind.T for kind in kinds)).max() < 1e-5


@pytest.mark.parametrize("backend", ["auto", "packed", "dense", "stock", "masked"])
def test_a_row_never_sees_its_batch(backend):
    """Logits are the same alone, padded left, right or with holes, and permuted, in every backend."""
    model = linear_classifier()
    alone = {}
    for rows, ids, mask, order, _ in rows_and_batches():
        alone = alone or {index: model(row[None]).logits[0] for index, row in enumerate(rows)}
        model.recurrence_backend = backend
        assert_close(model(ids, mask).logits, torch.stack([alone[row] for row in order]))
    model.recurrence_backend = "auto"
    assert model(torch.zeros(0, 3, dtype=torch.long)).logits.shape == (0, 3)
    assert_close(model(torch.zeros(1, 0, dtype=torch.long)).logits, alone[2][None])


def test_ids_behind_the_mask_need_not_exist():
    """What stands at masked positions is never looked up."""
    model = linear_classifier()
    ids, mask = torch.tensor([[3, 99, 4]]), torch.tensor([[1, 0, 1]])
    assert_close(model(ids, mask).logits, model(torch.tensor([[3, 4]])).logits)


def test_logits_are_the_sum_of_both():
    """Without the recurrence's share what is left is the regression on the design matrix."""
    model = linear_classifier()
    rows = [row.tolist() for row in next(rows_and_batches())[0]]
    expected = torch.tensor(design_matrix(model.linear, rows) @ model.linear.weight[1:].numpy()) + model.linear.bias
    ids, mask = next(rows_and_batches())[1:3]
    both = model(ids, mask).logits
    model.set_linear_path(None)
    assert_close(both - model(ids, mask).logits, expected)
    assert model.config.linear_size == 0


def test_frequent_features_come_first():
    """With fewer features than there are, those of most rows are kept."""
    path = LinearPath(len(PIECES), 0, 2)
    path.characters = torch.tensor([encode_piece(text, kind != 2) for text, kind in zip(PIECES, PIECE_TYPES, strict=True)])
    choose_features(path, [[1], [1, 3], [2]], 3)
    # "b", "ab" and "a" and what borders them: those in all three rows, then in two
    every, twice = path.idf[1:].min(), sorted(path.idf[1:].tolist())
    assert len(path.keys) == 3
    assert torch.equal(path.keys, path.keys.sort().values)
    assert every == 1.0
    assert twice[1:] == pytest.approx([1.0, 1 + torch.tensor(4 / 3).log().item()])


def test_saved_loaded_resized(tmp_path):
    """A checkpoint holds all of it; new ids spell nothing; embeddings in place of ids are refused."""
    model = linear_classifier()
    ids, mask = next(rows_and_batches())[1:3]
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float64)
    assert loaded.config.linear_size == len(model.linear.keys)
    assert_close(loaded(ids, mask).logits, model(ids, mask).logits)
    loaded.resize_token_embeddings(25)
    assert loaded.linear.characters.shape == (25, PIECE_LENGTH)
    assert_close(loaded(ids, mask).logits, model(ids, mask).logits)
    with pytest.raises(ValueError, match="`linear_size` needs `input_ids`"):
        loaded(inputs_embeds=torch.zeros(1, 2, 6, dtype=torch.float64))


def plain_features(words):
    """Return the features of each word of a sentence in plain Python, by name."""
    features = []
    for index, word in enumerate(words):
        lower, near = word.lower(), {offset: words[index + offset] for offset in (-2, -1, 1, 2) if 0 <= index + offset < len(words)}
        row = {"word": lower, "shape": shape(word), "digit": any(c.isdigit() for c in word)}
        row |= {f"prefix {size}": lower[:size] for size in range(1, 5)} | {f"suffix {size}": lower[-size:] for size in range(1, 5)}
        row |= {f"word {offset}": near[offset].lower() if offset in near else None for offset in (-2, -1, 1, 2)}
        row |= {f"shape {offset}": shape(near[offset]) if offset in near else None for offset in (-1, 1)}
        row |= {f"suffix of {offset}": near[offset].lower()[-3:] if offset in near else None for offset in (-1, 1)}
        features.append({("bias", None), *row.items()})
    return features


def shape(word):
    """Return a word with one sign for each kind of letter."""
    return "".join("X" if c.isupper() else "9" if c.isdigit() else "x" if c.isalnum() or c == "_" else c for c in word)


def test_features_of_words_by_hand():
    """Two words share as many keys as they share features, in one sentence and across sentences."""
    sentences = [text.split() for text in (*TEXTS, "The cats sang at 10:30 , SAT 42x")]
    tokenizer = train_tokenizer([" ".join(words) for words in sentences], "bpe", 100)
    batch = tokenizer(sentences, is_split_into_words=True, return_tensors="pt", padding=True)
    model = RnnForTokenClassification(RnnConfig(vocab_size=len(tokenizer), hidden_size=8))
    model.set_piece_types(tokenizer)
    path = LinearEmissions(len(tokenizer), 0, 3)
    path.characters = torch.tensor(piece_characters(tokenizer), dtype=torch.int32)
    keys, _ = path.features(batch["input_ids"], *model.model.words(batch["input_ids"], batch["attention_mask"].bool()))
    found = [set(keys[row, word].tolist()) for row, words in enumerate(sentences) for word in range(len(words))]
    expected = [features for words in sentences for features in plain_features(words)]
    assert all(len(features) == len(plain) == keys.shape[2] for features, plain in zip(found, expected, strict=True))
    shared = [[len(a & b) for b in found] for a in found]
    assert shared == [[len(a & b) for b in expected] for a in expected]
    assert sum((row != UNUSED_KEY).any(1).sum().item() for row in keys) == len(expected)


@pytest.mark.parametrize("backend", ["auto", "masked"])
def test_a_tagged_row_never_sees_its_batch(backend):
    """Emissions are the same alone and in batches laid out in any way, and zero where there is no word."""
    model = make("tagger", "lstm", {"linear_size": 1})
    for rows, ids, mask, order, places in rows_and_batches():
        model.recurrence_backend = backend
        logits = model(ids, mask).logits
        emissions = model.linear(ids, *model.model.words(ids, mask.bool()))
        assert not emissions[mask == 0].any()
        model.recurrence_backend = "auto"
        for index, row in enumerate(order):
            assert_close(logits[index, places[index]], model(rows[row][None]).logits[0])
    assert emissions.any()


def test_a_linear_tagger_is_saved(tmp_path):
    """A checkpoint holds all of it."""
    model = make("tagger", "gru", {"linear_size": 1, "use_crf": True})
    ids, mask = next(rows_and_batches())[1:3]
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path, dtype=torch.float64)
    assert_close(loaded(ids, mask).logits, model(ids, mask).logits)
    with pytest.raises(ValueError, match="`linear_size` needs `input_ids`"):
        loaded(inputs_embeds=torch.zeros(1, 2, 6, dtype=torch.float64))


def plain_surroundings(text, start, end):
    """Return what is around the unit of a raw text in plain Python, by name: characters and kinds, alone, in pairs and triples."""
    # white space before the first unit is not looked at
    at = lambda place: text[place] if len(text) - len(text.lstrip()) <= place < len(text) else ""  # noqa: E731
    letters = [at(start - 2), at(start - 1), text[start:end], at(end), at(end + 1)]
    kinds = [kind_of(letter) if letter else 0 for letter in (*letters[:2], text[start], *letters[3:])]
    row = {}
    for name, values in (("letter", [letter.lower() for letter in letters]), ("kind", kinds)):
        for size in (1, 2, 3):
            row |= {(name, size, place): tuple(values[place : place + size]) for place in range(6 - size)}
    return set(row.items())


def test_surroundings_of_units_by_hand():
    """Two units share as many keys as what is around them shares features, whatever white space there is; alone as in a batch."""
    texts = ["  서울 A1시는 서울", "東京 서울시 2", "A1 시는  東京(서울)", "서울"]
    tokenizer = train_unit_tokenizer(texts * 2, Cuts(scripts=("Hangul",)))
    rows = [tokenizer(text, return_offsets_mapping=True) for text in texts]
    types = torch.tensor(piece_types(tokenizer))
    path = LinearEmissions(len(tokenizer), 0, 3)
    path.characters = torch.tensor(piece_characters(tokenizer), dtype=torch.int32)

    def keys_of(ids):
        kinds = types[ids]
        keys, _ = path.features(ids, (kinds == WORD_START) | (kinds == SPECIAL), kinds == SPECIAL, kinds == SPACE)
        return keys[..., -24:]

    batch = torch.nn.utils.rnn.pad_sequence([torch.tensor(row["input_ids"]) for row in rows], batch_first=True)
    together, found, expected = keys_of(batch), [], []
    for index, (text, row) in enumerate(zip(texts, rows, strict=True)):
        alone = keys_of(torch.tensor([row["input_ids"]]))[0]
        _, units = find_units(row["input_ids"], row["offset_mapping"], types.tolist())
        assert torch.equal(alone[: len(units)], together[index, : len(units)])
        found += [set(keys.tolist()) for keys in alone[: len(units)]]
        expected += [plain_surroundings(text, *unit) for unit in units]
    assert [[len(a & b) for b in found] for a in found] == [[len(a & b) for b in expected] for a in expected]
