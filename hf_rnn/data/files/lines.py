"""Files of lines whose ending does not tell what the lines are: texts, tokens with tags, or texts after fastText's labels."""

from collections.abc import Iterator
from itertools import islice

from transformers.utils.logging import get_logger

from .conll import blocks_of, is_conll, read_conll
from .opening import whole_lines
from .reading import Source
from .rows import Row
from .tables import read_table_with_blanks

logger = get_logger(__name__)

FASTTEXT = "__label__"
# lines that tell whether it is worth while to look at all
FIRST = 200


def read_txt(source: Source) -> Iterator[Row]:
    """Yield each line as a "text", with its "label" or "labels" where fastText's stand before it; or sentences of tokens and tags."""
    if looks_like_conll(source):
        logger.warning_once(f"{source.path}: each line is a token and its tags; the file is read as CoNLL.")
        yield from read_conll(source)
        return
    counts = _count_labels(source)
    if counts:
        logger.warning_once(f"{source.path}: each line begins with labels of fastText.")
    with source.lines() as lines:
        for number, line in enumerate(whole_lines(lines), start=1):
            if counts and not line.strip():
                continue
            source.mark(number)
            yield _labelled(line, counts) if counts else {"text": line}


def _count_labels(source: Source) -> set[int]:
    """Return how many of fastText's labels the lines have, nothing if any has none."""
    counts = set()
    with source.lines() as lines:
        for line in whole_lines(lines):
            if line.strip():
                if not line.startswith(FASTTEXT):
                    return set()
                counts.add(sum(word.startswith(FASTTEXT) for word in line.split()))
    return counts


def _labelled(line: str, counts: set[int]) -> Row:
    labels, rest = [], line
    while rest.startswith(FASTTEXT):
        label, rest = (*rest.split(maxsplit=1), "")[:2]
        labels.append(label.removeprefix(FASTTEXT).rstrip("\t, "))
        rest = rest.lstrip(" \t,")
    return {"text": rest, "label": labels[0]} if counts == {1} else {"text": rest, "labels": labels}


def looks_like_conll(source: Source) -> bool:
    """Return whether all lines are tokens with tags; the first ones are asked first."""
    with source.lines() as lines:
        first = list(islice(whole_lines(lines), FIRST))
    if len(first) == FIRST:
        # whole sentences
        blocks = list(blocks_of(first))[:-1]
        first = [line for block, _ in blocks for line in (*(line for _, line in block), "")]
    if not is_conll(first):
        return False
    with source.lines() as lines:
        return is_conll(whole_lines(lines))


def read_tsv(source: Source) -> Iterator[Row]:
    """Yield the rows of a table, with an empty one for a blank line; or sentences of tokens and tags where there is no header."""
    if looks_like_conll(source):
        logger.warning_once(f"{source.path}: each line is a token and its tags; the file is read as CoNLL.")
        yield from read_conll(source)
    else:
        yield from read_table_with_blanks(source)
