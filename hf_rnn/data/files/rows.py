"""What a row is, and what its columns are usually called."""

from typing import Any, TypeAlias

# cells by the names of their columns
Row: TypeAlias = dict[str, Any]

TEXT_COLUMNS = ("text", "sentence", "document", "review", "content")
TOKEN_COLUMNS = ("tokens", "words", "form", "column_0")
