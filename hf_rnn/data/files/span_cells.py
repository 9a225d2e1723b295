"""Cells that hold spans, in the shapes that tools and people write them, of characters or of tokens."""

import ast
import json
from collections.abc import Sequence
from typing import Any

from ...models.tags import bio_tags
from .errors import DataError
from .rows import Row

# what the two ends, the length and the label are called
STARTS = ("start", "start_offset", "begin", "start_char", "char_start", "start_pos", "startOffset", "offset")
ENDS = ("end", "end_offset", "stop", "end_char", "char_end", "end_pos", "endOffset")
LENGTH = "length"
LABELS = ("label", "labels", "entity_group", "entity", "type", "tag", "label_", "entity_type", "category", "class")
# lists that a cell of a table may spell
SPELLED = ("[{", "[[", "[(")


def spelled(cell: Any) -> Any:
    """Return the list that a cell of a table spells, or the cell as it is."""
    if not isinstance(cell, str) or not cell.startswith(SPELLED):
        return [] if cell == "[]" else cell
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return cell


def holds_spans(cell: Any) -> bool:
    """Return whether a cell is a list of spans, and not empty."""
    return isinstance(cell, list) and bool(cell) and all(_is_span(each) for each in cell)


def _is_span(value: Any) -> bool:
    if isinstance(value, dict):
        return any(name in value for name in STARTS) and any(name in value for name in (*ENDS, LENGTH))
    kinds = [type(part) for part in value] if isinstance(value, list | tuple) else []
    return kinds in ([int, int, str], [str, int, int], [int, int, str, str])


def as_spans(cell: Sequence[Any], has_last: bool = False) -> list[Row]:
    """Return the spans of a cell as `as_span` does, one for each label of a span."""
    spans = []
    for value in cell:
        found = next((value[name] for name in LABELS if name in value), None) if isinstance(value, dict) else None
        labels = found if isinstance(found, list) and found else [None]
        spans += [{**as_span(value, has_last), **({} if label is None else {"label": str(label)})} for label in labels]
    return spans


def as_span(value: Any, has_last: bool = False) -> Row:
    """Return a span as a dictionary of `start`, `end`, `label` and `quote`, the text that was noted, or None.

    Args:
        value: A dictionary with any of the usual names; or the start, the end and the label, in this order or the label first, and
            perhaps the text.
        has_last (`bool`): Whether what is noted for an end is the last place of the span rather than the one after it.
    """
    if isinstance(value, dict):
        start, end, label = (next((value[name] for name in names if name in value), None) for names in (STARTS, ENDS, LABELS))
        start, end = _whole(start), _whole(end)
        length = _whole(value.get(LENGTH))
        end = start + length if end is None and isinstance(start, int) and isinstance(length, int) else end
        quote = next((value[name] for name in ("quote", "text", "word") if value.get(name) is not None), None)
        label = label[0] if isinstance(label, list) and label else label
    else:
        start, end, label, quote = (*value[1:], value[0], None) if isinstance(value[0], str) else (*value, None)[:4]
    end = end + 1 if has_last and isinstance(end, int) else end
    return {"start": start, "end": end, "label": str("" if label is None else label), "quote": quote if isinstance(quote, str) else None}


def _whole(value: Any) -> Any:
    """Return the whole number that a value spells, as tables have it, or the value as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def tags_of_tokens(tokens: Sequence[str], spans: Sequence[Row], overlapping: str) -> list[str]:
    """Return the BIO tags of tokens of which spans say the first and the one after the last.

    Args:
        tokens (`Sequence`): The tokens.
        spans (`Sequence`): Spans as `as_span` returns them.
        overlapping (`str`): What becomes of spans that overlap; see `ReadingOptions`.

    Raises:
        DataError: A span has no label, does not count tokens, or overlaps another.
    """
    tags = ["O"] * len(tokens)
    if overlapping == "longest":
        spans = sorted(spans, key=lambda span: span["start"] - span["end"])
    for span in spans:
        start, end = span["start"], span["end"]
        where = f"The span [{start}, {end}) {span['label']!r} of {len(tokens)} tokens {str(tokens)[:80]}"
        if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(tokens) or not span["label"]:
            raise DataError(f"{where} needs a label, and numbers of tokens, the last excluded. Correct or remove it.")
        if any(tag != "O" for tag in tags[start:end]):
            if overlapping == "error":
                raise DataError(f"{where} overlaps another. Remove one, or pass --overlapping_spans longest or first.")
            continue
        tags[start:end] = bio_tags(span["label"], end - start)
    return tags
