"""Spans of raw text: checked, made of the tags of tokens, turned into tags of units and back."""

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import unescape
from itertools import groupby, pairwise
from typing import Any
from unicodedata import normalize

from transformers import PreTrainedTokenizerBase

from ...models.pieces import CONTINUATION, SPACE, SPECIAL, WORD_START
from ..files.errors import DataError, Place
from .schemes import find_scheme

Span = tuple[int, int, str]


def check_spans(text: str, spans: Iterable[dict[str, Any]], where: Place, overlapping: str = "error") -> tuple[list[Span], int]:
    """Return the spans of a text in order, without white space at their ends, and how many had some.

    Args:
        text (`str`): The text.
        spans (`Iterable`): Dictionaries with `start`, `end` and `label`, and perhaps `quote`, the text that should be between; offsets
            decide, and a quote may differ in white space, ends of lines, entities of HTML and the form of its characters.
        where (`Place`): The row, for errors.
        overlapping (`str`): "error", or which of spans that overlap stays: the "longest", of those the first in the text, or the "first"
            in the list.

    Raises:
        DataError: A span is empty, out of range, has no label, overlaps another, or its offsets count something else than characters.
    """
    checked, trimmed = [], 0
    for number, span in enumerate(spans):
        start, end, label = (span.get(part) for part in ("start", "end", "label"))
        here = replace(where, detail=f"span {number} [{start}, {end}) {label!r} of the text {text[:80]!r} ({len(text)} characters)")
        if not isinstance(start, int) or not isinstance(end, int) or not label:
            raise DataError("a span needs a whole number `start`, one `end` and a `label`. Complete or remove it.", here)
        if (other := _other_unit(text, start, end, span.get("quote"))) is not None:
            raise DataError(other, here)
        inner = text[start:end].strip()
        if not 0 <= start < end <= len(text) or not inner:
            what = "lies outside" if not 0 <= start <= end <= len(text) else "holds nothing but white space" if start < end else "is empty"
            raise DataError(f"it {what}. `end` is excluded and both count characters from 0: correct or remove the span.", here)
        begin = start + text[start:end].index(inner)
        trimmed += len(inner) < end - start
        checked.append((begin, begin + len(inner), label))
    # the same span twice is one
    checked = list(dict.fromkeys(checked))
    if overlapping == "longest":
        checked.sort(key=lambda span: (span[0] - span[1], span))
    if overlapping != "error":
        return _first_of_overlapping(checked), trimmed
    checked.sort()
    for (start, end, label), (next_start, next_end, next_label) in pairwise(checked):
        if next_start < end:
            raise DataError(
                f"spans [{start}, {end}) {label!r} and [{next_start}, {next_end}) {next_label!r} of the text {text[:80]!r} "
                f"overlap in {text[next_start : min(end, next_end)]!r}, but a character is in one span at most. Remove or shorten one, or "
                "pass --overlapping_spans longest or first.",
                where,
            )
    return checked, trimmed


def _first_of_overlapping(spans: Iterable[Span]) -> list[Span]:
    """Return in order the spans that overlap none before them in the list."""
    kept: list[Span] = []
    for span in spans:
        place = bisect(kept, span)
        is_free = (place == 0 or kept[place - 1][1] <= span[0]) and (place == len(kept) or span[1] <= kept[place][0])
        if is_free:
            kept.insert(place, span)
    return kept


def _other_unit(text: str, start: int, end: int, quote: str | None) -> str | None:
    """Say what offsets count if it is not characters, as far as a quoted text or the length of the text shows."""
    if quote is None:
        if end <= len(text) or text.isascii():
            return None
    elif _plain(text[start:end]) == _plain(quote):
        return None
    for unit, encoding, width in (("bytes of UTF-8", "utf-8", 1), ("UTF-16 units, as JavaScript does", "utf-16-le", 2)):
        between = text.encode(encoding)[width * start : width * end].decode(encoding, errors="replace")
        if (between == quote) if quote is not None else (between and "\ufffd" not in between and width * end <= len(text.encode(encoding))):
            size = "" if width == 1 else "2 * "
            return (
                f"the offsets seem to count {unit}, in which it is {between!r}. Convert them to characters: "
                f"len(text.encode({encoding!r})[:{size}start].decode({encoding!r}))."
            )
    if quote is None:
        return None
    if text.replace("\r\n", "\n")[start:end] == quote:
        return "the offsets seem to count an end of a line, CR LF in the text, as one character. Replace CR LF by LF in the text."
    if text[start : end + 1] == quote:
        return f"`end` seems to be the last character of {quote!r}, but the one after it is meant. Add 1 to every `end`."
    return f"there is {text[start:end]!r}, but the annotation quotes {quote!r}. Correct the offsets."


def _plain(text: str) -> str:
    """Return a text as tools may quote it: without entities of HTML, runs of white space and forms of characters."""
    return " ".join(normalize("NFC", unescape(text)).split())


def token_spans(offsets: Sequence[Sequence[int]], tags: Sequence[str], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Turn tags of tokens into spans: entities of tags of a scheme, otherwise each token.

    Tokens at one place, as words of a contraction that are not parts of it ("du" is "de" and "le"), make one span of joined tags.

    Args:
        offsets (`Sequence`): Start and end of each token.
        tags (`Sequence`): Their tags.
        labels (`Sequence`): All tags that there are, which tell the scheme.
    """
    scheme = find_scheme([labels])
    if scheme is None:
        places = groupby(zip(offsets, tags, strict=True), key=lambda pair: tuple(pair[0]))
        return [{"start": start, "end": end, "label": "+".join(tag for _, tag in group)} for (start, end), group in places]
    return [{"start": offsets[first][0], "end": offsets[last - 1][1], "label": label} for first, last, label in scheme.spans(tags)]


def unit_tags(units: Sequence[tuple[int, int]], spans: Iterable[Span]) -> tuple[list[str], int]:
    """Return BIO tags of units, and the number of borders of spans that no unit meets.

    A span that ends inside a unit gets the units it touches, but for those that a span before it has.

    Args:
        units (`Sequence`): Start and end of each unit in the text, in order.
        spans (`Iterable`): Spans in order.
    """
    tags, missed, place = ["O"] * len(units), 0, 0
    for start, end, label in spans:
        while place < len(units) and units[place][1] <= start:
            place += 1
        first = place
        while place < len(units) and units[place][0] < end:
            tags[place] = f"{'B' if place == first else 'I'}-{label}"
            place += 1
        if place == first:
            missed += 2
        else:
            missed += (units[first][0] != start) + (units[place - 1][1] != end)
    return tags, missed


def find_units(ids: Sequence[int], offsets: Sequence[tuple[int, int]], types: Sequence[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the position of the first piece of each unit of a row, and its start and end in the text; see `RnnEmbeddings.segment`.

    Args:
        ids (`Sequence`): Pieces of the row.
        offsets (`Sequence`): Start and end of each in the text.
        types (`Sequence`): What `piece_types` says of each id of the vocabulary.
    """
    firsts: list[int] = []
    units: list[tuple[int, int]] = []
    before = SPECIAL
    for position, (piece, (start, end)) in enumerate(zip(ids, offsets, strict=True)):
        kind = types[piece]
        if kind == WORD_START or (kind == CONTINUATION and before == SPECIAL):
            firsts.append(position)
            units.append((start, end))
        elif kind == CONTINUATION and units:
            units[-1] = (units[-1][0], end)
        before = kind if kind != SPACE or before != SPECIAL else SPECIAL
    return firsts, units


def encode_spans(
    batch: dict[str, list],
    rows: list[int],
    *,
    tokenizer: PreTrainedTokenizerBase,
    types: list[int],
    label2id: dict[str, int],
    names: None,
    split: str,
) -> dict[str, list]:
    """Tokenise a batch of annotated texts: `input_ids`, `labels` on the first piece of each unit, -100 elsewhere.

    Beside them `units`, the start and end of each unit, and `missed`, the number of borders of spans that no unit of the row meets.
    """
    encoding = tokenizer(batch["text"], return_offsets_mapping=True, return_attention_mask=False, verbose=False)
    encoded: dict[str, list] = {"input_ids": encoding["input_ids"], "labels": [], "units": [], "missed": []}
    for ids, offsets, places, kinds in zip(*encoding.values(), batch["offsets"], batch["labels"], strict=True):
        firsts, units = find_units(ids, offsets, types)
        tags, missed = unit_tags(units, [(start, end, kind) for (start, end), kind in zip(places, kinds, strict=True)])
        labels = [-100] * len(ids)
        for position, tag in zip(firsts, tags, strict=True):
            labels[position] = label2id[tag]
        for name, value in (("labels", labels), ("units", units), ("missed", missed)):
            encoded[name].append(value)
    return encoded
