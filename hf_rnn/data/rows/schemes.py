"""Schemes of tags for spans, as data sets write them: IOB1, IOB2, IOE, BIOES, BILOU, BMEWO, with the letter before or behind the type."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...models.tags import bio_tags, spans_of_parts

# of each scheme, what its letters are in BIOES (Ramshaw and Marcus 1995; Ratinov and Roth 2009; Borthwick 1999)
LETTERS = {
    "BIO": {"B": "B", "I": "I"},
    "IOE": {"I": "I", "E": "E"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BMEWO": {"B": "B", "M": "I", "E": "E", "W": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "BIOEU": {"B": "B", "I": "I", "E": "E", "U": "S"},
}
SEPARATORS = "-_:–—−"
PREFIX = re.compile(rf"([BIMELSUW])[{SEPARATORS}](.+)", re.IGNORECASE)
SUFFIX = re.compile(rf"(.+)[{SEPARATORS}]([BIMELSUW])", re.IGNORECASE)
OUTSIDE = ("O", "o")
# letters that begin an entity, or a scheme by themselves
BEGINNINGS = {"B", "I", "M", "S", "U", "W"}

Entity = tuple[int, int, str]


@dataclass(frozen=True)
class Scheme:
    """How tags describe spans.

    Attributes:
        name (`str`): One of `LETTERS`, or "IOB1".
        is_suffix (`bool`): Whether the letter stands behind the type.
    """

    name: str
    is_suffix: bool = False

    def split(self, tag: str) -> tuple[str, str]:
        """Return the letter of BIOES and the type of a tag; "O" and nothing outside of spans."""
        if tag in OUTSIDE:
            return "O", ""
        letter, kind = _part(tag, self.is_suffix) or ("", "")
        return LETTERS["BIO" if self.name == "IOB1" else self.name][letter], kind

    def spans(self, tags: Iterable[str]) -> list[Entity]:
        """Return the first tag, the one after the last, and the type of each span."""
        return spans_of_parts(map(self.split, tags))

    @property
    def has_ends(self) -> bool:
        """Return whether its tags are read as BIOES rather than as BIO."""
        return self.name not in ("BIO", "IOB1", "IOE")

    def rewrite(self, tags: Sequence[str], with_ends: bool | None = None) -> list[str]:
        """Return the tags of the same spans in the form of this package, letter first: BIO or BIOES, as they are or as is asked for."""
        if with_ends is not None and with_ends != self.has_ends:
            rewritten = ["O"] * len(tags)
            for start, end, kind in self.spans(tags):
                rewritten[start:end] = bioes_tags(kind, end - start) if with_ends else bio_tags(kind, end - start)
            return rewritten
        if self.name not in ("IOB1", "IOE"):
            # letter by letter, so that what breaks the scheme is still there to be seen
            return ["O" if letter == "O" else f"{letter}-{kind}" for letter, kind in map(self.split, tags)]
        rewritten = ["O"] * len(tags)
        for start, end, kind in self.spans(tags):
            rewritten[start:end] = bio_tags(kind, end - start)
        return rewritten

    def __str__(self) -> str:
        return f"{self.name}{' with the letter behind the type' if self.is_suffix else ''}"


def bioes_tags(label: str, length: int) -> list[str]:
    """Return the tags of a span of a label."""
    return [f"S-{label}"] if length == 1 else [f"B-{label}", *[f"I-{label}"] * (length - 2), f"E-{label}"]


def _part(tag: str, is_suffix: bool) -> tuple[str, str] | None:
    """Return the letter, in capitals, and the type of a tag."""
    found = (SUFFIX if is_suffix else PREFIX).fullmatch(tag)
    if found is None:
        return None
    letter, kind = found.groups()[::-1] if is_suffix else found.groups()
    return letter.upper(), kind


def find_scheme(sentences: Sequence[Sequence[str]]) -> Scheme | None:
    """Return the scheme of the tags of sentences, or None if they are of none."""
    tags = {tag for sentence in sentences for tag in sentence} - set(OUTSIDE)
    for is_suffix in (False, True):
        parts = [_part(tag, is_suffix) for tag in tags]
        letters = {part[0] for part in parts if part is not None}
        if not tags or None in parts or not letters & BEGINNINGS or not _is_meant(tags, letters, is_suffix):
            continue
        name = next((name for name, known in LETTERS.items() if letters <= known.keys()), None)
        if name == "BIO" and _is_iob1(sentences, is_suffix):
            return Scheme("IOB1", is_suffix)
        if name is not None:
            return Scheme(name, is_suffix)
    return None


def _is_meant(tags: set[str], letters: set[str], is_suffix: bool) -> bool:
    """Return whether small letters before hyphens, as in "e-mail" or "u-turn", are those of a scheme."""
    index = -1 if is_suffix else 0
    return bool(letters & {"B", "I"}) or all(tag[index].isupper() for tag in tags)


def _is_iob1(sentences: Iterable[Sequence[str]], is_suffix: bool) -> bool:
    """Return whether B stands only between neighbours of one type, and I begins spans: in IOB2 every span begins with B."""
    begins = False
    for sentence in sentences:
        before = ("O", "")
        for tag in sentence:
            letter, kind = ("O", "") if tag in OUTSIDE else _part(tag, is_suffix) or ("O", "")
            follows = before[0] != "O" and before[1] == kind
            if letter == "B" and not follows:
                return False
            begins |= letter == "I" and not follows
            before = letter, kind
    return begins


def odd_tags(tags: Iterable[str]) -> list[str]:
    """Return the tags that keep others from being those of a scheme: at most a tenth of those that are not "O"."""
    others = sorted({*tags} - set(OUTSIDE))
    for is_suffix in (False, True):
        odd = [tag for tag in others if _part(tag, is_suffix) is None]
        if odd and 10 * len(odd) <= len(others):
            return odd
    return []


def is_usual(scheme: Scheme | None, tags: Iterable[str]) -> bool:
    """Return whether tags are already in the form of this package."""
    if scheme is None or scheme.is_suffix or scheme.name not in ("BIO", "BIOES"):
        return scheme is None
    return all(tag == "O" or (tag[0].isupper() and tag[1] == "-") for tag in tags)
