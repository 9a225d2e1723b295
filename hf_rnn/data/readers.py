"""Read rows from txt, csv, tsv, json, jsonl, CoNLL and CoNLL-U files, plain or gzip-compressed; errors name the place and the remedy."""

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from .annotations import Row, as_object, read_annotations
from .errors import DataError
from .surface import place_words

# changes with what the rows of a file hold, so that rows an older version has cached are read again
ROWS_VERSION = 2
CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


def read_rows(path: str) -> Iterator[Row]:
    """Yield the rows of a file as dictionaries, read according to its ending.

    A tagged sentence (.conll, .bio, .iob2, .conllu) is one row: a list a column, "column_0", "column_1", ... for CoNLL columns
    and for CoNLL-U the names of `CONLLU_COLUMNS`, with `raw_text`, the sentence as it was written, and `offsets`, the start and end
    of its words there. Span annotations in JSON become `text` and `spans`, see `annotations.read_annotations`. Tab-separated files
    are read without quoting: a quote is a character. Every line of a .txt file is a row with the column "text". A further ending
    .gz means that the file is compressed.

    Raises:
        DataError: The file is missing, empty, of an unknown kind, not UTF-8, or malformed.
    """
    suffix = Path(path[:-3] if _is_compressed(path) else path).suffix.lower()
    if suffix not in READERS:
        raise DataError(f"{path}: the ending must be one of {(*READERS, '.parquet')}, got {suffix!r}. Rename or convert the file.")
    if not Path(path).is_file():
        raise DataError(f"{path}: there is no such file. Check the path.")
    count = 0
    try:
        # utf-8-sig: a byte-order mark is not part of the first column's name
        with _opener(path)(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = READERS[suffix](path, file)
            for row in read_annotations(rows) if suffix in (".json", ".jsonl") else rows:
                count += 1
                yield row
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: not a whole gzip file ({error}). Compress it again, or drop the ending .gz if it is plain text."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(_locate_bad_byte(path, error)) from None
    if not count:
        raise DataError(f"{path}: the file holds no rows. Check that it is the right one and was written completely.")


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


def _read_lines(path: str, file: TextIO) -> Iterator[Row]:
    yield from ({"text": line.rstrip("\r\n")} for line in file)


def _read_csv(path: str, file: TextIO) -> Iterator[Row]:
    yield from _read_table(path, csv.reader(file, strict=True))


def _read_tsv(path: str, file: TextIO) -> Iterator[Row]:
    yield from _read_table(path, csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _read_table(path: str, reader: Any) -> Iterator[Row]:
    header = next(reader, None)
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
        raise DataError(
            f"{path}, row {number + 1} (line {reader.line_num}): {error}. Close the quote, or write the file as tsv or jsonl."
        ) from None


def _read_jsonl(path: str, file: TextIO) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = as_object(json.loads(line))
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: not JSON ({error.msg} at column {error.colno}): {line.strip()[:80]!r}.") from None
        if not isinstance(row, dict):
            raise DataError(f'{path}, line {number}: expected an object like {{"text": ..., "label": ...}}, got {line.strip()[:80]!r}.')
        yield row


def _read_json(path: str, file: TextIO) -> Iterator[Row]:
    text = file.read()
    try:
        content = json.loads(text) if text.strip() else []
    except json.JSONDecodeError as error:
        remedy = "If every line is an object of its own, name the file .jsonl."
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg} at column {error.colno}). {remedy}") from None
    rows = content.get("data", content.get("annotations")) if isinstance(content, dict) else content
    rows = [as_object(row) for row in rows] if isinstance(rows, list) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f'{path}: expected a list of objects, or an object whose "data" is one, got {type(content).__name__}.')
    yield from rows


def _read_blocks(path: str, file: TextIO, parse: Callable[[int, str], list[str] | None]) -> Iterator[list[list[str]]]:
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


def _read_conll(path: str, file: TextIO) -> Iterator[Row]:
    def parse(number: int, line: str) -> list[str] | None:
        columns = line.split("\t") if "\t" in line else line.split()
        if columns[0] == "-DOCSTART-" or (len(columns) > 1 and line.startswith("# ")):
            return None
        if len(columns) < 2:
            raise DataError(f"{path}, line {number}: expected a token and a tag, got {line!r}. Separate columns by tabs or spaces.")
        return columns

    for block in _read_blocks(path, file, parse):
        yield {f"column_{index}": list(values) for index, values in enumerate(zip(*block, strict=True))}


def _read_conllu(path: str, file: TextIO) -> Iterator[Row]:
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


READERS: dict[str, Callable[[str, TextIO], Iterator[Row]]] = {
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
