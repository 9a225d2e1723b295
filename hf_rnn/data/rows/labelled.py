"""Rows as texts with labels, for what learns from them without a tokenizer of ours."""

from typing import Any

from datasets import Dataset

from ..files.cells import as_text, as_tokens, place
from ..files.errors import DataError
from .labels import feature_names, label_values, named_cell, one_label
from .shares import likeliest


def labelled_texts(rows: Dataset, split: str, text_column: str, label_column: str, has_tags: bool) -> list[tuple[Any, Any]]:
    """Return each text with its label, of shares the likeliest, or each list of tokens with its tags, however cells spell them.

    Raises:
        DataError: A row has no text or not one label, or no tokens or not a tag for each; names it.
    """
    rows = rows if has_tags else likeliest(rows, label_column, split)
    names, read = feature_names(rows, label_column), []
    for row, (cell, given) in enumerate(zip(rows[text_column], rows[label_column], strict=True)):
        where = place(split, row, text_column)
        text = as_tokens(cell, where) if has_tags else as_text(cell, where)
        labels = label_values(named_cell(given, names), label_column, split, row)
        if has_tags and len(text) != len(labels):
            raise DataError(f"{len(text)} tokens but {len(labels)} tags. Give every token one tag.", where)
        read.append((text, labels if has_tags else one_label(labels, label_column, split, row)))
    return read
