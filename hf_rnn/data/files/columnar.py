"""Read parquet and arrow files and folders that `datasets` saved, with the types and the names of classes that they declare."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import DataError
from .opening import check_file, is_compressed
from .rows import Row

# rows in memory at a time
BATCH = 1000
FILES = (".parquet", ".arrow", ".feather")


def is_saved(path: str) -> bool:
    """Return whether a path is a folder that `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote."""
    return any((Path(path) / name).is_file() for name in ("state.json", "dataset_dict.json"))


def open_saved(path: str, split: str = "train") -> Any:
    """Return the data set in a folder that `datasets` saved; one of its splits if it has several.

    Raises:
        DataError: It has no such split, or cannot be read.
    """
    from datasets import Dataset, load_from_disk

    try:
        saved = load_from_disk(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: no whole folder of `save_to_disk` ({' '.join(str(error).split())[:200]}). Save it again.") from None
    if isinstance(saved, Dataset):
        return saved
    if split not in saved:
        raise DataError(f"{path}: the folder has the splits {list(saved)}, and no {split!r}. Name the folder of a split.")
    return saved[split]


def read_columnar(path: str) -> Iterator[Row]:
    """Yield the rows of a parquet or arrow file.

    Raises:
        DataError: It is no whole file of its kind.
    """
    # part of the training extra
    from pyarrow import ArrowException

    check_columnar(path)
    try:
        for batch in _batches(path):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: no whole {_kind(path)} file ({' '.join(str(error).split())[:200]}). Write it again.") from None


def declared_features(path: str) -> Any:
    """Return the `datasets.Features` of a parquet or arrow file, names of classes among them, or None if they cannot be told."""
    from datasets import Features
    from pyarrow import ArrowException

    check_columnar(path)
    try:
        features = Features.from_arrow_schema(_schema(path))
    except (ArrowException, OSError, ValueError, TypeError, KeyError, NotImplementedError):
        # what is wrong with the file is said where its rows are read
        return None
    return features


def may_hold_spans(path: str) -> bool:
    """Return whether a parquet or arrow file has a column of lists of objects."""
    from pyarrow import ArrowException, types

    check_columnar(path)
    try:
        kinds = [field.type for field in _schema(path)]
    except (ArrowException, OSError):
        return False
    return any((types.is_list(kind) or types.is_large_list(kind)) and types.is_struct(kind.value_type) for kind in kinds)


def check_columnar(path: str) -> None:
    """Raise a DataError if there is no file at a path, or a compressed one."""
    check_file(path)
    if is_compressed(path):
        raise DataError(f"{path}: {_kind(path)} files are compressed inside. Unpack the file and drop the ending .gz.")


def _kind(path: str) -> str:
    return "parquet" if ".parquet" in path.lower() else "arrow"


def _batches(path: str) -> Iterator[Any]:
    from pyarrow import ipc, memory_map
    from pyarrow.parquet import ParquetFile

    if _kind(path) == "parquet":
        with ParquetFile(path) as file:
            yield from file.iter_batches(BATCH)
        return
    with memory_map(path) as memory:
        if _is_stream(path):
            yield from ipc.open_stream(memory)
        else:
            file = ipc.open_file(memory)
            yield from (file.get_batch(index) for index in range(file.num_record_batches))


def _schema(path: str) -> Any:
    from pyarrow import ipc, memory_map
    from pyarrow.parquet import read_schema

    if _kind(path) == "parquet":
        return read_schema(path)
    with memory_map(path) as memory:
        return ipc.open_stream(memory).schema if _is_stream(path) else ipc.open_file(memory).schema


def _is_stream(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(6) != b"ARROW1"
