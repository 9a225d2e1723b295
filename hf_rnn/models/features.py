"""Words and n-grams of characters of rows of ids, as 63-bit keys: the features of the linear path.

What a row spells is read from its ids by a table with the characters of each piece, so that ids alone are enough. A key is a
polynomial of mixed character codes modulo 2^64, so n-grams of any alphabet need no dictionary.
"""

import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from .hashing import POWERS, UNUSED_KEY, powers_at
from .masked import Compaction
from .pieces import BYTE_MARK, CONTINUATION, SPACE, SPECIAL, WORD_MARK, WORD_START, piece_types

# characters kept of a piece, and the longest n-gram of characters
PIECE_LENGTH, MAX_NGRAM = 16, 5
# entries of the table that are no characters: the end of a piece, and the border of a word
NOTHING, BORDER = 0, 2
# flags of a character, below its code, and what is between the flags and its kind
LETTER, UPPER, DIGIT, FLAG_BITS = 1, 2, 4, 4
KIND_BITS = FLAG_BITS + 21
# kinds of characters, the first "other": scripts, as the first words of the names of letters, and categories of what is no letter
SCRIPTS = ["LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "THAI", "LAO"]
SCRIPTS += ["KHMER", "MYANMAR", "TIBETAN"]
KINDS = ["", *SCRIPTS, "L", "N", "Ps", "Pe", "Pi", "Pf", "Pd", "Po", "Pc", "P", "S", "Z", "C", "M"]
# a white space character beside words of raw text
BLANK = (KINDS.index("Z") << KIND_BITS) | (ord(" ") << FLAG_BITS)
BASE = POWERS[0]
# stands for what a vocabulary cannot spell
UNKNOWN = "\ufffd"
# kinds of features of rows beside n-grams of 1 to 5 characters, and the first kind of those of words
WORD, PAIR, OF_WORDS = 6, 7, 8
# characters of a prefix or suffix, at most
MAX_AFFIX = 4


def kind_of(character: str) -> int:
    """Return the place in `KINDS` of the script of a letter, or of the category of another character."""
    category = unicodedata.category(character)
    script = unicodedata.name(character, "").split(" ")[0]
    names = (script if category[0] == "L" else "", category, category[0])
    return next((KINDS.index(name) for name in names if name and name in KINDS), 0)


def encode_piece(text: str, starts_word: bool) -> list[int]:
    """Return the entries of the table of characters for a piece: in lower case, with kinds and flags, after a border at a word's start."""
    codes = [BORDER] if starts_word else []
    for character in text:
        flags = LETTER * (character.isalnum() or character == "_") | UPPER * character.isupper() | DIGIT * character.isdigit()
        codes.append((kind_of(character) << KIND_BITS) | (ord(character.lower()[:1]) << FLAG_BITS) | flags)
    return (codes + [NOTHING] * PIECE_LENGTH)[:PIECE_LENGTH]


def piece_characters(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Return the table of characters of a fast tokenizer: what each id spells, without the marks of word starts."""
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None) or ""
    spelled = []
    for index, (token, kind) in enumerate(zip(tokens, piece_types(tokenizer), strict=True)):
        # white space of raw text goes with the word before it, and is no letter of it
        text = "" if kind in (SPECIAL, SPACE) else UNKNOWN if index == tokenizer.unk_token_id else token or ""
        text = text.removeprefix(WORD_MARK).removeprefix(BYTE_MARK) if kind == WORD_START else text.removeprefix(prefix)
        spelled.append(encode_piece(text, kind != CONTINUATION))
    return spelled


def mix(values: Tensor) -> Tensor:
    """Return integers spread over 64 bits, by multiplication and shift."""
    mixed = (values + 1) * 0x2545F4914F6CDD1D
    return (mixed ^ (mixed >> 29)) * 0x369DEA0F31A53F85


def finish(hashes: Tensor, exists: Tensor, kind: int | Tensor) -> Tensor:
    """Return hashes of kinds of features as non-negative keys, `UNUSED_KEY` where there is no feature."""
    hashes = mix(hashes + kind)
    return torch.where(exists, (hashes ^ (hashes >> 31)) & UNUSED_KEY, UNUSED_KEY)


def longest_of(lengths: Tensor, width: int, is_exported: bool = True) -> int:
    """Return the largest length (B,), 2 at least, of rows that are `width` wide.

    In a graph that is exported this is a size that depends on the data, if `is_exported`; other graphs keep the width.
    """
    is_exporting = torch.compiler.is_exporting() and is_exported
    if torch.compiler.is_compiling() and not is_exporting:
        return width
    if lengths.shape[0] == 0:
        return 0
    # no int(): in an exported graph it is a symbol
    longest: Any = lengths.max().clamp(min=2).item()
    if is_exporting:
        torch._check(longest >= 2)
        torch._check(longest <= width)
    return longest


def read_characters(characters: Tensor, input_ids: Tensor, mask: Tensor) -> Tensor:
    """Return the characters of rows side by side, (B, P): 0 between words, at both ends and behind the row.

    Args:
        characters (`Tensor`): Entries of each piece, (V, `PIECE_LENGTH`), see `encode_piece`.
        input_ids (`Tensor`): (B, T).
        mask (`Tensor`): True where a position exists, (B, T).
    """
    # (B, T * L)
    codes = characters[input_ids.masked_fill(~mask, 0)].long().flatten(1)
    compaction = Compaction.from_mask((codes != NOTHING) & mask.repeat_interleave(PIECE_LENGTH, dim=1))
    codes = compaction.take(codes) * compaction.exists
    codes = codes[:, : longest_of(compaction.lengths, codes.shape[1])]
    return nn.functional.pad(codes * (codes != BORDER), (1, 1))


def character_keys(codes: Tensor) -> Tensor:
    """Return the keys of all n-grams of 1 to 5 characters within words and their borders, (B, 5P), from characters (B, P)."""
    letters = codes >> FLAG_BITS
    mixed, last = mix(letters), letters
    # (B, P): hash of the n-gram that starts at each character, and whether no border is strictly inside it
    hashes, whole = torch.zeros_like(letters), torch.ones_like(codes, dtype=torch.bool)
    found, exists = [], []
    for length in range(1, MAX_NGRAM + 1):
        if length > 2:
            whole = whole & (last != 0)
        last = letters.roll(1 - length, 1)
        hashes = hashes * BASE + mixed.roll(1 - length, 1)
        found.append(hashes)
        # of one or two characters one is a letter
        exists.append(whole if length > 2 else (letters != 0) | (last != 0))
    # (N, 1)
    kinds = torch.arange(1, MAX_NGRAM + 1, device=codes.device).unsqueeze(1)
    return finish(torch.stack(found, 1), torch.stack(exists, 1), kinds).flatten(1)


def word_keys(codes: Tensor) -> Tensor:
    """Return the keys of words, which are runs of letters and digits, and of pairs of neighbours, (B, 2W), from characters (B, P)."""
    inside = (codes & LETTER) != 0
    starts = inside & ~inside.roll(1, 1)
    positions = torch.arange(codes.shape[1], device=codes.device)
    # (B, P): word of each character, and its place in it
    word = (starts.cumsum(1) - 1).clamp(min=0)
    first = torch.zeros_like(codes).scatter_add(1, word, positions * starts)
    added = mix(codes >> FLAG_BITS) * powers_at(positions - first.gather(1, word)) * inside
    words = torch.zeros_like(codes).scatter_add(1, word, added)
    # (B, 1)
    counts = starts.sum(1, keepdim=True)
    words = words[:, : longest_of(counts, words.shape[1])]
    positions = positions[: words.shape[1]]
    pairs = words * BASE + words.roll(-1, 1)
    exists = torch.stack([positions < counts, positions + 1 < counts], 1)
    kinds = torch.tensor([[WORD], [PAIR]], device=codes.device)
    return finish(torch.stack([words, pairs], 1), exists, kinds).flatten(1)


@dataclass
class Spelling:
    """The characters of the words of rows, side by side, and of raw text the white space among them.

    Attributes:
        codes (`Tensor`): Entries of the table, (B, P).
        owner (`Tensor`): The word that a character belongs to, or comes behind if it is white space, (B, P).
        is_letter (`Tensor`): Whether it belongs to the word, (B, P).
        count (`Tensor`): Characters of each row, (B, 1).
        firsts (`Tensor`): Where words start, (B, T).
        lengths (`Tensor`): Characters of words, (B, T).
    """

    codes: Tensor
    owner: Tensor
    is_letter: Tensor
    count: Tensor
    firsts: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, characters: Tensor, input_ids: Tensor, word_of: Tensor, is_word: Tensor, is_blank: Tensor | None) -> "Spelling":
        """Read the words of rows; see `describe_words`."""
        # (B, T, L)
        codes = characters[input_ids.masked_fill(~is_word, 0)].long()
        if is_blank is not None:
            blank = torch.nn.functional.pad(codes.new_full((1,), BLANK), (0, PIECE_LENGTH - 1))
            codes = torch.where(is_blank.unsqueeze(2), blank, codes)
        compaction = Compaction.from_mask(((codes > BORDER) & is_word.unsqueeze(2)).flatten(1))
        codes = compaction.take(codes.flatten(1)) * compaction.exists
        # (B, P)
        owner = compaction.take(word_of.repeat_interleave(PIECE_LENGTH, dim=1))
        # ONNX Runtime fails on emissions of such sizes
        longest = longest_of(compaction.lengths, codes.shape[1], is_exported=False)
        codes, owner, exists = codes[:, :longest], owner[:, :longest], compaction.exists[:, :longest]
        is_letter = exists if is_blank is None else exists & (codes != BLANK)
        # (B, T): characters of words with what is behind them, and without
        spans, lengths = (torch.zeros_like(input_ids).scatter_add(1, owner, mask.long()) for mask in (exists, is_letter))
        return cls(codes, owner, is_letter, compaction.lengths.unsqueeze(1), spans.cumsum(1) - spans, lengths)

    def total(self, values: Tensor) -> Tensor:
        """Sum values of characters (B, K, P) over words, (B, K, T)."""
        owner = self.owner.unsqueeze(1).expand_as(values)
        sums = values.new_zeros(*values.shape[:2], self.lengths.shape[1])
        return sums.scatter_add(2, owner, values * self.is_letter.unsqueeze(1))

    def at(self, places: Tensor) -> Tensor:
        """Return the characters at places (B, T), 0 outside of their rows."""
        inside = (places >= 0) & (places < self.count)
        return self.codes.gather(1, (places * inside).clamp(max=self.codes.shape[1] - 1)) * inside


def describe_words(characters: Tensor, input_ids: Tensor, word_of: Tensor, is_word: Tensor, is_blank: Tensor | None = None) -> Tensor:
    """Return the keys of the usual features of taggers (Ratnaparkhi 1996), (B, T, F), words side by side at the left of each row.

    A word itself, its shape, whether it has a digit, its prefixes and suffixes; the words up to two away; shape and suffix of both
    neighbours. Of raw text also the characters around, see `describe_around`.

    Args:
        characters (`Tensor`): Entries of each piece, (V, `PIECE_LENGTH`).
        input_ids (`Tensor`): (B, T).
        word_of (`Tensor`): The word of each position, counted in its row, (B, T).
        is_word (`Tensor`): True where a position is of a word, or white space behind one, (B, T).
        is_blank (`Tensor`, *optional*): Where there is white space of raw text, (B, T).
    """
    spelling = Spelling.of(characters, input_ids, word_of, is_word, is_blank)
    codes = spelling.codes
    letters, flags = codes >> FLAG_BITS, codes & (2**FLAG_BITS - 1)
    # place of each character from the start and from the end of its word
    place = torch.arange(codes.shape[1], device=codes.device) - spelling.firsts.gather(1, spelling.owner)
    behind = spelling.lengths.gather(1, spelling.owner) - 1 - place
    mixed, powers = mix(letters), powers_at(place)
    forward, backward = mixed * powers, mixed * powers_at(behind)
    shapes = mix(torch.where(flags != 0, flags, codes)) * powers
    # (A, 1): lengths of prefixes and suffixes
    sizes = torch.arange(1, MAX_AFFIX + 1, device=codes.device).unsqueeze(1)
    prefixes, suffixes = (spread.unsqueeze(1) * (index.unsqueeze(1) < sizes) for spread, index in ((forward, place), (backward, behind)))
    # (B, K, T)
    own = spelling.total(torch.cat([torch.stack([forward, shapes, flags & DIGIT], 1), prefixes, suffixes], dim=1))
    if is_blank is not None:
        # of units that are one character an affix says nothing more
        own = torch.cat([own[:, :3], own[:, 3:] * (spelling.lengths.unsqueeze(1) > sizes.repeat(2, 1))], dim=1)
    # (B, 1)
    count = (word_of.amax(1, keepdim=True) + 1) * is_word.any(1, keepdim=True) if word_of.shape[1] else word_of.sum(1, keepdim=True)
    length = input_ids.shape[1]
    places = torch.arange(length, device=codes.device)
    exists = (places < count).unsqueeze(1)
    # words, shapes and suffixes with room for the words that there are none of at both ends: (B, T + 4) each
    words, shapes, suffixes = nn.functional.pad(own[:, [0, 1, 3 + MAX_AFFIX + 2]] * exists, (2, 2)).unbind(1)
    # those of the words before and behind, (B, T) each
    features = [words[:, place : place + length] for place in (0, 1, 3, 4)]
    features += [values[:, place : place + length] for values in (shapes, suffixes) for place in (1, 3)]
    if is_blank is not None:
        features += describe_around(spelling, own[:, 0])
    has_digit = (own[:, 2:3] != 0).long()
    hashes = torch.cat([torch.zeros_like(has_digit), own[:, :2], has_digit, own[:, 3:], torch.stack(features, 1)], dim=1)
    # (F, 1)
    kinds = torch.arange(OF_WORDS, OF_WORDS + hashes.shape[1], device=codes.device).unsqueeze(1)
    return finish(hashes, exists, kinds).transpose(1, 2)


def describe_around(spelling: Spelling, word: Tensor) -> list[Tensor]:
    """Return what there is around words of raw text (B, T), white space included: characters and their kinds, two to each side.

    Alone, in pairs of neighbours, and three in a row, of which the word itself is one.
    """
    behind = spelling.firsts + spelling.lengths
    around = [spelling.at(place) for place in (spelling.firsts - 2, spelling.firsts - 1, spelling.firsts, behind, behind + 1)]
    features: list[Tensor] = []
    for values in ([code >> FLAG_BITS for code in around], [code >> KIND_BITS for code in around]):
        row = [mix(value) for value in values]
        if not features:
            row[2] = word
        pairs = [first * BASE + second for first, second in pairwise(row)]
        features += [*row, *pairs, *(pair * BASE + third for pair, third in zip(pairs, row[2:], strict=False))]
    return features
