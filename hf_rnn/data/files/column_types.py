"""What kinds of values the columns of JSON rows hold: one kind a column, or an error that names the row that differs."""

from collections.abc import Iterable
from typing import Any, TypeAlias

from datasets import Features, List, Value

from .cells import place, shown
from .errors import DataError

# the name of a scalar kind; [kind] of the elements of a list; {name: kind} of an object
Kind: TypeAlias = str | list | dict
NOTHING, TEXT, WHOLE, FRACTION, TRUTH = "nothing", "text", "whole number", "number", "truth value"
SCALARS = {NOTHING: "null", TEXT: "string", WHOLE: "int64", FRACTION: "float64", TRUTH: "bool"}
# levels of lists and objects in a cell
DEEPEST = 20


class _KindError(ValueError):
    """A value of no kind, or two kinds that no column can hold."""


def infer_features(path: str, rows: Iterable[dict[str, Any]]) -> Features:
    """Return the features of all rows; a name that a row lacks is a column with an empty cell.

    Raises:
        DataError: A column holds values of different kinds, or one that no column can hold.
    """
    columns: dict[str, Kind] = {}
    for number, row in enumerate(rows):
        for name, cell in row.items():
            try:
                columns[name] = _merge(columns.get(name, NOTHING), _kind(cell))
            except _KindError as error:
                raise DataError(f"{error}: {shown(cell)}.", place(f"{path},", number, name)) from None
    return Features({name: _feature(kind) for name, kind in columns.items()})


def loose_features(rows: Iterable[dict[str, Any]]) -> tuple[Features, set[str]]:
    """Return features that hold whatever rows have, and the columns that are text because their values are of no one kind."""
    columns: dict[str, Kind] = {}
    mixed: set[str] = set()
    for row in rows:
        for name, cell in row.items():
            try:
                columns[name] = _merge(columns.get(name, NOTHING), _kind(cell)) if name not in mixed else TEXT
            except _KindError:
                columns[name] = TEXT
                mixed.add(name)
    mixed |= {name for name, kind in columns.items() if _is_hollow(kind)}
    return Features({name: _feature(TEXT if name in mixed else kind) for name, kind in columns.items()}), mixed


def _is_hollow(kind: Kind) -> bool:
    """Return whether a kind has an object without a name in it, for which a table has no column."""
    if isinstance(kind, list):
        return _is_hollow(kind[0])
    return isinstance(kind, dict) and (not kind or any(map(_is_hollow, kind.values())))


def _kind(value: Any, depth: int = 0) -> Kind:
    if depth > DEEPEST:
        raise _KindError(f"lists and objects nested more than {DEEPEST} deep. Flatten them")
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return TEXT
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise _KindError("a whole number beyond 64 bits. Write it in quotes")
        return WHOLE
    if isinstance(value, dict):
        return {name: _kind(single, depth + 1) for name, single in value.items()}
    if isinstance(value, list):
        kind: Kind = NOTHING
        for single in value:
            kind = _merge(kind, _kind(single, depth + 1))
        return [kind]
    return FRACTION


def _merge(a: Kind, b: Kind) -> Kind:
    """Return the kind of a column that holds values of two kinds."""
    if a == b or b == NOTHING:
        return a
    if a == NOTHING:
        return b
    if isinstance(a, list) and isinstance(b, list):
        return [_merge(a[0], b[0])]
    if isinstance(a, dict) and isinstance(b, dict):
        return {name: _merge(a.get(name, NOTHING), b.get(name, NOTHING)) for name in (*a, *(name for name in b if name not in a))}
    if {str(a), str(b)} == {WHOLE, FRACTION}:
        return FRACTION
    raise _KindError(f"{_name(b)} where others of the column hold {_name(a)}. Write all values of a column in one form")


def _name(kind: Kind) -> str:
    if isinstance(kind, list):
        return "a list" if kind[0] == NOTHING else f"a list of {_name(kind[0])}"
    return "an object" if isinstance(kind, dict) else kind


def _feature(kind: Kind) -> Any:
    if isinstance(kind, list):
        return List(_feature(kind[0]))
    if isinstance(kind, dict):
        return {name: _feature(single) for name, single in kind.items()}
    return Value(SCALARS[kind])
