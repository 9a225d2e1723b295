"""Read span annotations as annotation tools export them: doccano, Label Studio, Prodigy, spaCy."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from .errors import DataError

Row = dict[str, Any]

# what tools call texts and spans; what is like spans and is none
TEXTS = ("text", "content", "sentence", "document")
SPAN_COLUMNS = ("spans", "entities")
NO_SPANS = ("tokens", "relations", "meta")
# what the two ends and the label are called
STARTS, ENDS, LABELS = ("start", "start_offset"), ("end", "end_offset"), ("label", "labels", "entity_group", "entity", "type", "tag")


def as_object(row: Any) -> Any:
    """Return spaCy's pairs of a text and its annotations, and Label Studio's tasks, as rows of a text and its spans."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return {"text": row[0], **row[1]}
    if isinstance(row, dict) and isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list):
        texts = {key: value for key, value in row["data"].items() if isinstance(value, str)}
        done = [each for each in row["annotations"] if isinstance(each, dict) and not each.get("was_cancelled")]
        regions = [region.get("value", {}) for region in (done[0].get("result", []) if done else [])]
        spans = [value for value in regions if "start" in value and "end" in value]
        return {"text": texts.get("text", next(iter(texts.values()), None)), "spans": spans}
    return row


def read_annotations(rows: Iterable[Row], column: str | None = None) -> Iterator[Row]:
    """Turn rows that annotate spans into rows of `text` and `spans`; let others pass.

    `spans` are dictionaries of `start`, `end` (characters, end excluded) and `label`, and of `quote`, the text that the tool noted
    between them, or None. Rows that an annotator rejected or skipped (Prodigy's `answer`) are left out. Rows whose only list is
    empty, which may be one of classes as well ("label"), wait for a row that tells.

    Args:
        rows (`Iterable`): Rows as they were read.
        column (`str`, *optional*): Where the spans are, if it is not a usual column.

    Raises:
        DataError: A row has spans and no text.
    """
    waiting: list[Row] = []
    columns = SPAN_COLUMNS if column is None else (column,)
    for row in rows:
        if not waiting and "answer" not in row and not any(isinstance(cell, list) for cell in row.values()):
            # most rows annotate nothing
            yield row
            continue
        columns = (*columns, *(name for name in row if name not in (*columns, *NO_SPANS) and _holds_spans(row[name])))
        if any(value == [] for name, value in row.items() if name not in NO_SPANS) and not any(name in row for name in columns):
            waiting.append(row)
            continue
        yield from chain.from_iterable(_normalise(each, columns) for each in (*waiting, row))
        waiting = []
    yield from chain.from_iterable(_normalise(each, columns) for each in waiting)


def _holds_spans(cell: Any) -> bool:
    """Return whether a cell is a list of spans, and not empty."""
    return isinstance(cell, list) and bool(cell) and all(_is_span(each) for each in cell)


def _is_span(value: Any) -> bool:
    if isinstance(value, dict):
        return any(name in value for name in STARTS) and any(name in value for name in ENDS)
    return isinstance(value, list) and len(value) == 3 and [type(part) for part in value] == [int, int, str]


def _normalise(row: Row, columns: tuple[str, ...]) -> Iterator[Row]:
    if row.get("answer", "accept") != "accept":
        return
    name = next((name for name in columns if isinstance(row.get(name), list) and (not row[name] or _holds_spans(row[name]))), None)
    text = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
    if name is not None and row[name] and text is None and not any(name in row for name in NO_SPANS):
        raise DataError(f"A row has spans but no text in any of {TEXTS}: {str(row)[:200]}. Add the text, or remove the row.")
    if name is None or text is None:
        yield row
        return
    # a data set has no place for what tools nest
    others = {key: value for key, value in row.items() if key not in columns and _is_flat(value)}
    yield {**others, "text": text, "spans": [_as_span(each) for each in row[name]]}


def _is_flat(value: Any) -> bool:
    """Return whether a value is a number or text, or a list of them."""
    values = value if isinstance(value, list) else [value]
    return all(isinstance(each, str | int | float) for each in values)


def _as_span(value: Any) -> Row:
    if isinstance(value, list):
        return {"start": value[0], "end": value[1], "label": str(value[2]), "quote": None}
    start, end, label = (next((value[name] for name in names if name in value), None) for names in (STARTS, ENDS, LABELS))
    label = label[0] if isinstance(label, list) and label else label
    quote = next((value[name] for name in ("quote", "text", "word") if value.get(name) is not None), None)
    return {"start": start, "end": end, "label": str(label or ""), "quote": quote if isinstance(quote, str) else None}
