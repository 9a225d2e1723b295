"""Trained tokenizers: deterministic, saved and loaded as they are, never without a token, and clear about where words start."""

import random
import re
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hf_rnn.data.tokenizers import training
from hf_rnn.data.tokenizers.training import TOKENIZER_TYPES, train_tokenizer
from hf_rnn.models.pieces import CONTINUATION, SPECIAL, WORD_START, piece_types

TEXTS = [
    "이 영화 정말 재미있어요 !",
    "영화가 너무 재미없다 ...",
    "The movie was great, really great",
    "정말 최고의 영화",
    "what a bad movie",
] * 8


@pytest.mark.parametrize("kind", TOKENIZER_TYPES)
def test_saved_and_loaded(kind, tmp_path):
    """AutoTokenizer gives the same ids, the length limit and the special tokens; the empty text has one token."""
    tokenizer = train_tokenizer(iter(TEXTS), kind, 120, model_max_length=77)
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in (*TEXTS, "", "   ", "\u200b", "☃ unknown ☃", "e\u0301"):
        assert loaded(text).input_ids == tokenizer(text).input_ids
        assert len(loaded(text).input_ids) >= 1
    assert loaded.model_max_length == 77
    assert len(loaded) <= 120
    assert set(loaded("a")) == {"input_ids", "attention_mask"}
    assert (loaded.pad_token_id, loaded.unk_token_id, loaded.sep_token_id, loaded.mask_token_id) == (0, 1, 2, 3)
    assert loaded.padding_side == "right"


@pytest.mark.parametrize("kind", TOKENIZER_TYPES)
def test_each_token_is_one_word(kind):
    """Of a sentence given as tokens, each token has exactly one piece that starts a word, and it is the first."""
    tokenizer = train_tokenizer(iter(TEXTS), kind, 120)
    types = piece_types(tokenizer)
    encoding = tokenizer(["영화가", "great,", "재미☃", "!?", "unseen"], is_split_into_words=True)
    words = encoding.word_ids()
    for position, (word, index) in enumerate(zip(words, encoding.input_ids, strict=True)):
        if word is None:
            assert types[index] == SPECIAL
        else:
            is_first = position == 0 or words[position - 1] != word
            assert types[index] == (WORD_START if is_first else CONTINUATION)


@pytest.mark.thorough
def test_training_is_deterministic_across_processes():
    """Two processes, hence two seeds of every hash table, train the same tokenizers to the byte."""
    code = (
        "from hf_rnn.data.tokenizers.training import TOKENIZER_TYPES, train_tokenizer; from test_tokenizer_training import TEXTS\n"
        "for kind in TOKENIZER_TYPES: print(train_tokenizer(iter(TEXTS), kind, 100).backend_tokenizer.to_str())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent).stdout
        for _ in range(2)
    }
    assert len(runs) == 1
    assert len(runs.pop().splitlines()) == len(TOKENIZER_TYPES)


def test_normalisation_and_options():
    """NFKC makes compatibility forms one; lower-casing and splitting of punctuation are options."""
    plain = train_tokenizer(iter(TEXTS), "word", 100)
    assert plain("ｍｏｖｉｅ").input_ids == plain("movie").input_ids
    assert plain("Movie").input_ids[0] == plain.unk_token_id
    assert train_tokenizer(iter(TEXTS), "word", 100, lowercase=True)("Movie").input_ids[0] != plain.unk_token_id
    split = train_tokenizer(iter(TEXTS), "word", 100, split_punctuation=True)
    assert split.convert_ids_to_tokens(split("great, movie").input_ids) == ["great", ",", "movie", "[SEP]"]


@pytest.mark.parametrize("kind", ["unigram", "bpe", "wordpiece", "char"])
def test_offsets_point_at_the_text(kind):
    """Offsets of Korean, emoji and combining marks cover the words without the spaces between them."""
    text = "이 영화  the mov\u00ede 😀!"
    tokenizer = train_tokenizer(iter([*TEXTS, text] * 3), kind, 150)
    encoding = tokenizer(text, return_offsets_mapping=True)
    spans = {}
    for word, (start, end) in zip(encoding.word_ids(), encoding["offset_mapping"], strict=True):
        if word is not None:
            first, last = spans.get(word, (start, end))
            spans[word] = (min(first, start), max(last, end))
    assert [text[start:end] for start, end in spans.values()] == text.split()


def test_the_iterator_is_read_once_and_lazily():
    """A generator is enough; it is not collected first."""
    read = []

    def texts():
        for text in TEXTS:
            read.append(text)
            yield text

    train_tokenizer(texts(), "word", 100)
    assert len(read) == len(TEXTS)


@pytest.mark.parametrize("decompose", [False, True])
def test_many_texts_are_drawn_from(decompose, monkeypatch, caplog):
    """Of many texts a random part is learnt from, of rows in turn too, with no character of the others unknown; few are as they are."""
    rare = ["각 é ｱ", "밟", "ß ﬁ x̌", "end"]
    texts = [row for index in range(300) for row in (f"the film {index % 7} was great", f"영화 {index % 5} 정말 최고")] + rare
    whole = train_tokenizer(texts, "unigram", 150, decompose=decompose).get_vocab()
    monkeypatch.setattr(training, "MOST_CHARACTERS", sum(map(len, texts)))
    assert train_tokenizer(texts, "unigram", 150, decompose=decompose).get_vocab() == whole
    assert not caplog.records
    monkeypatch.setattr(training, "MOST_CHARACTERS", 1500)
    tokenizer = train_tokenizer(iter(texts), "unigram", 150, decompose=decompose)
    assert re.search(r"pieces from \d\d of the 604 texts", caplog.text)
    assert not any(tokenizer.unk_token_id in ids for ids in tokenizer(texts)["input_ids"])
    assert tokenizer.get_vocab().keys() == whole.keys()
    kept = training._some_of(texts, tokenizer.backend_tokenizer.normalizer)[0]
    assert sum(map(len, kept)) <= 1500
    assert 30 < sum("film" in text for text in kept) < 70
    assert train_tokenizer(texts, "unigram", 150, decompose=decompose).get_vocab() == tokenizer.get_vocab()
    monkeypatch.setattr(training, "MOST_CHARACTERS", 3)
    assert train_tokenizer(texts, "unigram", 150, decompose=decompose).unk_token_id not in tokenizer("영화 ß").input_ids


def test_bad_input_is_refused():
    """Errors name the option or the text."""
    with pytest.raises(ValueError, match="`tokenizer_type` must be one of .* got 'sentencepiece'"):
        train_tokenizer(TEXTS, "sentencepiece")
    with pytest.raises(ValueError, match="`vocab_size` must be above the 4 special tokens, got 4"):
        train_tokenizer(TEXTS, vocab_size=4)
    with pytest.raises(ValueError, match="`vocab_size` 10 is smaller than the number of characters"):
        train_tokenizer(TEXTS, "unigram", 10)
    for nothing in ([], ["", "  "]):
        with pytest.raises(ValueError, match="at least one text with a character"):
            train_tokenizer(nothing, "word")
    with pytest.raises(ValueError, match=r"Text 1 .* must be a string, got list: \['a'\]"):
        train_tokenizer(["a", ["a"]], "word")


def test_piece_types_of_byte_level_vocabulary():
    """A vocabulary with the mark of byte-level BPE is read too."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocab = {"<pad>": 0, "Ġa": 1, "b": 2, "[UNK]": 3}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocab, "[UNK]")), pad_token="<pad>", unk_token="[UNK]")
    assert piece_types(tokenizer) == [SPECIAL, WORD_START, CONTINUATION, CONTINUATION]


def test_decomposed_letters():
    """Syllables that differ in their last sound share a piece, composed and decomposed text are one, and offsets name whole letters."""
    texts = ["갔다 왔다 했다 간다 온다 한다", "갔어 왔어 했어"] * 20
    tokenizer = train_tokenizer(texts, "char", 60, decompose=True)
    pieces = [set(tokenizer.tokenize(word)) for word in ("갔다", "간다")]
    assert {"\u1100", "\u1161"} <= pieces[0] & pieces[1]
    assert tokenizer("갔다").input_ids == tokenizer(unicodedata.normalize("NFD", "갔다")).input_ids
    offsets = tokenizer("갔다 왔다", return_offsets_mapping=True, add_special_tokens=False).offset_mapping
    assert {index for start, end in offsets for index in range(start, end)} >= {0, 1, 3, 4}
    assert max(end for _, end in offsets) == 5


# whole, the word takes byte pairs 20 s and ends unigram's process; in parts 0.2 s, and 20 s on two idle threads
@pytest.mark.parametrize(("kind", "seconds"), [("unigram", 60), ("bpe", 5), ("wordpiece", 5)])
@pytest.mark.thorough
def test_a_long_word_is_learnt_from_in_parts(kind, seconds):
    """A word of 200,000 letters is learnt from in under a minute, and words of usual length are not parted."""
    draw = random.Random(0)
    word = "".join(draw.choice("abcdef") for _ in range(200_000))
    start = time.process_time()
    tokenizer = train_tokenizer([word, "abc"], kind, 100)
    assert time.process_time() - start < seconds
    assert len(tokenizer("abc")["input_ids"]) >= 2
    usual = [word[:900], word[900:1800]] * 2
    assert train_tokenizer(usual, kind, 60).get_vocab() == train_tokenizer([" ".join(usual)], kind, 60).get_vocab()
