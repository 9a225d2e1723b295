"""Load pretrained word vectors, as text or in the binary format of word2vec, into an embedding."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase
from transformers.utils.logging import get_logger

from ...models.pieces import CONTINUATION, piece_types
from ..files.errors import DataError
from ..files.opening import check_file, open_text, opener_of

logger = get_logger(__name__)

BLANKS = re.compile(r"[ \t]+")
HEADER = re.compile(r"\s*(\d+)[ \t]+(\d+)\s*")
# lines that tell how many values a vector has
SAMPLE = 1000
# bytes of a word in a binary file, at most
LONGEST_WORD = 2000
# how files begin that hold no vectors that can be read, and what to do with them
OTHERS = {
    b"\xba\x16\x4f\x2f": "a model of fastText. Take its vectors as text (.vec), or write them by `fasttext print-word-vectors`",
    b"\x93NUMPY": "an array of numpy without words. Write a word and its numbers a line",
    b"PK\x03\x04": "a zip archive, or a checkpoint of PyTorch. Unpack it, or write a word and its numbers a line",
    b"\x80\x04": "a pickle. Write a word and its numbers a line",
    b"\x80\x03": "a pickle. Write a word and its numbers a line",
    b"\x80\x02": "a pickle. Write a word and its numbers a line",
    b"\x89HDF": "an HDF5 file. Write a word and its numbers a line",
}


@dataclass(frozen=True)
class Coverage:
    """How much of a vocabulary a file of vectors covers.

    Attributes:
        found (`int`): Entries of the vocabulary that got a vector.
        total (`int`): Entries that could have one: starts of words.
    """

    found: int
    total: int

    def __str__(self) -> str:
        return f"{self.found} of {self.total} entries ({100 * self.found / max(self.total, 1):.1f}%)"


def load_vectors(path: str, tokenizer: PreTrainedTokenizerBase, embedding: nn.Embedding) -> Coverage:
    """Copy vectors of whole words into the rows of the vocabulary's entries that start a word.

    Args:
        path (`str`): word2vec, GloVe or fastText text format, plain or .gz: a word and E numbers a line, after an optional line
            with the number of words and E; or the binary format of word2vec. Lines that hold no word, or not E finite numbers, are
            left out, and counted in a warning.
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer; words also match in lower case where it lower-cases.
        embedding (`nn.Embedding`): Rows to fill, (V, E); others keep their values.

    Returns:
        `Coverage`: Entries found.

    Raises:
        DataError: The vectors have another number of values, or the file holds none.
    """
    types = piece_types(tokenizer)
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(types))))
    wanted = {token.lstrip("▁Ġ"): index for index, token in enumerate(tokens) if types[index] not in (0, CONTINUATION)}
    wanted.pop("", None)
    found: set[int] = set()
    for word, vector in _read_vectors(path, embedding.embedding_dim):
        index = wanted.get(word)
        if index is not None and index not in found:
            found.add(index)
            with torch.no_grad():
                embedding.weight[index] = torch.from_numpy(vector)
    return Coverage(len(found), len(wanted))


def _read_vectors(path: str, size: int) -> Iterator[tuple[str, np.ndarray]]:
    check_file(path)
    with opener_of(path)(path, "rb") as file:
        start = file.read(SAMPLE)
    for sign, what in OTHERS.items():
        if start.startswith(sign):
            raise DataError(f"{path}: the file is {what}.")
    header = HEADER.fullmatch(start.split(b"\n")[0].decode("utf-8-sig", "replace"))
    has_width = int(header[2]) if header else None
    is_binary = header is not None and _is_binary(start.split(b"\n", 1)[-1])
    width = has_width if has_width is not None else _width(path)
    if width != size:
        where = f"{path}, line 1" if header else path
        raise DataError(f"{where}: vectors of {width} values, but the embedding has {size}. Pass --embedding_size {width}.")
    yield from _read_binary(path, size, int(header[1])) if header and is_binary else _read_text(path, size, has_header=header is not None)


def _is_binary(content: bytes) -> bool:
    """Return whether what follows the first word of a file is no text."""
    values = content[content.find(b" ") + 1 :][:400]
    return bool(values) and sum(byte < 9 or 13 < byte < 32 or byte > 126 for byte in values) > 0.2 * len(values)


def _lines(path: str) -> Any:
    """Open a file of text, of which a bad byte spoils a word and not the file; words may hold whatever ends lines elsewhere."""
    return open_text(path, "utf-8-sig", errors="replace", newline="\n")


def _width(path: str) -> int:
    """Return how many numbers most of the first lines end in."""
    widths: Counter[int] = Counter()
    with _lines(path) as lines:
        for line in islice(lines, SAMPLE):
            parts = BLANKS.split(line.strip(" \t\r\n"))
            widths[next((index for index, part in enumerate(reversed(parts[1:])) if not _is_number(part)), len(parts) - 1)] += 1
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _read_text(path: str, size: int, has_header: bool) -> Iterator[tuple[str, np.ndarray]]:
    odd: list[int] = []
    count = 0
    with _lines(path) as lines:
        for number, line in enumerate(lines, start=1):
            parts = BLANKS.split(line.rstrip(" \t\r\n"))
            # a word may itself hold spaces: the last E values are the vector
            word, values = " ".join(parts[:-size]).strip(), parts[-size:]
            vector = _vector(values) if word and len(values) == size else None
            if has_header and number == 1:
                continue
            if vector is None or (len(parts) > size + 1 and all(map(_is_number, parts[1:]))):
                odd.append(number)
                continue
            count += 1
            yield word, vector
    if not count:
        raise DataError(f"{path}: no line is a word and {size} numbers. Check that it is a file of vectors.")
    if odd:
        logger.warning(
            f"{path}: {len(odd)} of {count + len(odd)} lines are no word and {size} numbers and are left out, first line {odd[0]}."
        )


def _vector(values: list[str]) -> np.ndarray | None:
    try:
        with np.errstate(over="ignore"):
            vector = np.array(values, dtype=np.float32)
    except ValueError:
        return None
    return vector if np.isfinite(vector).all() else None


def _read_binary(path: str, size: int, count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the words and vectors of word2vec's binary format: a word, a blank, E numbers of 4 bytes, perhaps an end of line."""
    with opener_of(path)(path, "rb") as file:
        file.readline()
        for number in range(count):
            word = bytearray()
            while (byte := file.read(1)) not in (b" ", b"") and len(word) < LONGEST_WORD:
                word += byte
            content = file.read(4 * size)
            if byte != b" " or len(content) < 4 * size:
                raise DataError(f"{path}: the file ends, or has no word, after {number} of {count} vectors. Copy it again.")
            yield word.decode("utf-8", "replace").strip(), np.frombuffer(content, dtype="<f4").copy()


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
