"""What a row is."""

from typing import Any, TypeAlias

# cells by the names of their columns
Row: TypeAlias = dict[str, Any]
