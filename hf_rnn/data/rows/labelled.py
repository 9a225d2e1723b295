"""Rows as texts with labels, for what learns from them without a tokenizer of ours."""

from typing import Any

from datasets import Dataset

from ..files.cells import as_number, as_text, as_tokens, place
from ..files.errors import DataError
from .labels import feature_names, label_values, named_cell, one_label
from .shares import likeliest


def labelled_texts(
    rows: Dataset, split: str, text_column: str, label_column: str, has_tags: bool, problem: str | None = None
) -> list[tuple[Any, Any]]:
    """Return each text with its label, of shares the likeliest, or each list of tokens with its tags, however cells spell them.

    With the problem type of several labels each text has a list of them, with that of regression a number.

    Raises:
        DataError: A row has no text or not one label, or no tokens or not a tag for each; names it.
    """
    if problem == "regression":
        cells = enumerate(zip(rows[text_column], rows[label_column], strict=True))
        return [
            (as_text(cell, place(split, row, text_column)), as_number(number, place(split, row, label_column)))
            for row, (cell, number) in cells
        ]
    has_several = has_tags or problem == "multi_label_classification"
    rows = rows if has_several else likeliest(rows, label_column, split)
    names, read = feature_names(rows, label_column), []
    for row, (cell, given) in enumerate(zip(rows[text_column], rows[label_column], strict=True)):
        where = place(split, row, text_column)
        text = as_tokens(cell, where) if has_tags else as_text(cell, where)
        labels = label_values(named_cell(given, names), label_column, split, row)
        if has_tags and len(text) != len(labels):
            raise DataError(f"{len(text)} tokens but {len(labels)} tags. Give every token one tag.", where)
        read.append((text, labels if has_several else one_label(labels, label_column, split, row)))
    return read
