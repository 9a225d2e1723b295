"""A cut tokenizer gives the same pieces for the texts it was cut to, and something for every other text."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_rnn.data.tokenizers.training import train_tokenizer
from hf_rnn.data.tokenizers.vocabulary import cut_vocabulary
from hf_rnn.models.pieces import piece_types

TEXTS = ["the cats sat on the mats", "a dog sees the cat", "singing songs of the sea", "unseen mountains rise"]


def byte_level():
    """Return a byte-level BPE tokenizer with the post-processor of RoBERTa."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=400, special_tokens=specials, show_progress=False))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>")


def make(kind):
    """Return a tokenizer of a kind."""
    return byte_level() if kind == "byte-level" else train_tokenizer(TEXTS * 3, kind, 120)


@pytest.mark.parametrize("kind", ["wordpiece", "bpe", "unigram", "word", "byte-level"])
def test_same_pieces(kind, tmp_path):
    """Pieces, special tokens and offsets are the same; the vocabulary is smaller; saved and loaded it is the same."""
    tokenizer = make(kind)
    used = TEXTS[:2]
    needed = set(cut_vocabulary(tokenizer, iter([]), size=0).get_vocab()) | {piece for text in used for piece in tokenizer.tokenize(text)}
    cut = cut_vocabulary(tokenizer, iter(used), size=len(needed), model_max_length=50)
    assert len(cut) < len(tokenizer)
    cut.save_pretrained(tmp_path)
    for each in (cut, AutoTokenizer.from_pretrained(tmp_path)):
        for text in used:
            old, new = tokenizer(text, return_offsets_mapping=True), each(text, return_offsets_mapping=True)
            assert each.convert_ids_to_tokens(new.input_ids) == tokenizer.convert_ids_to_tokens(old.input_ids)
            assert new.offset_mapping == old.offset_mapping
        assert each.pad_token == tokenizer.pad_token
        assert each.model_max_length == 50
        assert each("mountains of songs").input_ids
        assert len(piece_types(each)) == len(each)


def test_size():
    """Within the size the pieces that the texts use most come first, then the first of the vocabulary; no size is too large."""
    tokenizer = make("unigram")
    assert len(cut_vocabulary(tokenizer, iter(TEXTS[:1]), size=1000)) == len(tokenizer)
    smallest = cut_vocabulary(tokenizer, iter([]), size=0)
    pieces = [piece for piece in tokenizer.tokenize(TEXTS[3]) if piece not in smallest.get_vocab()]
    rare, common = pieces[0], pieces[1]
    texts = [tokenizer.convert_tokens_to_string([piece]) for piece in (rare, common, common)]
    one_more = cut_vocabulary(tokenizer, iter(texts), size=len(smallest) + 1)
    assert set(one_more.get_vocab()) - set(smallest.get_vocab()) == {common}


def test_refuses_what_it_cannot_cut():
    """A tokenizer without a pad token."""
    tokenizer = make("word")
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="has no pad token"):
        cut_vocabulary(tokenizer, iter(TEXTS))
