"""What a row is, and what its columns are usually called."""

from typing import Any, TypeAlias

# cells by the names of their columns
Row: TypeAlias = dict[str, Any]

TEXT_COLUMNS = ("text", "sentence", "document", "review", "content")
TOKEN_COLUMNS = ("tokens", "words", "form", "column_0", "tokenized_text")


def is_tokens(cell: Any) -> bool:
    """Return whether a cell is a list of texts."""
    return isinstance(cell, list | tuple) and all(isinstance(token, str) for token in cell)
