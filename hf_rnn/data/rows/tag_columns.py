"""Columns of tokens and of their tags as lists, however cells spell them, the tags in the form of this package."""

from collections.abc import Iterator
from typing import Any

from datasets import Dataset, List, Value
from transformers.utils.logging import get_logger

from .label_columns import spelled_list
from .labels import feature_names, is_missing, label_values
from .schemes import Scheme, find_scheme, is_usual, odd_tags
from .splits import AnyDataset, Splits, column_names, iterate_cells
from .truths import with_column

logger = get_logger(__name__)


def read_lists(splits: Splits, column: str) -> Splits:
    """Return the splits with the lists that the cells of a column spell, if they all do: of tokens, or of tags.

    Args:
        splits: Raw splits; a stream stays as it is.
        column (`str`): Column of lists.
    """
    read = {}
    for split, rows in splits.items():
        if not isinstance(rows, Dataset) or column not in rows.column_names or not isinstance(next(iter(rows[column]), None), str):
            continue
        lists = [spelled_list(cell) if isinstance(cell, str) else None for cell in rows[column]]
        if None not in lists:
            texts = [[str(each) for each in row or ()] for row in lists]
            read[split] = with_column(rows, column, texts, List(Value("string")))
    return type(splits)({**splits, **read}) if read else splits


def read_words(splits: Splits, text_column: str, tag_column: str) -> Splits:
    """Return the splits with lists of words and of their tags where cells have both in one text, with white space between; say so.

    Args:
        splits: Raw splits; a stream stays as it is.
        text_column (`str`): Column of words.
        tag_column (`str`): Column of tags.
    """
    if not all(isinstance(rows, Dataset) and {text_column, tag_column} <= {*rows.column_names} for rows in splits.values()):
        return splits
    read = {}
    for split, rows in splits.items():
        cells = [list(rows[name]) for name in (text_column, tag_column)]
        if not all(isinstance(cell, str) for column in cells for cell in column):
            return splits
        words, tags = ([cell.split() for cell in column] for column in cells)
        if any(len(row) != len(own) for row, own in zip(words, tags, strict=True)):
            return splits
        given = with_column(rows, text_column, words, List(Value("string")))
        read[split] = with_column(given, tag_column, tags, List(Value("string")))
    logger.warning(f"Columns {text_column!r} and {tag_column!r} hold words and their tags with white space between.")
    return type(splits)(read)


def read_tags(splits: Splits, column: str) -> Splits:
    """Return the splits with tags in the form of this package, BIO or BIOES, if they are of a scheme; say what was made of them.

    Args:
        splits: Raw splits.
        column (`str`): Column of lists of tags.
    """
    labelled = {split: rows for split, rows in splits.items() if column in column_names(rows)}
    read = {split: list(_sentences(rows, column, split)) for split, rows in labelled.items()}
    sentences = {
        split: [[tag for tag in sentence if tag is not None] for sentence in each if sentence is not None] for split, each in read.items()
    }
    pooled = [sentence for each in sentences.values() for sentence in each]
    scheme, tags = find_scheme(pooled), {tag for sentence in pooled for tag in sentence}
    own = {split: found for split, each in sentences.items() if (found := find_scheme(each)) is not None}
    if _differ(own, scheme):
        first = next(iter(own.values()))
        told = ", ".join(f"{split} {each}" for split, each in own.items())
        logger.warning(f"Tags are of different schemes ({told}); all are read as {'BIOES' if first.has_ends else 'BIO'}.")
        rewritten = {split: _with_tags(labelled[split], column, each, read[split], first.has_ends) for split, each in own.items()}
        return type(splits)({**splits, **rewritten})
    if scheme is None and (odd := odd_tags(tags)):
        logger.warning(f"Tags are scored word by word: {odd[:10]} are of no scheme of spans, though the others are.")
    if scheme is None or is_usual(scheme, tags):
        return splits
    logger.warning(f"Tags are of the scheme {scheme}; they are read as BIO or BIOES, the letter first.")
    return type(splits)({**splits, **{split: _with_tags(rows, column, scheme, read[split]) for split, rows in labelled.items()}})


def _differ(own: dict[str, Scheme], pooled: Scheme | None) -> bool:
    """Return whether splits are of schemes that cannot be read as one, rather than of one of which some lack letters."""
    if len(own) < 2:
        return False
    kinds = {(scheme.has_ends, scheme.is_suffix, scheme.name == "IOB1") for scheme in own.values()}
    return len(kinds) > 1 or pooled is None


def _sentences(rows: AnyDataset, column: str, split: str) -> Iterator[list[Any] | None]:
    names = feature_names(rows, column)
    for row, cell in enumerate(iterate_cells(rows, column)):
        if not isinstance(cell, list):
            yield None
        elif names is not None:
            yield [names[tag] if tag != -1 else None for tag in cell]
        else:
            yield [None if is_missing(tag) else label_values(tag, column, split, row)[0] for tag in cell]


def _with_tags(
    rows: AnyDataset, column: str, scheme: Scheme, sentences: list[list[Any] | None], with_ends: bool | None = None
) -> AnyDataset:
    """Return rows with rewritten tags; sentences with a tag that is missing stay, to be refused by their place."""
    read = [sentence if sentence is None or None in sentence else scheme.rewrite(sentence, with_ends) for sentence in sentences]
    if not isinstance(rows, Dataset):
        return rows.map(lambda row, index: {column: read[index]}, with_indices=True)
    return with_column(rows, column, read, List(Value("string")))
