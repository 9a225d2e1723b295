"""Tables with a token a row, whose sentences a column numbers or empty rows part, become a row a sentence."""

import re
from collections.abc import Callable, Iterator, Sequence

from transformers.utils.logging import get_logger

from .reading import ReadingOptions, Source
from .rows import Row

logger = get_logger(__name__)

TOKEN_NAMES = ("token", "tokens", "word", "words", "form")
TAG_NAMES = ("tag", "tags", "ner_tag", "ner_tags", "ner", "bio", "iob", "entity", "label", "labels", "pos", "pos_tag", "upos")
SENTENCE_NAME = re.compile(r"(sent|sentences?)[ _.-]*(#|id|idx|no|nr|num|number|index)?", re.IGNORECASE)
# "Sentence: 12", "12", "doc1-12"
SENTENCE_NUMBER = re.compile(r"\S{0,40}?\s?#?\d+(\.0)?")


def read_sentences(source: Source, read: Callable[[Source], Iterator[Row]], reading: ReadingOptions) -> Iterator[Row]:
    """Yield the rows of a table, or, if each is a token, a row a sentence: "tokens", "tags" and lists of what else there is.

    Args:
        source (`Source`): The table.
        read (`Callable`): Reads its rows, with one that is empty for each blank line.
        reading (`ReadingOptions`): May name the columns of tokens, tags and sentences, which then keep their names.
    """
    first = next(filter(None, read(source)), None)
    token = first and _find(first, TOKEN_NAMES, reading.text_column)
    if not first or token is None:
        yield from filter(None, read(source))
        return
    tag = _find([name for name in first if name != token], TAG_NAMES, reading.label_column)
    number = _sentence_column(source, read, reading, [name for name in first if name not in (token, tag)])
    if number is None and (tag is None or not any(not any(row.values()) for row in read(source))):
        yield from filter(None, read(source))
        return
    how = f"column {number!r}" if number else "empty rows"
    logger.warning_once(f"{source.path}: each row is a token; {how} parts them into sentences.")
    names = {token: "tokens" if token != reading.text_column else token}
    if tag is not None:
        names[tag] = "tags" if tag != reading.label_column else tag
    for sentence in _group(source, read, number):
        yield {names.get(name, name): [row[name] for row in sentence] for name in first if name != number}


def _find(names: Sequence[str] | Row, usual: Sequence[str], wanted: str | None) -> str | None:
    """Return the column that is wanted, or of the first usual name in any case."""
    if wanted is not None:
        return wanted if wanted in names else None
    lowered = {name.lower().replace(" ", "_"): name for name in reversed(list(names))}
    return next((lowered[name] for name in usual if name in lowered), None)


def _sentence_column(source: Source, read: Callable[[Source], Iterator[Row]], reading: ReadingOptions, names: list[str]) -> str | None:
    """Return the column that numbers sentences: as named, or of a usual name and with fewer numbers than rows."""
    if reading.sentence_column in names:
        return reading.sentence_column
    for name in filter(SENTENCE_NAME.fullmatch, names):
        cells = [str(row[name] or "").strip() for row in read(source) if row]
        numbers = [cell for cell in cells if cell]
        if numbers and all(map(SENTENCE_NUMBER.fullmatch, numbers)) and len(set(numbers)) < len(cells):
            return name
    return None


def _group(source: Source, read: Callable[[Source], Iterator[Row]], number: str | None) -> Iterator[list[Row]]:
    """Yield the rows of each sentence, and mark where they stand in the file."""
    sentence: list[Row] = []
    before, begin, last = "", 1, 1
    for row in read(source):
        at = source.at or (1, 1)
        cell = str(row.get(number) or "").strip() if number else ""
        is_new = (bool(cell) and cell != before) if number else not any(row.values())
        if sentence and is_new:
            source.at = begin, last
            yield sentence
            sentence, begin = [], at[0]
        if any(row.values()):
            begin = begin if sentence else at[0]
            sentence.append(row)
            before = cell or before
        last = at[1]
    if sentence:
        source.at = begin, last
        yield sentence
