"""Words of a sentence as a tokenizer encodes them, and where their pieces start; what predicting needs of encoding."""

from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.tokenization_utils_base import LARGE_INTEGER, PaddingStrategy, TruncationStrategy


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


def piece_windows(tokenizer: PreTrainedTokenizerBase, texts: list[str], share: int, is_cut: bool = True) -> list[list[list[int]]] | None:
    """Return the ids of texts as `tokenizer(texts, truncation=True)` gives them, in a third of its time: without offsets, masks and copies.

    What is cut off follows as further windows of a text, each as long and, but for special tokens, begun a share of its length, one in so
    many, before the end of the one before; without `is_cut` there is one window. None for a tokenizer that is not a fast one, or gives a
    model more than ids and their mask.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not {"input_ids", "attention_mask"} >= set(tokenizer.model_input_names):
        return None
    limit = tokenizer.model_max_length
    has_limit = is_cut and limit < LARGE_INTEGER
    # what a call sets, and sets anew only where it is another
    tokenizer.set_truncation_and_padding(
        padding_strategy=PaddingStrategy.DO_NOT_PAD,
        truncation_strategy=TruncationStrategy.LONGEST_FIRST if has_limit else TruncationStrategy.DO_NOT_TRUNCATE,
        max_length=limit,
        stride=window_overlap(tokenizer, share) if has_limit else 0,
        pad_to_multiple_of=None,
        padding_side=None,
    )
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    encodings = backend.encode_batch_fast(texts)
    return [[e.ids, *(more.ids for more in e.overflowing)] if has_limit and len(e.ids) >= limit else [e.ids] for e in encodings]


def window_overlap(tokenizer: PreTrainedTokenizerBase, share: int) -> int:
    """Return how many pieces two neighbouring windows of a text have in common, one in so many of those that they hold."""
    limit = tokenizer.model_max_length
    return (limit - tokenizer.num_special_tokens_to_add()) // share if limit < LARGE_INTEGER else 0
