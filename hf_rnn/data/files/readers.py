"""Read rows from txt, csv, tsv, json, jsonl, CoNLL and CoNLL-U files, plain or gzip-compressed, and parquet; errors name the place."""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from transformers.utils.logging import get_logger

from .annotations import Row, as_object, read_annotations
from .detokenization import place_words
from .errors import DataError

logger = get_logger(__name__)

# half of a pair of UTF-16, which JSON can spell and no file can hold
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# bytes of a cell of a table
LARGEST_CELL = 2**31 - 1
# changes with what the rows of a file hold, so that rows an older version has cached are read again
ROWS_VERSION = 2
# under which a row says from which lines it was read
LINES = "\0lines"
CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def whole_text(text: str) -> str:
    """Replace what is no character, halves of pairs of UTF-16, by U+FFFD."""
    return LONE_SURROGATE.sub("\ufffd", text) if LONE_SURROGATE.search(text) else text


def read_rows(path: str) -> Iterator[Row]:
    """Yield the rows of a file as dictionaries, read according to its ending.

    A tagged sentence (.conll, .bio, .iob2, .conllu) is one row: a list a column, "column_0", "column_1", ... for CoNLL columns
    and for CoNLL-U the names of `CONLLU_COLUMNS`, with `raw_text`, the sentence as it was written, and `offsets`, the start and end
    of its words there. Span annotations in JSON become `text` and `spans`, see `annotations.read_annotations`. Tab-separated files
    are read without quoting: a quote is a character. Every line of a .txt file is a row with the column "text". A further ending
    .gz means that the file is compressed. Lone surrogates in JSON are replaced by U+FFFD, with a warning that counts them.

    Raises:
        DataError: The file is missing, empty, of an unknown kind, not UTF-8, or malformed.
    """
    suffix = Path(path[:-3] if _is_compressed(path) else path).suffix.lower()
    if suffix not in READERS and suffix != ".parquet":
        raise DataError(f"{path}: the ending must be one of {(*READERS, '.parquet')}, got {suffix!r}. Rename or convert the file.")
    check_file(path)
    count = 0
    rows = _read_parquet(path) if suffix == ".parquet" else _read_text(path, READERS[suffix])
    for row in read_annotations(rows) if suffix in (".json", ".jsonl") else rows:
        count += 1
        yield row
    if not count:
        raise DataError(f"{path}: the file holds no rows. Check that it is the right one and was written completely.")


def locate_row(path: str, row: int) -> str:
    """Return how errors name a row, counted from 0 among those that `read_rows` yields: by file and line, where lines tell."""
    suffix = Path(path[:-3] if _is_compressed(path) else path).suffix.lower()
    if suffix not in READERS or suffix == ".json":
        return f"{path}, row {row}"
    with open_text(path) as file:
        lines = _CountedLines(file)
        rows = _note_lines(READERS[suffix](path, lines), lines, first=2 if suffix in (".csv", ".tsv") else 1)
        found = next(islice(read_annotations(rows) if suffix == ".jsonl" else rows, row, None), {LINES: f"row {row}"})
    return f"{path}, {found[LINES]}"


class _CountedLines:
    """The lines of a file, and the number of those that were read."""

    def __init__(self, file: TextIO) -> None:
        self.file, self.count = file, 0

    def __iter__(self) -> "_CountedLines":
        return self

    def __next__(self) -> str:
        line = next(self.file)
        self.count += 1
        return line


def _note_lines(rows: Iterator[Row], lines: _CountedLines, first: int) -> Iterator[Row]:
    """Add to each row the lines that it was read from, blank ones before it included."""
    for row in rows:
        yield {**row, LINES: f"line {lines.count}" if lines.count == first else f"lines {first} to {lines.count}"}
        first = lines.count + 1


def check_file(path: str) -> None:
    """Raise a DataError if there is no file at a path."""
    if not Path(path).is_file():
        raise DataError(f"{path}: {'this is a folder' if Path(path).is_dir() else 'there is no such file'}. Check the path.")


@contextmanager
def open_text(path: str, encoding: str = "utf-8-sig") -> Iterator[TextIO]:
    """Open a text file, plain or, by its ending .gz, compressed.

    Raises:
        DataError: It is missing, not UTF-8, or no whole gzip file.
    """
    check_file(path)
    try:
        with _opener(path)(path, "rt", encoding=encoding, newline="") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: not a whole gzip file ({error}). Compress it again, or drop the ending .gz if it is plain text."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(_locate_bad_byte(path, error)) from None


def _read_text(path: str, reader: Callable[[str, Iterator[str]], Iterator[Row]]) -> Iterator[Row]:
    # a byte-order mark is not part of the first column's name
    with open_text(path) as file:
        yield from reader(path, file)


def _read_parquet(path: str) -> Iterator[Row]:
    if _is_compressed(path):
        raise DataError(f"{path}: parquet files are compressed inside. Unpack the file and drop the ending .gz.")
    # part of the training extra
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(1000):
                yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: no whole parquet file ({' '.join(str(error).split())[:200]}). Write it again.") from None


def _is_compressed(path: str) -> bool:
    return path.lower().endswith(".gz")


def _opener(path: str) -> Callable[..., Any]:
    return gzip.open if _is_compressed(path) else open


def _locate_bad_byte(path: str, error: UnicodeDecodeError) -> str:
    with _opener(path)(path, "rb") as file:
        lines = file.read().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as found:
            return (
                f"{path}, line {number}: byte {line[found.start]:#04x} at position {found.start} is not UTF-8. "
                "Convert the file, for example with `iconv -f CP949 -t UTF-8`."
            )
    return f"{path}: not UTF-8 ({error.reason}). Convert the file, for example with `iconv -f CP949 -t UTF-8`."


def _read_lines(path: str, file: Iterator[str]) -> Iterator[Row]:
    yield from ({"text": line.rstrip("\r\n")} for line in file)


def _read_csv(path: str, file: Iterator[str]) -> Iterator[Row]:
    yield from _read_table(path, csv.reader(file, strict=True))


def _read_tsv(path: str, file: Iterator[str]) -> Iterator[Row]:
    yield from _read_table(path, csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _read_table(path: str, reader: Any) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise DataError(f"{path}, line 1: {error}. {_remedy(error)}") from None
    if not header:
        raise DataError(f"{path}: the file is empty, expected a header line with the names of the columns.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}, line 1: column name {twice[0]!r} stands {header.count(twice[0])} times in the header {header}. Rename one."
        )
    number = 0
    try:
        for number, values in enumerate(reader, start=1):
            if not values:
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{path}, row {number} (line {reader.line_num}): {len(values)} values for {len(header)} columns {header}: {values!r}. "
                    "Quote separators inside values, or write the file as tsv or jsonl."
                )
            yield dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, row {number + 1} (line {reader.line_num}): {error}. {_remedy(error)}") from None


def _remedy(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "Close the quote, or write the file as tsv or jsonl."
    return "Double the quotes inside values, or write the file as tsv or jsonl."


def _read_jsonl(path: str, file: Iterator[str]) -> Iterator[Row]:
    replaced = 0
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row, count = _parse_json(line)
            row = as_object(row)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno}): {line.strip()[:80]!r}.") from None
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}: {line.strip()[:80]!r}.") from None
        if not isinstance(row, dict):
            raise DataError(f'{path}, line {number}: expected an object like {{"text": ..., "label": ...}}, got {line.strip()[:80]!r}.')
        replaced += count
        yield row
    _tell_replaced(path, replaced)


def _read_json(path: str, file: Iterator[str]) -> Iterator[Row]:
    text = "".join(file)
    try:
        content, replaced = _parse_json(text) if text.strip() else ([], 0)
    except json.JSONDecodeError as error:
        remedy = "If every line is an object of its own, name the file .jsonl."
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg} at column {error.colno}). {remedy}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from None
    rows = content.get("data", content.get("annotations")) if isinstance(content, dict) else content
    if not isinstance(rows, list):
        raise DataError(f'{path}: expected a list of objects, or an object whose "data" is one, got {type(content).__name__}.')
    for number, row in enumerate(map(as_object, rows)):
        if not isinstance(row, dict):
            raise DataError(f'{path}, row {number}: expected a list of objects like {{"text": ..., "label": ...}}, got {str(row)[:80]!r}.')
        yield row
    _tell_replaced(path, replaced)


def _parse_json(text: str) -> tuple[Any, int]:
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


def _tell_replaced(path: str, count: int) -> None:
    if count:
        logger.warning_once(f"{path}: {count} strings hold lone surrogates, which are no characters: replaced by U+FFFD.")


def _read_blocks(path: str, file: Iterator[str], parse: Callable[[int, str], list[str] | None]) -> Iterator[list[list[str]]]:
    """Yield the lines between blank lines, each parsed into columns; `parse` returns None for a line that is no token."""
    block: list[list[str]] = []
    for number, line in enumerate(file, start=1):
        line = line.rstrip("\r\n")
        if line.strip():
            columns = parse(number, line)
            if columns is not None:
                if block and len(columns) != len(block[0]):
                    raise DataError(
                        f"{path}, line {number}: {len(columns)} columns where the sentence's first token has {len(block[0])}: {line!r}. "
                        "Every token needs the same columns."
                    )
                block.append(columns)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _read_conll(path: str, file: Iterator[str]) -> Iterator[Row]:
    def parse(number: int, line: str) -> list[str] | None:
        columns = line.split("\t") if "\t" in line else line.split()
        if columns[0] == "-DOCSTART-" or (len(columns) > 1 and line.startswith("# ")):
            return None
        if len(columns) < 2:
            raise DataError(f"{path}, line {number}: expected a token and a tag, got {line!r}. Separate columns by tabs or spaces.")
        return columns

    for block in _read_blocks(path, file, parse):
        yield {f"column_{index}": list(values) for index, values in enumerate(zip(*block, strict=True))}


def _read_conllu(path: str, file: Iterator[str]) -> Iterator[Row]:
    # of the sentence at hand: its text, and lines of tokens as written, of which some span several words
    texts: list[str] = []
    written: list[list[str]] = []

    def parse(number: int, line: str) -> list[str] | None:
        if line.startswith("#"):
            if line.startswith("# text ="):
                texts.append(line.removeprefix("# text =").strip())
            return None
        columns = line.split("\t")
        if len(columns) != len(CONLLU_COLUMNS):
            raise DataError(
                f"{path}, line {number}: CoNLL-U has {len(CONLLU_COLUMNS)} columns separated by tabs, got {len(columns)}: {line!r}."
            )
        if columns[0].replace("-", "", 1).isdigit():
            written.append(columns)
        # multi-word tokens (3-4) and empty nodes (8.1) are not words of the syntax
        return columns if columns[0].isdigit() else None

    for block in _read_blocks(path, file, parse):
        text, offsets = place_words(texts[-1] if texts else None, written)
        row = dict(zip(CONLLU_COLUMNS, map(list, zip(*block, strict=True)), strict=True))
        yield {**row, "raw_text": text, "offsets": offsets}
        texts.clear()
        written.clear()


READERS: dict[str, Callable[[str, Iterator[str]], Iterator[Row]]] = {
    ".txt": _read_lines,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".conll": _read_conll,
    ".bio": _read_conll,
    ".iob2": _read_conll,
    ".conllu": _read_conllu,
}
