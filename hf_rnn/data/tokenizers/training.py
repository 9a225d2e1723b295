"""Train a fast tokenizer from an iterator of texts."""

import json
import random
import re
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils import logging

from ...models.pieces import WORD_MARK

logger = logging.get_logger(__name__)

TOKENIZER_TYPES = ("unigram", "bpe", "wordpiece", "word", "char")
PAD, UNK, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[SEP]", "[MASK]")
# more often than any pair occurs
NEVER = 2**62
# characters that unigram learns from, at most: 5 million, of 130,000 reviews, take two minutes of a core, and a quarter of them 15 seconds
MOST_CHARACTERS = 1_500_000
# what trainers take for one word takes time by the square of its length, and one of 200,000 letters ends unigram's: longer ones are
# learnt from in parts
LONG_WORD = re.compile(r"\S{1000}(?=\S)")


def train_tokenizer(
    texts: Iterable[str],
    tokenizer_type: str = "unigram",
    vocab_size: int = 16000,
    lowercase: bool = False,
    split_punctuation: bool = False,
    decompose: bool = False,
    min_frequency: int = 2,
    model_max_length: int = 256,
) -> PreTrainedTokenizerFast:
    """Train a tokenizer. The same texts and options give the same tokenizer.

    Text is NFKC-normalised, or NFKD with `decompose`, and split at white space; `[SEP]` ends every encoding, so that also the empty
    text has a token. Of many texts `"unigram"` learns from some, drawn at random, and the characters of the others.

    Args:
        texts (`Iterable[str]`): Read once, one at a time; tokens of a tagged sentence joined by spaces.
        tokenizer_type (`str`): `"unigram"` (Kudo 2018), `"bpe"` (Sennrich et al. 2016), `"wordpiece"` (Schuster and Nakajima
            2012), `"word"` (whole words) or `"char"` (characters).
        vocab_size (`int`): Largest number of entries, special tokens included.
        lowercase (`bool`): Whether to lower-case.
        split_punctuation (`bool`): Whether punctuation makes words of its own. For taggers of text that comes as tokens leave it
            off, so that each token stays one word.
        decompose (`bool`): Whether letters are taken apart (NFKD), Hangul syllables into jamo and accents from their letters, so that
            pieces can end inside them. Decoded text is then decomposed too.
        min_frequency (`int`): Occurrences that a word of `"word"` or a pair of `"bpe"` and `"wordpiece"` needs.
        model_max_length (`int`): Tokens to which pipelines and scripts truncate.

    Returns:
        `PreTrainedTokenizerFast`: Saved by `save_pretrained`, loaded by `AutoTokenizer`.

    Raises:
        ValueError: An unknown type, a vocabulary too small, no text, or something that is not text.
    """
    if tokenizer_type not in TOKENIZER_TYPES:
        raise ValueError(f"`tokenizer_type` must be one of {TOKENIZER_TYPES}, got {tokenizer_type!r}. Pass --tokenizer_type.")
    if vocab_size <= len(SPECIAL_TOKENS):
        raise ValueError(f"`vocab_size` must be above the {len(SPECIAL_TOKENS)} special tokens, got {vocab_size}. Pass --vocab_size.")
    tokenizer = _build("bpe" if tokenizer_type == "wordpiece" else tokenizer_type, lowercase, split_punctuation, decompose)
    options: Any = {"vocab_size": vocab_size, "special_tokens": list(SPECIAL_TOKENS), "show_progress": False}
    if tokenizer_type == "unigram":
        some, others = _some_of(_checked(texts), tokenizer.normalizer)
        try:
            tokenizer.train_from_iterator(some, trainers.UnigramTrainer(unk_token=UNK, initial_alphabet=others, **options))
        except Exception as error:
            # the library raises nothing narrower
            if "not large enough" not in str(error):
                raise
            raise ValueError(
                f"`vocab_size` {vocab_size} is smaller than the number of characters in the texts, each of which 'unigram' needs. "
                "Pass a larger --vocab_size, or --tokenizer_type bpe, which leaves rare characters out."
            ) from None
        tokenizer.model = _stable_unigram(tokenizer)
    elif tokenizer_type == "word":
        tokenizer.train_from_iterator(_checked(texts), trainers.WordLevelTrainer(min_frequency=min_frequency, **options))
    else:
        # characters are byte-pair encoding without a merge
        frequency = NEVER if tokenizer_type == "char" else min_frequency
        trainer = trainers.BpeTrainer(min_frequency=frequency, limit_alphabet=vocab_size - len(SPECIAL_TOKENS), **options)
        tokenizer.train_from_iterator(_checked(texts), trainer)
    if tokenizer_type == "wordpiece":
        pieces = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
        tokenizer = _build("wordpiece", lowercase, split_punctuation, decompose)
        tokenizer.model = _wordpiece_from_bpe(pieces, vocab_size)
        tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return finish_tokenizer(tokenizer, model_max_length)


def _some_of(texts: Iterable[str], normalizer: normalizers.Normalizer) -> tuple[list[str], list[str]]:
    """Return texts drawn at random, as many as have `MOST_CHARACTERS` or all, and the characters of the others."""
    # the last in order leave first
    drawn: list[tuple[float, int, str]] = []
    letters: set[str] = set()
    draw, size = random.Random(0), 0
    for index, text in enumerate(texts):
        heappush(drawn, (-draw.random(), index, text))
        size += len(text)
        while size > MOST_CHARACTERS and len(drawn) > 1:
            left_out = heappop(drawn)[2]
            letters.update(normalizer.normalize_str(left_out))
            size -= len(left_out)
    kept = [text for _, _, text in sorted(drawn, key=lambda entry: entry[1])]
    if letters:
        logger.warning(
            f"The tokenizer learns its pieces from {len(kept):,} of the {index + 1:,} texts, drawn at random, and single characters from "
            "all: more take minutes, for hardly other pieces."
        )
    return kept, sorted(letter for letter in letters if not letter.isspace())


def finish_tokenizer(tokenizer: Tokenizer, model_max_length: int) -> PreTrainedTokenizerFast:
    """Let `[SEP]` end every encoding of a trained tokenizer, and wrap it for transformers."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {SEP}", pair=f"$A {SEP} $B:1 {SEP}:1", special_tokens=[(SEP, tokenizer.token_to_id(SEP))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        sep_token=SEP,
        mask_token=MASK,
        model_max_length=model_max_length,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def begin_texts(tokenizer: PreTrainedTokenizerFast) -> None:
    """Let `[SEP]` begin every encoding rather than end it, as bos and eos token, so that a text can go on where it stops.

    Args:
        tokenizer (`PreTrainedTokenizerFast`): One of `train_tokenizer`; changed in place.
    """
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SEP} $A", special_tokens=[(SEP, tokenizer.sep_token_id)]
    )
    tokenizer.add_special_tokens({"bos_token": SEP, "eos_token": SEP})


def _build(tokenizer_type: str, lowercase: bool, split_punctuation: bool, decompose: bool) -> Tokenizer:
    """Return an untrained tokenizer: normaliser, pre-tokenizer, model and decoder."""
    kinds = {"unigram": models.Unigram, "bpe": models.BPE, "char": models.BPE, "wordpiece": models.WordPiece}
    kind = kinds.get(tokenizer_type, models.WordLevel)
    tokenizer = Tokenizer(kind() if kind is models.Unigram else kind(unk_token=UNK))
    form = normalizers.NFKD() if decompose else normalizers.NFKC()
    tokenizer.normalizer = normalizers.Sequence([form, *([normalizers.Lowercase()] if lowercase else [])])
    splits = [pre_tokenizers.WhitespaceSplit(), *([pre_tokenizers.Punctuation()] if split_punctuation else [])]
    if tokenizer_type == "wordpiece":
        tokenizer.decoder = decoders.WordPiece()
    elif tokenizer_type != "word":
        splits.append(pre_tokenizers.Metaspace(prepend_scheme="always"))
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    return tokenizer


def _stable_unigram(tokenizer: Tokenizer) -> models.Unigram:
    """Return the trained model with scores rounded and pieces in a fixed order.

    Expectation maximisation sums in an order that changes from run to run, and so do the last digits of its scores; and
    characters too rare to have a score get one just above the lowest, 1e-4 apart, in the order of a hash table.
    """
    model = json.loads(tokenizer.to_str())["model"]
    specials = [tuple(entry) for entry in model["vocab"][: len(SPECIAL_TOKENS)]]
    scores = {piece: round(score, 6) for piece, score in model["vocab"][len(SPECIAL_TOKENS) :]}
    letters = [piece for piece in scores if len(piece) == 1]
    rare = sorted(piece for piece in letters if scores[piece] <= min(scores.values()) + 1e-4 * len(letters))
    scores.update(zip(rare, sorted((scores[piece] for piece in rare), reverse=True), strict=True))
    ordered = sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))
    return models.Unigram(specials + ordered, unk_id=model["unk_id"])


def _wordpiece_from_bpe(pieces: list[str], vocab_size: int) -> models.WordPiece:
    """Return a model that matches the pieces of a trained BPE model greedily, longest first.

    The library's own WordPiece trainer numbers "##" pieces in the order of a hash table, and merges by number where counts tie.
    """
    pieces = pieces[len(SPECIAL_TOKENS) :]
    letters = [piece for piece in pieces if len(piece) == 1 and piece != WORD_MARK]
    marked = [piece[1:] if piece.startswith(WORD_MARK) else f"##{piece}" for piece in pieces if piece != WORD_MARK]
    vocab = list(dict.fromkeys([*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters), *marked]))[:vocab_size]
    return models.WordPiece({piece: index for index, piece in enumerate(vocab)}, unk_token=UNK)


def _checked(texts: Iterable[str]) -> Iterator[str]:
    """Pass texts on, long words in parts; raise a ValueError at the first that is no string, or if there is none with a character in it."""
    seen = False
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"Text {index} for the tokenizer must be a string, got {type(text).__name__}: {text!r}. "
                "Join the tokens of a sentence by spaces."
            )
        seen = seen or bool(text.strip())
        yield LONG_WORD.sub(r"\g<0> ", text)
    if not seen:
        raise ValueError("The tokenizer needs at least one text with a character in it, got none. Check the file and the column name.")
