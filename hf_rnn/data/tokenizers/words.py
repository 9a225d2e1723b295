"""Words of a sentence as a tokenizer encodes them, and where their pieces start; what predicting needs of encoding."""

from typing import Any

from transformers import PreTrainedTokenizerBase


def first_pieces(word_ids: list[int | None], count: int) -> list[int]:
    """Return the position of the first piece of each of `count` words."""
    firsts: dict[int, int] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            firsts.setdefault(word, position)
    return [firsts[word] for word in range(count)]


def encode_words(tokenizer: PreTrainedTokenizerBase, sentences: list[list[str]]) -> Any:
    """Encode tokens, with the unknown token in place of those that the tokenizer leaves no piece of, such as a lone space."""
    options = {"is_split_into_words": True, "return_attention_mask": False, "verbose": False}
    encoding = tokenizer(sentences, **options)
    pieces = [set(encoding.word_ids(index)) for index in range(len(sentences))]
    if all(len(found - {None}) == len(sentence) for found, sentence in zip(pieces, sentences, strict=True)):
        return encoding
    unknown = tokenizer.unk_token
    filled = [[w if k in found else unknown for k, w in enumerate(s)] for s, found in zip(sentences, pieces, strict=True)]
    return tokenizer(filled, **options)
