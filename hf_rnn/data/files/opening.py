"""Open text files as they are found: compressed or not, in whatever encoding, with whatever ends of lines."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from transformers.utils.logging import get_logger

from .encodings import find_encoding, first_bad
from .errors import DataError

logger = get_logger(__name__)

# how compressed files end and begin, and what opens them
COMPRESSED: dict[str, tuple[bytes, Callable[..., Any]]] = {
    ".gz": (b"\x1f\x8b", gzip.open),
    ".bz2": (b"BZh", bz2.open),
    ".xz": (b"\xfd7zXZ", lzma.open),
}
# how files begin that hold no text, whatever they are called, and what to do with them
BINARY = {
    b"PK\x03\x04": "an Excel or zip file. Name an Excel file .xlsx, or unpack the archive",
    b"\xd0\xcf\x11\xe0": "an old Excel file. Save it as .xlsx or csv",
    b"PAR1": "a parquet file. Name it .parquet",
    b"ARROW1": "an arrow file. Name it .arrow",
    b"\x28\xb5\x2f\xfd": "compressed by zstd. Unpack it, or compress it by gzip",
    b"%PDF": "a PDF. Save its text as .txt",
    b"version https://": "a pointer of Git LFS to it. Fetch the file by `git lfs pull`",
    b"<!doctype html": "a web page. Download the file itself",
    b"<html": "a web page. Download the file itself",
}


def check_file(path: str) -> None:
    """Raise a DataError if there is no file at a path."""
    if not Path(path).is_file():
        raise DataError(f"{path}: {'this is a folder' if Path(path).is_dir() else 'there is no such file'}. Check the path.")


def suffix_of(path: str) -> str:
    """Return the ending of a file in lower case, that of what is compressed if it is."""
    suffix = Path(path).suffix
    return Path(path.removesuffix(suffix) if suffix.lower() in COMPRESSED else path).suffix.lower()


def is_compressed(path: str) -> bool:
    """Return whether a file is compressed, as its ending says or its first bytes."""
    return opener_of(path) is not open


def first_bytes(path: str) -> bytes:
    """Return the first bytes of a file as it is on disk."""
    with open(path, "rb") as file:
        return file.read(16)


def opener_of(path: str) -> Callable[..., Any]:
    """Return what opens a file: `open`, or what unpacks it, as its ending says or its first bytes."""
    suffix, start = Path(path).suffix.lower(), first_bytes(path)
    return next((opener for ending, (begin, opener) in COMPRESSED.items() if ending == suffix or start.startswith(begin)), open)


@contextmanager
def open_text(path: str, encoding: str | None = None, errors: str = "strict", newline: str = "") -> Iterator[TextIO]:
    r"""Open a text file, plain or compressed.

    Args:
        path (`str`): The file.
        encoding (`str`, *optional*): Its encoding; found out, and said if it is not UTF-8, by default.
        errors (`str`): What is done about bytes that are not of the encoding, as in `open`.
        newline (`str`): What ends a line, as in `open`: by default any of `\n`, `\r` and `\r\n`, which stays as it is.

    Raises:
        DataError: It is missing, no text, no whole compressed file, or in no encoding that can be told.
    """
    check_file(path)
    for start, what in BINARY.items():
        if first_bytes(path).startswith(start) or first_bytes(path).lower().startswith(start):
            raise DataError(f"{path}: its content is not text but {what}.")
    try:
        encoding = encoding or _say(path, find_encoding(path, opener_of(path)))
        with opener_of(path)(path, "rt", encoding=encoding, errors=errors, newline=newline) as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError(_not_whole(path, error)) from None
    except OSError as error:
        # what bz2 says of other content has no number of the system
        if error.errno is not None:
            raise
        raise DataError(_not_whole(path, error)) from None
    except UnicodeError as error:
        raise DataError(f"{path}: not the {encoding} that it begins as ({error}). Convert the file to UTF-8.") from None


def _not_whole(path: str, error: Exception) -> str:
    start, suffix = first_bytes(path), Path(path).suffix.lower()
    ending = suffix if suffix in COMPRESSED else next(each for each, (begin, _) in COMPRESSED.items() if start.startswith(begin))
    kind = "gzip" if ending == ".gz" else ending[1:]
    return f"{path}: not a whole {kind} file ({error}). Compress it again, or drop the ending {ending} if it is plain text."


@contextmanager
def open_as(path: str, encoding: str) -> Iterator[TextIO]:
    """Open a text file in an encoding that is given; bytes that are not of it become U+FFFD, and the first of them is named."""
    check_file(path)
    # a byte-order mark is not part of the first column's name
    codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    if (bad := first_bad(path, opener_of(path), codec)) is not None:
        logger.warning_once(f"{path}, line {bad}: bytes that are not {encoding}, as here first, are read as U+FFFD.")
    with open_text(path, codec, errors="replace") as file:
        yield file


def _say(path: str, encoding: str) -> str:
    if not encoding.startswith("utf-8"):
        logger.warning_once(f"{path} is not UTF-8; it is read as {encoding}. If that is wrong, pass --encoding.")
    # a byte-order mark is not part of the first column's name
    return "utf-8-sig" if encoding == "utf-8" else encoding


def whole_lines(lines: Iterator[str]) -> Iterator[str]:
    r"""Yield lines without what ends them, where `\r\r\n`, as a file copied between systems may have it, is one end."""
    held: str | None = None
    for line in lines:
        if held is not None and line != "\r\n":
            yield held
            held = None
        if held is not None:
            yield held
            held = None
        elif line.endswith("\r"):
            held = line[:-1]
        else:
            yield line.rstrip("\r\n")
    if held is not None:
        yield held
