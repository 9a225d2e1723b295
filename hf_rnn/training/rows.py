"""The rows of a run: those that the options name, and validation rows held out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset
from transformers.utils import logging

from ..arguments import DataArguments, RnnTrainingArguments
from ..data.files.cells import plain
from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.rows import Row
from ..data.files.studio import WORK
from ..data.files.writers import json_line
from ..data.rows.splits import Splits, draw_validation, first_rows, load_splits, row_labels
from ..tasks.defaults import validation_share

logger = logging.get_logger(__name__)

# names under which data sets on the Hub keep their validation split
VALIDATION_NAMES = ("validation", "valid", "dev", "val", "eval")


@contextmanager
def files_of(rows: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Give rows as files, those in memory for as long as the block lasts, so that wherever rows come from they are read alike.

    Args:
        rows (`Mapping`): By the name of a split a file name, a `Dataset`, a `DataFrame` of pandas, a list of dictionaries or of texts, a
            dictionary of columns, or None.

    Returns:
        `dict`: File names by the names of options, such as `train_file`; without those that are None.

    Raises:
        DataError: Rows are none of these.
    """
    with TemporaryDirectory() as folder:
        files = {}
        for split, value in rows.items():
            if isinstance(value, (str, PathLike)):
                files[f"{split}_file"] = str(value)
            elif value is not None:
                files[f"{split}_file"] = str(Path(folder) / f"{split}.jsonl")
                with open(files[f"{split}_file"], "w", encoding="utf-8") as file:
                    file.writelines(json_line(_plain_row(row, split)) for row in _records(value, split))
        yield files


def _records(rows: Any, split: str) -> Iterable[Mapping[str, Any]]:
    """Return rows as dictionaries."""
    if isinstance(rows, (Dataset, IterableDataset)):
        return map(_without_gaps, rows) if is_export(rows) else rows
    if hasattr(rows, "to_dict") and hasattr(rows, "notna"):
        return _records_of_frame(rows, split)
    if hasattr(rows, "to_pylist") or hasattr(rows, "to_dicts"):
        # tables of arrow, frames of polars
        return rows.to_pylist() if hasattr(rows, "to_pylist") else rows.to_dicts()
    if isinstance(rows, Mapping):
        sizes = {name: len(cells) for name, cells in rows.items()}
        if len({*sizes.values()}) > 1:
            raise DataError(f"`{split}` has columns of different lengths: {sizes}. Give every column a cell a row.")
        return [dict(zip(rows, cells, strict=True)) for cells in zip(*rows.values(), strict=True)]
    listed = list(rows) if isinstance(rows, Iterable) and not isinstance(rows, (str, bytes)) else []
    if listed and all(isinstance(row, Mapping) for row in listed):
        return listed
    if listed and all(isinstance(row, str) for row in listed):
        return [{"text": row} for row in listed]
    raise DataError(
        f"`{split}` must be a file name, a Dataset, a DataFrame, a list of dictionaries or a dictionary of columns, got "
        f"{type(rows).__name__}{' of nothing' if rows == [] else ''}. Pass one of these."
    )


def _records_of_frame(frame: Any, split: str) -> list[Mapping[str, Any]]:
    """Return the rows of a frame of pandas, an index that has a name among their columns; a cell without a value is missing."""
    if not frame.columns.is_unique:
        twice = list(frame.columns[frame.columns.duplicated()])
        raise DataError(f"`{split}` has two columns called {twice[0]!r}. Rename one.")
    if any(isinstance(name, tuple) for name in frame.columns):
        raise DataError(f"`{split}` has columns of several levels: {list(frame.columns)[:5]}. Give each one name.")
    if all(name is not None and name not in frame.columns for name in frame.index.names):
        frame = frame.reset_index()
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def is_export(rows: Any) -> bool:
    """Return whether a data set in memory has the columns of an annotation tool, whose rows have to be judged as those of a file."""
    names = set(getattr(rows, "column_names", None) or ()) if isinstance(rows, Dataset) else set()
    return {"accept", "options"} <= names or "cats" in names or ("data" in names and not names.isdisjoint(WORK))


def _without_gaps(value: Any) -> Any:
    """Return a row without the empty places that a table has for what other rows hold."""
    if isinstance(value, Mapping):
        return {name: _without_gaps(each) for name, each in value.items() if each is not None}
    return [_without_gaps(each) for each in value] if isinstance(value, list) else value


def _plain_row(row: Mapping[str, Any], split: str) -> Row:
    """Return a row as JSON has it, without what JSON has nothing for; say so."""
    read = {}
    for name, cell in row.items():
        try:
            read[str(name)] = plain(cell)
        except TypeError as error:
            logger.warning_once(
                f"`{split}`: column {name!r} holds values of the type {error} and is left out. Pass text, numbers, or lists."
            )
    return read


def load_task_splits(data: DataArguments, training: RnnTrainingArguments, given: Splits | None = None) -> Splits:
    """Load the splits that the run needs, under the names "train", "validation" and "test", cut to the numbers of samples asked for.

    Args:
        data (`DataArguments`): Names files or a data set.
        training (`RnnTrainingArguments`): What the run does.
        given (`DatasetDict`, *optional*): Rows in memory, in place of files.

    Raises:
        DataError: A split that the run needs is missing.
    """
    if not (training.do_train or training.do_eval or training.do_predict):
        raise ValueError("Nothing to do: pass at least one of --do_train, --do_eval and --do_predict.")
    if data.streaming and training.do_train and training.max_steps <= 0:
        raise ValueError(
            f"`streaming` needs the number of steps, as a stream has no length; got max_steps={training.max_steps}. Pass --max_steps."
        )
    files = {"train": data.train_file, "validation": data.validation_file, "test": data.test_file if training.do_predict else None}
    files["replay"] = data.replay_file if training.do_train else None
    if given is None:
        named = {split: path for split, path in files.items() if path}
        given = load_splits(data.dataset_name, data.dataset_config_name, named, data.streaming, data.reading)
    splits = given
    validation = next((name for name in VALIDATION_NAMES if name in splits), None)
    needed = {
        "train": ("train", data.max_train_samples, training.do_train or (training.do_eval and validation is None)),
        "validation": (validation, data.max_eval_samples, training.do_eval),
        "test": ("test", data.max_predict_samples, training.do_predict),
        "replay": ("replay", None, training.do_train and "replay" in splits),
    }
    chosen = {}
    for split, (name, limit, is_needed) in needed.items():
        if is_needed and name in splits:
            chosen[split] = first_rows(splits[name], limit)
        elif is_needed and split != "validation":
            raise DataError(f"The run needs a {split} split; there is {list(splits)}. Pass --{split}_file.")
    return type(splits)(chosen)


def add_validation(splits: Splits, columns: Sequence[str], data: DataArguments, training: RnnTrainingArguments, places: Places) -> Splits:
    """Carve a validation split from the training rows if the run evaluates and has none; every label keeps a row for training.

    Args:
        splits: Raw splits.
        columns (`Sequence`): Columns of labels.
        data, training (`DataArguments`, `RnnTrainingArguments`): What is asked for.
        places (`Places`): Takes note of which rows are held out.
    """
    if not training.do_eval or "validation" in splits:
        return splits
    if not isinstance(splits["train"], Dataset):
        raise DataError("A stream has no validation split to carve. Pass --validation_file or leave --do_eval out.")
    labels = row_labels(splits["train"], columns) if columns else None
    share = validation_share(len(splits["train"])) if data.validation_share is None else data.validation_share
    held_out = draw_validation(len(splits["train"]), labels, share, data.split_seed)
    places.carve(held_out)
    train, validation = (splits["train"].select(np.flatnonzero(rows)) for rows in (~held_out, held_out))
    logger.warning(
        f"No validation split given: {len(validation)} of {len(splits['train'])} training rows are held out (seed {data.split_seed})."
    )
    kept = {"train": train} if training.do_train else {}
    if data.max_eval_samples is not None:
        validation = first_rows(validation, data.max_eval_samples)
    return type(splits)({**kept, "validation": validation, **{name: splits[name] for name in splits if name == "test"}})
