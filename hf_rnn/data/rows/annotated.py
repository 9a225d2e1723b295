"""Texts and their spans from the rows of a split, whatever tool or treebank they come from."""

from collections.abc import Iterator
from typing import Any

from transformers.utils.logging import get_logger

from ..files.annotations import SPAN_COLUMNS, TEXTS, read_annotations
from ..files.detokenization import join_tokens
from ..files.errors import DataError, Place
from ..files.reading import ReadingOptions
from ..files.rows import TOKEN_COLUMNS
from .labels import feature_names, named_cell
from .offsets import describe_offsets
from .spans import Span, check_spans, token_spans
from .splits import LABEL_COLUMNS, TAG_COLUMNS, AnyDataset, choose_column, column_names

logger = get_logger(__name__)


def holds_spans(rows: AnyDataset, label_column: str | None = None) -> bool:
    """Return whether rows are texts with spans, if only empty lists of them, rather than tokens with tags."""
    columns = column_names(rows)
    has_spans = any(name in columns for name in SPAN_COLUMNS)
    if any(name in columns for name in TOKEN_COLUMNS):
        # a named column of spans has become `spans` where it was read
        if label_column in SPAN_COLUMNS or (label_column is not None and label_column not in columns):
            return has_spans
        has_tags = label_column is not None or any(name in columns for name in TAG_COLUMNS)
        if has_spans and has_tags:
            logger.warning_once("Rows have tags of tokens and spans of texts: the tags are read. --label_column_name chooses.")
        return has_spans and not has_tags
    if has_spans or label_column in columns:
        return True
    first: dict[str, Any] = next(iter(rows), {})
    return any(isinstance(first.get(name), str) for name in TEXTS) and any(first.get(name) == [] for name in LABEL_COLUMNS)


def annotated_texts(
    rows: AnyDataset, split: str, text_column: str | None = None, label_column: str | None = None, overlapping: str = "error"
) -> tuple[list[str], list[list[Span]], int]:
    """Return the texts of rows, the spans of each in order, and how many of those had white space at an end, which is left out.

    Args:
        rows: Rows of texts with spans, or of tokens with tags.
        split (`str`): Its name, for errors.
        text_column (`str`, *optional*): Column of texts or of lists of tokens; a usual one by default.
        label_column (`str`, *optional*): Column of spans or of lists of tags; a usual one by default.
        overlapping (`str`): What becomes of spans that overlap; see `ReadingOptions`.

    Raises:
        DataError: A column is lacking, or a span is not right; names row, span, text and remedy.
    """
    read = _annotations if holds_spans(rows, label_column) else _tagged
    texts, spans, noted, trimmed, dropped = [], [], [], 0, 0
    for index, (text, found) in enumerate(read(rows, split, text_column, label_column)):
        checked, count = check_spans(text, found, Place(split, index), overlapping)
        texts.append(text)
        spans.append(checked)
        noted.append([(span["start"], span["end"], span["label"]) for span in found])
        trimmed += count
        dropped += len({tuple(map(str, span.values())) for span in found}) - len(checked)
    if read is _annotations and (odd := describe_offsets(texts, noted)) is not None:
        logger.warning(f"Spans of the {split} split: {odd}")
    if dropped:
        logger.warning(f"{dropped} spans of the {split} split overlap others and are left out: --overlapping_spans {overlapping}.")
    return texts, spans, trimmed


def _annotations(
    rows: AnyDataset, split: str, text_column: str | None, label_column: str | None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    columns = column_names(rows)
    # a file's own columns of texts and spans have become `text` and `spans` where it was read
    column = choose_column(rows, split, text_column if text_column in columns else None, TEXTS, "text_column_name")
    named = label_column if label_column in columns else None
    usual = (named,) if named else LABEL_COLUMNS
    for index, row in enumerate(read_annotations(({**row, "text": row[column]} for row in rows), ReadingOptions("text", named))):
        spans = row.get("spans", next(([] for name in usual if name in row and not row[name]), None))
        if not isinstance(row.get("text"), str) or not isinstance(spans, list):
            raise DataError(f"expected a text and a list of spans, got {str(row)[:200]}. Correct or remove the row.", Place(split, index))
        yield row["text"], spans


def _tagged(rows: AnyDataset, split: str, text_column: str | None, label_column: str | None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    token_column = choose_column(rows, split, text_column, TOKEN_COLUMNS, "text_column_name")
    # the tag of CoNLL columns is the last
    numbered = [name for name in column_names(rows) if name.startswith("column_")]
    tag_column = choose_column(rows, split, label_column, numbered[-1:] or TAG_COLUMNS, "label_column_name")
    names = feature_names(rows, tag_column)
    tags = [named_cell(row[tag_column], names) for row in rows]
    known = sorted({tag for cell in tags for tag in cell})
    for index, (row, cell) in enumerate(zip(rows, tags, strict=True)):
        tokens = row[token_column]
        if len(tokens) != len(cell):
            raise DataError(f"{len(tokens)} tokens but {len(cell)} tags: {tokens[:8]} ... Give every token one tag.", Place(split, index))
        text, offsets = (row["raw_text"], row["offsets"]) if "offsets" in row else join_tokens(tokens, row.get("text"))
        yield text, token_spans(offsets, cell, known)
