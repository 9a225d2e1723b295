"""Units of raw text: what words and entities are made of, taught from where they begin and end in annotated text.

A unit is a run of letters of one script, a run of digits, or any other single character with the marks that belong to it. Where
annotations begin or end inside runs, runs are cut: before or after the endings, beginnings and words at which that happens again and
again ("do|n't", "gon|na"), and in scripts in which it happens anywhere (Han, Kana, Thai; Hangul, where particles follow names) every
character is a unit. White space belongs to no unit.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from sys import maxunicode
from typing import NamedTuple

import regex
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import nn
from transformers import PreTrainedTokenizerFast

from .training import LONG_WORD, SPECIAL_TOKENS, UNK, finish_tokenizer

Annotated = tuple[str, list[tuple[int, int]]]

PREFIX = "##"
# where letters inside of units have numbers of their own while pieces are learnt: the last planes, which nobody writes
PRIVATE = 0xF0000

# letters of a script, and what is written among them
SCRIPTS = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Devanagari": r"\p{Devanagari}",
    "Han": r"\p{Han}",
    "Hiragana": r"\p{Hiragana}",
    "Katakana": r"\p{Katakana}ー",
    "Hangul": r"\p{Hangul}",
    "Thai": r"\p{Thai}",
    "Lao": r"\p{Lao}",
    "Khmer": r"\p{Khmer}",
    "Myanmar": r"\p{Myanmar}",
    "Tibetan": r"\p{Tibetan}",
    "other letters": r"\p{L}",
    "digits": r"\p{N}",
}
# characters of which texts hold none, for those of a script that they hold too rarely to be known
STAND_INS = {"Han": "㐀", "Hiragana": "ゟ", "Katakana": "ヿ", "Hangul": "힣"}
# what `str.isspace` and `str.strip` take for white space
WHITE = "".join(letter for letter in map(chr, range(0x3001)) if letter.isspace())
MARKS = r"\p{M}\u200c\u200d"
LETTER = r"[\p{L}\p{M}]"
# letters, and apostrophes among them: what endings and beginnings are looked for in
WORD = regex.compile(rf"{LETTER}+(?:['’]{LETTER}+)*")
# share of a script's borders inside runs above which its characters are units
TOLERANCE = 0.003
# an ending or beginning is cut if at least so many of the words that have it are, a word if it is cut so often
AFFIX_PRECISION, WORD_PRECISION = 0.5, 0.25


@dataclass(frozen=True)
class Cuts:
    """Where runs of letters are cut.

    Args:
        scripts (`tuple`): Names in `SCRIPTS` of those whose characters are units.
        endings, beginnings (`tuple`): Parts of words, in lower case, before or after which words are cut.
        words (`tuple`): Pairs of the halves of whole words, in lower case.
    """

    scripts: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()

    def pattern(self) -> str:
        """Return the regular expression of a unit or a white space character, as Oniguruma and `regex` read it."""
        after, before = rf"(?!{LETTER}|['’]{LETTER})", rf"(?<!{LETTER}|{LETTER}['’])"
        singles = [rf"(?=[{SCRIPTS[name]}])\X" for name in self.scripts]
        runs = [rf"(?:[{letters}{MARKS}])+" if name != "digits" else rf"{letters}+" for name, letters in SCRIPTS.items()]
        # each condition once, as an engine that tries one after the other pays for every one of them
        firsts = "|".join(rf"(?i:{regex.escape(a)})(?=(?i:{regex.escape(b)}){after})" for a, b in self.words)
        halves = [rf"{before}(?:{firsts})"] if self.words else []
        # an ending is at least one letter away from the start of its word
        endings = [rf"{LETTER}+?(?=(?i:{_any(self.endings)}){after})"] if self.endings else []
        beginnings = [rf"{before}(?i:{_any(self.beginnings)})(?={LETTER})"] if self.beginnings else []
        return "|".join([f"[{WHITE}]", *singles, *halves, *beginnings, *endings, *runs, r"\X"])


class _Chosen(NamedTuple):
    endings: set[str]
    beginnings: set[str]
    words: set[tuple[str, str]]


def _any(affixes: Iterable[str]) -> str:
    return "(?:" + "|".join(map(regex.escape, affixes)) + ")"


def find_cuts(rows: Iterable[Annotated]) -> Cuts:
    """Find where runs have to be cut so that units meet the borders of spans.

    An ending or beginning is cut if annotations cut several words there, and most of the words that have it; a word, if they cut it
    several times. Borders that are left tell how many more there are to come (Good 1953); where they are more than `TOLERANCE` of a
    script's borders, its characters become units.

    Args:
        rows (`Iterable`): Texts, each with the start and end of its spans, end excluded.

    Returns:
        `Cuts`: What the rows teach.
    """
    total, left, counts, halves = Counter[str](), Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    runs = regex.compile(Cuts().pattern())
    for text, spans in rows:
        total.update(script_of(text[start]) for start, _ in spans)
        total.update(script_of(text[end - 1]) for _, end in spans)
        inner = {border for span in spans for border in span} - {border for unit in runs.finditer(text) for border in unit.span()}
        for word in WORD.finditer(text):
            counts[word.group().lower()] += 1
            cuts = [border for border in inner if word.start() < border < word.end()]
            halves.update((text[word.start() : cut].lower(), text[cut : word.end()].lower()) for cut in cuts)
            inner.difference_update(cuts)
        left.update(script_of(text[border]) for border in inner)
    found = _choose(counts, halves)
    for (before, after), count in halves.items():
        if before not in found.beginnings and after not in found.endings and (before, after) not in found.words:
            left[script_of(after[0])] += count
    # three may be slips
    scripts = tuple(name for name in SCRIPTS if left[name] > max(3, TOLERANCE * total[name]))
    rest = {pair: count for pair, count in halves.items() if not {script_of(pair[0][-1]), script_of(pair[1][0])} & set(scripts)}
    chosen = _choose(counts, rest)
    return Cuts(scripts, tuple(sorted(chosen.endings)), tuple(sorted(chosen.beginnings)), tuple(sorted(chosen.words)))


def _choose(counts: Mapping[str, int], halves: Mapping[tuple[str, str], int]) -> _Chosen:
    """Choose endings, beginnings and words among the halves into which words are cut."""
    endings = _affixes(counts, halves, lambda word, size: word[-size:], 1)
    halves = {pair: count for pair, count in halves.items() if pair[1] not in endings}
    beginnings = _affixes(counts, halves, lambda word, size: word[:size], 0)
    halves = {pair: count for pair, count in halves.items() if pair[0] not in beginnings}
    words = {pair for pair, count in halves.items() if count > 1 and count >= WORD_PRECISION * counts["".join(pair)]}
    return _Chosen(endings, beginnings, words)


def _affixes(counts: Mapping[str, int], halves: Mapping[tuple[str, str], int], affix_of: Callable[[str, int], str], side: int) -> set[str]:
    """Return the halves on a side at which several different words are cut, and most of the words that have them."""
    cut, partners, occurrences = Counter[str](), Counter[str](), Counter[str]()
    for pair, count in halves.items():
        cut[pair[side]] += count
        partners[pair[side]] += 1
    likely = {affix for affix in cut if partners[affix] > 1}
    sizes = sorted(set(map(len, likely)))
    for word, count in counts.items():
        for affix in likely.intersection(affix_of(word, size) for size in sizes if size < len(word)):
            occurrences[affix] += count
    return {affix for affix in likely if cut[affix] >= AFFIX_PRECISION * occurrences[affix]}


@lru_cache(maxsize=1 << 16)
def script_of(letter: str) -> str:
    """Return the name in `SCRIPTS` of what a character belongs to, or an empty string."""
    return next((name for name, letters in SCRIPTS.items() if regex.match(f"[{letters}]", letter)), "")


def train_unit_tokenizer(
    texts: Iterable[str], cuts: Cuts, vocab_size: int = 2000, lowercase: bool = False, model_max_length: int = 1_000_000
) -> PreTrainedTokenizerFast:
    """Train a tokenizer of raw text whose pieces keep within units: WordPiece, with white space as pieces of its own.

    Nothing is normalised but white space, each of which becomes a space, so that offsets and pieces are those of the text; and where
    characters are units, one that the texts hold less than twice, which becomes the one of `STAND_INS` that says its script. Elsewhere
    a unit with such a character is unknown as a whole.

    Args:
        texts (`Iterable[str]`): Read once.
        cuts (`Cuts`): What `find_cuts` found.
        vocab_size (`int`): Largest number of entries, unless there are more characters.
        lowercase (`bool`): Whether to lower-case.
        model_max_length (`int`): Tokens to which pipelines and scripts truncate.
    """
    counts: Counter[str] = Counter()
    texts = [text.lower() if lowercase else text for text in texts]
    for text in texts:
        counts.update(text)
    letters = sorted(letter for letter, count in counts.items() if count > 1 and not letter.isspace())
    tokenizer = Tokenizer(models.BPE(unk_token=UNK, continuing_subword_prefix=PREFIX))
    space = normalizers.Replace(Regex(f"[{WHITE}]"), " ")
    rare = [_stand_in(name, letters) for name in cuts.scripts if name in STAND_INS]
    tokenizer.normalizer = normalizers.Sequence([space, *([normalizers.Lowercase()] if lowercase else []), *rare])
    letters = sorted({*letters, *(STAND_INS[name] for name in cuts.scripts if name in STAND_INS)})
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(cuts.pattern()), "isolated")
    size = max(vocab_size, len(SPECIAL_TOKENS) + len(letters) + 1)
    learnt = _learn_pieces(_units_of(texts, tokenizer), letters, size - len(SPECIAL_TOKENS))
    # a letter that can stand inside a unit is known there too
    inside = [f"{PREFIX}{letter}" for letter in letters if regex.fullmatch(cuts.pattern(), 2 * letter)]
    pieces = dict.fromkeys([*SPECIAL_TOKENS, " ", *letters, *inside, *learnt])
    tokenizer.model = models.WordPiece(
        {piece: index for index, piece in enumerate(pieces)}, unk_token=UNK, continuing_subword_prefix=PREFIX
    )
    # pipelines decode every span: a step more takes as long as the rest
    tokenizer.decoder = decoders.Replace(Regex(f"^{PREFIX}"), "")
    return finish_tokenizer(tokenizer, model_max_length)


def _units_of(texts: Iterable[str], tokenizer: Tokenizer) -> Counter[str]:
    """Count the units of texts."""
    units: Counter[str] = Counter()
    for text in texts:
        normalized = tokenizer.normalizer.normalize_str(LONG_WORD.sub(r"\g<0> ", text))
        units.update(unit for unit, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized))
    return units


def _learn_pieces(units: Mapping[str, int], letters: Sequence[str], size: int) -> list[str]:
    """Return pieces of units by byte-pair encoding (Sennrich et al. 2016), those inside of a unit with the prefix, the most frequent first.

    The library numbers pieces with a prefix in the order of a hash table, and merges by number where counts tie, so that no two runs are
    the same. Here letters inside of units are other letters, of a private plane, and there is no prefix.
    """
    stands = (chr(number) for number in range(PRIVATE, maxunicode + 1) if chr(number) not in letters)
    hidden = dict(zip([" ", *letters], stands, strict=False))
    seen = {letter: letter for letter in hidden}
    plain = {**seen, **{stand: letter for letter, stand in hidden.items()}}
    counts: Counter[str] = Counter()
    for unit, count in units.items():
        known = [letter for letter in unit if letter in hidden]
        counts["".join([*known[:1], *(hidden[letter] for letter in known[1:])])] += count
    trained = Tokenizer(models.BPE(unk_token=UNK))
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=len(plain), show_progress=False)
    trained.train_from_iterator((word for word in sorted(counts) for _ in range(counts[word])), trainer)
    vocab = trained.get_vocab()
    return [
        ("" if piece[0] in seen else PREFIX) + "".join(plain[letter] for letter in piece) for piece in sorted(vocab, key=vocab.__getitem__)
    ]


def _stand_in(script: str, letters: list[str]) -> normalizers.Normalizer:
    """Return what writes one character for all those of a script that are not among letters."""
    known = "".join(letter for letter in letters if script_of(letter) == script)
    # parts of syllables make one with their neighbours
    letter = "가-힣" if script == "Hangul" else SCRIPTS[script]
    return normalizers.Replace(Regex(f"(?=[{letter}])[^{known}{STAND_INS[script]}]"), STAND_INS[script])


@torch.no_grad()
def share_scripts(embedding: nn.Embedding, tokenizer: PreTrainedTokenizerFast) -> None:
    """Let the vectors of pieces of one script start with a common half, so that a rare character is at least one of its script.

    Args:
        embedding (`Embedding`): Fresh vectors; their scale stays.
        tokenizer (`PreTrainedTokenizerFast`): Names the pieces.
    """
    common: dict[str, torch.Tensor] = {}
    for piece, index in sorted(tokenizer.get_vocab().items()):
        script = script_of(piece.removeprefix(PREFIX)[:1])
        if script:
            row = embedding.weight[index]
            shared = common.setdefault(script, torch.randn_like(row) * embedding.weight.std())
            row.add_(shared).mul_(0.5**0.5)
