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
from .rows import TEXT_COLUMNS, Row

logger = get_logger(__name__)

# half of a pair of UTF-16, which JSON can spell and no file can hold
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def whole_text(text: str) -> str:
    """Replace what is no character, halves of pairs of UTF-16, by U+FFFD."""
    return LONE_SURROGATE.sub("\ufffd", text) if LONE_SURROGATE.search(text) else text


def read_jsonl(source: Source) -> Iterator[Row]:
    """Yield the object in each line that is not blank; lone surrogates are replaced by U+FFFD, with a warning that counts them.

    A file that is one list of objects is read as such, whatever it is called.

    Raises:
        DataError: A line is no object; names it.
    """
    if _is_one_list(source):
        yield from read_json(source)
        return
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
                told = f"not JSON ({error.msg} at column {error.colno}): {line.strip()[:80]!r}."
                raise source.error(number, f"{told}{_remedy(error)}") from None
            except ValueError as error:
                raise source.error(number, f"{error}: {line.strip()[:80]!r}.") from None
            if not isinstance(row, dict):
                raise source.error(number, f'expected an object like {{"text": ..., "label": ...}}, got {line.strip()[:80]!r}.')
            replaced += count
            source.mark(number)
            yield row
    _say_replaced(source.path, replaced)


def read_json(source: Source) -> Iterator[Row]:
    """Yield the objects of a list, or of the list that an object has as "data" or "annotations"; or those that stand one a line.

    Raises:
        DataError: The file holds something else.
    """
    path = source.path
    with source.lines() as lines:
        text = "".join(lines)
    try:
        content, replaced = _parse(text) if text.strip() else ([], 0)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and _starts_with_object(text):
            yield from read_jsonl(source)
            return
        remedy = _remedy(error) or " Write a list of objects, or an object a line as .jsonl."
        raise source.error(error.lineno, f"not JSON ({error.msg} at column {error.colno}).{remedy}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from None
    if len(lists := _lists_of_objects(content)) > 1:
        raise DataError(f"{path}: there are several lists of objects, {lists}. Write each to a file of its own.")
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
    listed, names = content.get("data", content.get("annotations")), content.get("columns")
    if isinstance(listed, list):
        if isinstance(names, list) and all(isinstance(row, list) and len(row) == len(names) for row in listed):
            return [dict(zip(names, row, strict=True)) for row in listed]
        return listed
    columns = list(content.values())
    if lists := _lists_of_objects(content):
        return content[lists[0]]
    if columns and all(isinstance(cells, dict) and cells.keys() == columns[0].keys() for cells in columns):
        if not all(key.isdecimal() for key in columns[0]):
            # rows by their ids rather than columns by the numbers of rows
            return columns
        return [{name: cells[key] for name, cells in content.items()} for key in columns[0]]
    if columns and all(isinstance(cells, list) and len(cells) == len(columns[0]) for cells in columns):
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    # a file of one row
    return [content] if any(isinstance(content.get(name), str) for name in TEXT_COLUMNS) else listed


def _lists_of_objects(content: Any) -> list[str]:
    """Return the names under which an object has lists of objects, if no other name makes it rows."""
    if not isinstance(content, dict) or isinstance(content.get("data", content.get("annotations")), list):
        return []
    lists = {name: cells for name, cells in content.items() if isinstance(cells, list) and cells}
    found = [name for name, cells in lists.items() if all(isinstance(row, dict) for row in cells)]
    # beside a list of as many texts they are the cells of a column
    return (
        found
        if not any(
            len(lists[name]) == len(cells)
            for name in found
            for cells in lists.values()
            if cells[0] is None or not isinstance(cells[0], dict)
        )
        else []
    )


def _is_one_list(source: Source) -> bool:
    """Return whether a file is a list of objects, rather than an object or a pair of spaCy a line."""
    with source.lines() as lines:
        first = next((line.lstrip("\ufeff").strip() for line in lines if line.strip()), "")
    if not first.startswith("[") or _starts_with_object(first, pairs=True):
        return False
    with source.lines() as lines:
        try:
            content = json.loads("".join(lines).lstrip("\ufeff"))
        except (ValueError, RecursionError):
            return False
    return isinstance(content, list) and all(isinstance(as_object(row), dict) for row in content)


def _starts_with_object(text: str, pairs: bool = False) -> bool:
    """Return whether the first line of a text is an object by itself, or, if asked for, a pair of spaCy."""
    try:
        row = json.loads(text.lstrip("\ufeff").lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(as_object(row) if pairs else row, dict)


def _remedy(error: json.JSONDecodeError) -> str:
    """Return what to do about what is no JSON, if that can be told from where it stands."""
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    if after[:1] in ("]", "}") and before.endswith(","):
        return f" Remove the comma before {after[0]!r}."
    if before.endswith(",") or after[:1] == ",":
        return " Remove the comma that nothing follows."
    if after[:1] == "'":
        return " JSON has double quotes: write rows by `json.dumps`."
    return " JSON has no comments: remove them." if after[:2] in ("//", "/*") else ""


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
        # what Python writes for a cell without a value is no JSON, and no number either
        return clean(
            json.loads(text, object_pairs_hook=build, parse_constant=lambda name: None if name == "NaN" else float(name))
        ), replaced
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
