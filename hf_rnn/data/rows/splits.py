"""Splits: loading by name or from files, choosing columns, carving validation rows, walking through cells."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict, load_dataset
from datasets.exceptions import DatasetGenerationError

from ..files.annotations import Annotations
from ..files.cells import as_text, place
from ..files.column_types import infer_features
from ..files.columnar import FILES, declared_features, is_saved, open_saved
from ..files.errors import DataError
from ..files.headers import describe_header
from ..files.opening import suffix_of
from ..files.readers import JSON, ROWS_VERSION, judge, read_rows
from ..files.reading import AS_IS, ReadingOptions

Splits: TypeAlias = DatasetDict | IterableDatasetDict
AnyDataset: TypeAlias = Dataset | IterableDataset
LABEL_COLUMNS = ("label", "labels", "target", "class")
TAG_COLUMNS = ("tags", "ner_tags", "pos_tags", "upos", "labels")


def load_splits(
    dataset_name: str | None = None,
    dataset_config_name: str | None = None,
    files: dict[str, str] | None = None,
    streaming: bool = False,
    reading: ReadingOptions = AS_IS,
) -> Splits:
    """Load raw splits named "train", "validation" and "test", as far as there are any.

    Args:
        dataset_name (`str`, *optional*): Data set on the Hub, or a folder that `datasets` saved or that `load_dataset` knows.
        dataset_config_name (`str`, *optional*): Its configuration.
        files (`dict`, *optional*): Path of each split; see `readers.read_rows` for what can be read. What rows annotate is judged by
            all of them together.
        streaming (`bool`): Whether to read rows as they are needed rather than into the cache.
        reading (`ReadingOptions`): What files do not say themselves.

    Raises:
        DataError: Neither or both of a name and files, or a file that cannot be read.
    """
    files = {split: path for split, path in (files or {}).items() if path}
    if bool(dataset_name) == bool(files):
        raise DataError(
            "Give either --dataset_name or files (--train_file, --validation_file, --test_file), got " + ("both." if files else "neither.")
        )
    if dataset_name and is_saved(dataset_name):
        return _load_saved(dataset_name, streaming)
    if dataset_name:
        return load_dataset(dataset_name, dataset_config_name, streaming=streaming)
    kind = IterableDatasetDict if streaming else DatasetDict
    judged = judge(dict.fromkeys(files.values()), reading)
    return kind({split: _load_file(path, split, streaming, reading, judged) for split, path in files.items()})


def _load_saved(path: str, streaming: bool) -> Splits:
    """Load a folder that `datasets` saved; a single data set in it is for training."""
    from datasets import load_from_disk

    saved = load_from_disk(path)
    splits = saved if isinstance(saved, DatasetDict) else DatasetDict(train=saved)
    return IterableDatasetDict({split: rows.to_iterable_dataset() for split, rows in splits.items()}) if streaming else splits


def _load_file(path: str, split: str, streaming: bool, reading: ReadingOptions, judged: Annotations) -> AnyDataset:
    if is_saved(path):
        saved = open_saved(path, split)
        return saved.to_iterable_dataset() if streaming else saved
    how: dict[str, Any] = {"path": path, "reading": reading, "judged": judged}
    suffix = suffix_of(path)
    declared = declared_features(path) if suffix in FILES else None
    # what is wrong with the beginning of a file, and how it is read, is said whether its rows are cached or not
    next(read_rows(**how))
    if streaming:
        return IterableDataset.from_generator(_read_alike, features=declared, gen_kwargs=how)
    # size, time of change, and what readers make of a file are part of the cache's fingerprint
    stat = os.stat(path)
    stamp = (stat.st_size, stat.st_mtime_ns, ROWS_VERSION)
    try:
        # all rows decide what a column holds, not the first ones
        features = infer_features(path, read_rows(**how)) if suffix in JSON or judged.has_work else declared
        return Dataset.from_generator(_read_stamped, features=features, gen_kwargs={**how, "stamp": stamp})
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, (DataError, OSError)):
            raise error.__cause__ from None
        raise DataError(f"{path}: its rows make no table ({error.__cause__}). Write all values of a column in one form.") from error


def _read_stamped(path: str, reading: ReadingOptions, judged: Annotations, stamp: tuple[int, int, int]) -> Iterator[dict[str, Any]]:
    yield from read_rows(path, reading, judged)


def _read_alike(path: str, reading: ReadingOptions, judged: Annotations) -> Iterator[dict[str, Any]]:
    """Yield rows with the columns of the first; a cell that a row lacks is empty."""
    columns: list[str] | None = None
    for row in read_rows(path, reading, judged):
        columns = columns or list(row)
        yield {name: row.get(name) for name in columns}


def column_names(dataset: AnyDataset) -> list[str]:
    """Return the columns of a data set, also of a stream that does not know them until its first row."""
    return dataset.column_names or list(next(iter(dataset)))


def choose_column(dataset: AnyDataset, split: str, wanted: str | None, usual: Sequence[str], option: str) -> str:
    """Return the wanted column, or the first of the usual ones that exists, in small letters or capitals.

    Raises:
        DataError: There is none; names the split, what it has, what that looks like, and the option.
    """
    columns = column_names(dataset)
    candidates = [wanted] if wanted else list(usual)
    lowered = {} if wanted else {name.strip().lower(): name for name in reversed(columns)}
    for name in candidates:
        if name in columns or name in lowered:
            return name if name in columns else lowered[name]
    sought = f"column {wanted!r}" if wanted else f"any of the usual columns {candidates}"
    raise DataError(f"The {split} split lacks {sought}; it has {columns}. Pass --{option} with one of them.{describe_header(columns)}")


def check_columns(splits: Splits, first: str, column: str, option: str) -> None:
    """Raise a DataError if a split has not the column that was chosen by another one."""
    for split, rows in splits.items():
        if column not in column_names(rows):
            raise DataError(
                f"The {split} split lacks the column {column!r} of the {first} split; it has {column_names(rows)}. Rename it, or pass "
                f"--{option} with one that all splits have."
            )


def carve_validation(train: Dataset, labels: Sequence[Any] | None, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """Split rows off the training data for validation: the same share of every label, drawn with the seed.

    Args:
        train (`Dataset`): Rows.
        labels (`Sequence`, *optional*): A label for each row to stratify by.
        share (`float`): Share of the rows for validation, in (0, 1).
        seed (`int`): Seed of the draw.

    Returns:
        `tuple`: What is left for training, and the validation rows, both in their old order.
    """
    chosen = draw_validation(len(train), labels, share, seed)
    return train.select(np.flatnonzero(~chosen)), train.select(np.flatnonzero(chosen))


def draw_validation(count: int, labels: Sequence[Any] | None, share: float, seed: int) -> np.ndarray:
    """Return for each of a number of rows whether `carve_validation` holds it out, (N,).

    A row is not held out if it is the last one left for training with one of its labels.

    Args:
        count (`int`): Number of rows.
        labels (`Sequence`, *optional*): A label for each row, by which rows are drawn in equal shares, or a list of labels.
        share (`float`): Share of the rows to hold out, in (0, 1).
        seed (`int`): Seed of the draw.

    Raises:
        DataError: The share is none, or a split would be empty.
    """
    if not 0 < share < 1:
        raise DataError(f"`validation_share` must be between 0 and 1, got {share}. Pass --validation_share, for example 0.05.")
    generator = np.random.default_rng(seed)
    several = labels is not None and any(isinstance(each, list | tuple) for each in labels)
    if several:
        order = generator.permutation(np.arange(count))
        chosen = _spare_rows(order, [each if isinstance(each, list | tuple) else [each] for each in labels or ()], round(count * share))
    else:
        chosen = _draw_shares(count, labels, share, generator)
    if not chosen.any() or chosen.all():
        why = ", as every row is the only one of a label" if count > 1 and (several or round(count * share)) else ""
        remedy = " or another share" if count > 1 else ", or more rows"
        asked = " Is it the --label_column_name?" if why and not several else ""
        raise DataError(f"A validation share of {share} of {count} rows leaves a split empty{why}. Pass --validation_file{remedy}.{asked}")
    return chosen


def _draw_shares(count: int, labels: Sequence[Any] | None, share: float, generator: np.random.Generator) -> np.ndarray:
    """Return which rows (N,) are held out: the same share of each label, and never all of one."""
    keys = np.array([str(label) for label in labels]) if labels is not None else np.zeros(count, dtype=np.int64)
    groups = [generator.permutation(np.flatnonzero(keys == key)) for key in np.unique(keys)]
    sizes = np.array([len(rows) for rows in groups])
    quotas = sizes * share
    # whole rows first, then one more to the labels that lost most by rounding down, until the share is met
    taken = np.floor(quotas).astype(int)
    order = np.argsort(taken - quotas, kind="stable")
    can_give = order[taken[order] + 1 < sizes[order]] if labels is not None else order
    taken[can_give[: max(round(count * share) - taken.sum(), 0)]] += 1
    chosen: np.ndarray = np.zeros(count, dtype=bool)
    for rows, number in zip(groups, taken, strict=True):
        chosen[rows[:number]] = True
    return chosen


def _spare_rows(order: np.ndarray, labels: Sequence[Sequence[Any]], wanted: int) -> np.ndarray:
    """Return which rows (N,) are held out: the first ones in an order, but for the last one left of a label."""
    left = Counter(label for row in labels for label in {*map(str, row)})
    chosen: np.ndarray = np.zeros(len(order), dtype=bool)
    for row in order:
        own = {*map(str, labels[row])}
        if wanted > 0 and all(left[label] > 1 for label in own):
            chosen[row] = True
            left.subtract(own)
            wanted -= 1
    return chosen


def row_labels(rows: Dataset, columns: Sequence[str]) -> list[Any]:
    """Return what rows are drawn by: the label of one column, or the labels of several columns or of lists together."""
    if len(columns) == 1:
        return list(rows[columns[0]])
    parts = [[(column, label) for label in (cell if isinstance(cell, list) else [cell])] for column in columns for cell in rows[column]]
    return [[label for part in parts[row :: len(rows)] for label in part] for row in range(len(rows))]


def first_rows(dataset: AnyDataset, limit: int | None) -> AnyDataset:
    """Return the first rows of a data set or stream, or all if there is no limit."""
    if limit is None:
        return dataset
    return dataset.select(range(min(limit, len(dataset)))) if isinstance(dataset, Dataset) else dataset.take(limit)


def iterate_texts(dataset: AnyDataset, column: str, split: str = "train") -> Iterator[str]:
    """Yield the texts of a column one by one, tokens joined by spaces.

    Raises:
        DataError: A cell holds neither.
    """
    for row, cell in enumerate(iterate_cells(dataset, column)):
        yield as_text(cell, place(split, row, column))


def iterate_cells(dataset: AnyDataset, column: str) -> Iterator[Any]:
    """Yield the cells of a column in order."""
    for batch in dataset.select_columns(column).iter(batch_size=1000):
        yield from batch[column]
