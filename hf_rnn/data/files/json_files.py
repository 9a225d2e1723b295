"""Read JSON: an object a line, or a list of objects in a file."""

import json
import re
from collections.abc import Iterator
from typing import Any

from transformers.utils.logging import get_logger

from .annotations import as_object
from .errors import DataError
from .opening import whole_lines
from .reading import Source
from .rows import Row

logger = get_logger(__name__)

# half of a pair of UTF-16, which JSON can spell and no file can hold
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole_text(text: str) -> str:
    """Replace what is no character, halves of pairs of UTF-16, by U+FFFD."""
    return LONE_SURROGATE.sub("\ufffd", text) if LONE_SURROGATE.search(text) else text


def read_jsonl(source: Source) -> Iterator[Row]:
    """Yield the object in each line that is not blank; lone surrogates are replaced by U+FFFD, with a warning that counts them.

    Raises:
        DataError: A line is no object; names it.
    """
    replaced = 0
    with source.lines() as lines:
        for number, line in enumerate(whole_lines(lines), start=1):
            # marks of byte order that files put together have left
            line = line.lstrip("\ufeff")
            if not line.strip():
                continue
            try:
                row, count = _parse(line)
                row = as_object(row)
            except json.JSONDecodeError as error:
                remedy = " If the file is one list of objects, name it .json." if number == 1 and line.startswith("[") else ""
                raise source.error(number, f"not JSON ({error.msg} at column {error.colno}): {line.strip()[:80]!r}.{remedy}") from None
            except ValueError as error:
                raise source.error(number, f"{error}: {line.strip()[:80]!r}.") from None
            if not isinstance(row, dict):
                raise source.error(number, f'expected an object like {{"text": ..., "label": ...}}, got {line.strip()[:80]!r}.')
            replaced += count
            source.mark(number)
            yield row
    _say_replaced(source.path, replaced)


def read_json(source: Source) -> Iterator[Row]:
    """Yield the objects of a list, or of the list that an object has as "data" or "annotations".

    Raises:
        DataError: The file holds something else.
    """
    path = source.path
    with source.lines() as lines:
        text = "".join(lines)
    try:
        content, replaced = _parse(text) if text.strip() else ([], 0)
    except json.JSONDecodeError as error:
        remedy = "If every line is an object of its own, name the file .jsonl."
        raise source.error(error.lineno, f"not JSON ({error.msg} at column {error.colno}). {remedy}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from None
    rows = _rows_of(content)
    if not isinstance(rows, list):
        raise DataError(f'{path}: expected a list of objects, or an object whose "data" is one, got {type(content).__name__}.')
    for number, row in enumerate(map(as_object, rows)):
        if not isinstance(row, dict):
            raise DataError(f'{path}, row {number}: expected a list of objects like {{"text": ..., "label": ...}}, got {str(row)[:80]!r}.')
        yield row
    _say_replaced(path, replaced)


def _rows_of(content: Any) -> Any:
    """Return the list of rows in a file, also where it is written column by column as pandas does."""
    if not isinstance(content, dict):
        return content
    listed = content.get("data", content.get("annotations"))
    if isinstance(listed, list):
        return listed
    columns = list(content.values())
    lists = [cells for cells in columns if isinstance(cells, list) and cells and all(isinstance(row, dict) for row in cells)]
    if len(lists) == 1:
        return lists[0]
    if columns and all(isinstance(cells, dict) and cells.keys() == columns[0].keys() for cells in columns):
        return [{name: cells[key] for name, cells in content.items()} for key in columns[0]]
    if columns and all(isinstance(cells, list) and len(cells) == len(columns[0]) for cells in columns):
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    return listed


def _parse(text: str) -> tuple[Any, int]:
    """Return what JSON holds and how many of its strings held lone surrogates, which are replaced.

    Raises:
        ValueError: It is no JSON, holds a name twice in one object, or is too deep or a number too long to read.
    """
    replaced = 0

    def clean(value: Any) -> Any:
        nonlocal replaced
        if isinstance(value, str):
            whole = whole_text(value)
            replaced += whole != value
            return whole
        return [clean(single) for single in value] if isinstance(value, list) else value

    def build(pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"the name {twice!r} stands twice in one object. Remove one")
        return {clean(name): clean(value) for name, value in pairs} if may_be_broken else row

    # escapes of surrogates begin with d in any case
    may_be_broken = re.search(r"\\u[dD]", text) is not None
    try:
        return clean(json.loads(text, object_pairs_hook=build)), replaced
    except RecursionError:
        raise ValueError("nested too deep to be read. Flatten it") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if "digits" in str(error):
            raise ValueError("a number with thousands of digits. Write it in quotes, or correct it") from None
        raise


def _say_replaced(path: str, count: int) -> None:
    if count:
        logger.warning_once(f"{path}: {count} strings hold lone surrogates, which are no characters: replaced by U+FFFD.")
