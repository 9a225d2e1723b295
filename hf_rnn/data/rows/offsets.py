"""What offsets of spans count, as the words that they cut in two tell where no quotation does."""

from collections.abc import Callable, Iterable, Sequence
from html import unescape
from itertools import islice
from unicodedata import normalize

Span = tuple[int, int, str]
Reading = Callable[[str, int, int], tuple[str, int, int]]
# spans that tell something, and shares of them that are whole words: at least so many another way, and so much more than as they are
FEWEST, LEAST_WHOLE, MOST_WHOLE = 3, 0.9, 0.5
# spans that are looked at
MOST_SPANS = 2000


def _stretched(width: Callable[[str], int]) -> Reading:
    """Read offsets as those of units of which a character may be several."""
    return lambda text, start, end: ("".join(char * width(char) for char in text), start, end)


def _of(change: Callable[[str], str]) -> Reading:
    """Read offsets as those of a changed text."""
    return lambda text, start, end: (change(text), start, end)


READINGS: dict[str, Reading] = {
    "if UTF-16 units were counted, as JavaScript does: convert them to characters": _stretched(lambda char: 1 + (char > "\uffff")),
    "if bytes of UTF-8 were counted: convert them to characters": _stretched(lambda char: len(char.encode())),
    "if CR LF were counted as one character: replace it by LF in the texts": _of(lambda text: text.replace("\r\n", "\n")),
    "if LF were counted as two characters: replace it by CR LF in the texts": _of(
        lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n")
    ),
    "in texts of the form NFC: normalise the texts": _of(lambda text: normalize("NFC", text)),
    "in texts of the form NFD: normalise the texts": _of(lambda text: normalize("NFD", text)),
    "in texts without entities of HTML: unescape the texts": _of(unescape),
    "in texts without white space at their beginning: strip the texts": _of(str.lstrip),
    "if `end` were their last character: add 1 to every `end`": lambda text, start, end: (text, start, end + 1),
    "if characters were counted from 1: subtract 1 from every `start` and `end`": lambda text, start, end: (text, start - 1, end - 1),
    "if characters were counted from 1 and `end` were the last one: subtract 1 from every `start`": lambda text, start, end: (
        text,
        start - 1,
        end,
    ),
}


def describe_offsets(texts: Sequence[str], spans: Sequence[Iterable[Span]]) -> str | None:
    """Return a sentence if spans that begin or end inside words would be whole words were their offsets read another way; else None.

    Args:
        texts (`Sequence`): The texts.
        spans (`Sequence`): Start, end and label of the spans of each.
    """
    found = list(islice(((text, start, end) for text, some in zip(texts, spans, strict=True) for start, end, _ in some), MOST_SPANS))
    odd = [place for place in found if not _is_whole(*place)]
    if len(odd) < FEWEST:
        return None
    best, most = None, 0.0
    for told, read in READINGS.items():
        # where both ways are the same, nothing is told
        other = [(place, read_as) for place in found if (read_as := read(*place)) != place and _differs(place, read_as)]
        if len(other) < FEWEST:
            continue
        now = sum(_is_whole(*place) for place, _ in other) / len(other)
        then = sum(_is_whole(*read_as) for _, read_as in other) / len(other)
        in_all = sum(_is_whole(*read(*place)) for place in found) / len(found)
        # of readings that explain as much, what texts may count is likelier than another first or last place
        if then >= LEAST_WHOLE and now <= MOST_WHOLE and in_all > most:
            best, most = told, in_all
    return None if best is None else f"{len(odd):,} of {len(found):,} begin or end inside words, and would not {best}."


def _differs(place: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    return place[0][place[1] : place[2]] != other[0][other[1] : other[2]]


def _is_whole(text: str, start: int, end: int) -> bool:
    """Return whether a span begins and ends where words do, and lies within the text."""
    if not 0 <= start < end <= len(text) or text[start].isspace() or text[end - 1].isspace():
        return False
    return not _cuts(text, start) and not _cuts(text, end)


def _cuts(text: str, place: int) -> bool:
    """Return whether a place parts two characters of a word."""
    return 0 < place < len(text) and all(char.isalnum() or "\u0300" <= char <= "\u036f" for char in text[place - 1 : place + 1])
