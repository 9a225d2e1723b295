"""From rows to a file, of the kind that its ending names."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ..writing import replacing, written_whole
from .errors import DataError
from .rows import Row

# rows that can be gone through more than once
Rows = Callable[[], Iterable[Row]]
# rows that are made a batch of a parquet file
BATCH = 1000


def check_ending(path: str, name: str, allowed: Sequence[str] | None = None) -> str:
    """Return the ending of a file to write, in lower case.

    Args:
        path (`str`): The file.
        name (`str`): Option that names it.
        allowed (`Sequence`, *optional*): Endings to choose from; all that can be written by default.

    Raises:
        DataError: Such a file is not written.
    """
    suffix, allowed = Path(path).suffix.lower(), tuple(WRITERS) if allowed is None else tuple(allowed)
    if suffix not in allowed:
        shown = tuple(filter(None, allowed))
        raise DataError(f"`{name}` {path!r}: the ending must be one of {shown}, got {suffix!r}. Pass another --{name}.")
    return suffix


def write_rows(path: str | Path, rows: Rows) -> None:
    """Write rows whole: as JSON lines, a JSON list, csv, tsv or parquet, by the ending.

    A table has a column for each name that any row has. Lists and objects are written as JSON where cells are text; so are the columns
    of a parquet file whose values are of several kinds.
    """
    WRITERS[Path(path).suffix.lower()](path, rows)


def json_line(row: Row) -> str:
    """Return a row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


def write_jsonl(path: str | Path, rows: Rows) -> None:
    """Write rows whole, one a line."""
    with written_whole(path) as file:
        file.writelines(map(json_line, rows()))


def _write_json(path: str | Path, rows: Rows) -> None:
    """Write a list of objects, one a line."""
    with written_whole(path) as file:
        separator = "["
        for row in rows():
            file.write(f"{separator}\n{json_line(row)[:-1]}")
            separator = ","
        file.write("\n]\n" if separator == "," else "[]\n")


def write_table(path: str | Path, rows: Rows, separator: str = ",", names: Sequence[str] = ()) -> None:
    """Write rows whole as a table.

    Args:
        path (`str`): The file.
        rows (`Callable`): Gives the rows, twice.
        separator (`str`): Between cells.
        names (`Sequence`): Columns that come first, whether rows have them or not.
    """
    names = list(dict.fromkeys((*names, *(name for row in rows() for name in row))))
    with written_whole(path, newline="") as file:
        # RFC 4180: readers agree on it, and cells with either end of a line are quoted
        writer = csv.writer(file, delimiter=separator, lineterminator="\r\n")
        writer.writerow(names)
        writer.writerows([_cell_text(row.get(name)) for name in names] for row in rows())


def _cell_text(cell: Any) -> Any:
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell


def _write_parquet(path: str | Path, rows: Rows) -> None:
    # part of the training extra
    from pyarrow import Table
    from pyarrow.parquet import ParquetWriter

    from .column_types import loose_features

    features, spelled = loose_features(rows())
    schema = features.arrow_schema
    with replacing(path) as beside, ParquetWriter(beside, schema) as writer:
        written = _spelled(rows(), spelled)
        while batch := list(islice(written, BATCH)):
            writer.write_table(Table.from_pylist(batch, schema))


def _spelled(rows: Iterable[Row], names: set[str]) -> Iterator[Row]:
    """Yield rows with what is no text in some columns as JSON."""
    for row in rows:
        texts = {name: json.dumps(row[name], ensure_ascii=False) for name in names & row.keys() if not isinstance(row[name], str | None)}
        yield {**row, **texts}


WRITERS: dict[str, Callable[[str | Path, Rows], None]] = {
    # without an ending too
    **dict.fromkeys((".jsonl", ".ndjson", ""), write_jsonl),
    ".json": _write_json,
    ".csv": partial(write_table, separator=","),
    ".tsv": partial(write_table, separator="\t"),
    ".parquet": _write_parquet,
}
