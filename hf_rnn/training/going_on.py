"""Training that goes on from a model: rows of before are mixed in, and labels without rows are told."""

from collections.abc import Sequence

from datasets import Dataset, IterableDatasetDict, concatenate_datasets
from transformers.utils import logging

from ..data.files.readers import DataError
from ..data.rows.label_columns import count_labels
from ..data.rows.labels import feature_names
from ..data.rows.splits import Splits
from ..tasks.task import Columns, Task, TaskOptions, known_intents, known_labels

PREFIXES = ("B-", "I-", "E-", "S-", "L-", "U-")

logger = logging.get_logger(__name__)


def check_replay(options: TaskOptions, given: Splits | None = None) -> None:
    """Raise a ValueError if rows of before are given, in a file or in memory, that cannot be mixed in."""
    path = options.data.replay_file or ("rows" if "replay" in (given or {}) else None)
    if path is None:
        return
    if not options.model.model_name_or_path:
        raise ValueError(f"`replay_file` goes with a model that learnt those rows, got {path!r} alone. Pass --model_name_or_path too.")
    if options.data.streaming or options.data.dataset_name or isinstance(given, IterableDatasetDict):
        raise ValueError(f"`replay_file` is mixed into the rows of a file, got {path!r} beside a stream or the Hub. Pass --train_file.")


def mix_replay(splits: Splits, columns: Columns) -> Splits:
    """Return the splits with the rows to replay among the training rows, behind the new ones.

    Raises:
        DataError: They lack a column.
    """
    if "replay" not in splits:
        return splits
    train, replay = splits["train"], splits["replay"]
    wanted = [name for name in (columns.text, columns.labels, columns.intents) if name is not None]
    if lacking := [name for name in wanted if name not in replay.column_names]:
        raise DataError(f"The rows of `replay_file` lack the column {lacking[0]!r}; they have {replay.column_names}. Rename theirs.")
    # others too where both hold the same there, as what spans of raw text were made of
    alike = [name for name in train.column_names if name in wanted or train.features[name] == replay.features.get(name)]
    replay = replay.select_columns(alike).cast(train.select_columns(alike).features)
    logger.warning(f"{len(replay):,} rows of before are learnt again beside {len(train):,} new ones.")
    mixed = {"train": concatenate_datasets([train, replay])}
    return type(splits)({**mixed, **{name: rows for name, rows in splits.items() if name not in ("train", "replay")}})


def labels_without_rows(task: Task, splits: Splits, options: TaskOptions) -> list[str]:
    """Return the labels that the model to go on from knows, that stay, and that no training row has; say so."""
    if not options.training.do_train or not isinstance(splits.get("train"), Dataset):
        return []
    columns, stay = task.columns, set(task.labels)
    if columns.labels not in task.drawn_by(columns, options.data):
        # numbers, of which none is missing
        return []
    known = [label for label in known_labels(options.model) or () if label in stay]
    # tags of a kind of span stand for each other, and rows may hold spans in place of them
    kinds = list(dict.fromkeys(kind_of(label) for label in known if label != "O")) if task.has_tags else known
    lacking = _lacking(kinds, splits["train"], columns.labels)
    told = [*lacking, *(_lacking(known_intents(options.model) or (), splits["train"], columns.intents) if columns.intents else ())]
    if told:
        logger.warning(f"No training row has {told[:20]}, which the model knows and may forget: --replay_file mixes rows of before in.")
    return lacking


def kind_of(tag: str) -> str:
    """Return the label of spans that a tag stands for, or the tag if it stands for none."""
    return tag[2:] if tag[:2] in PREFIXES else tag


def _lacking(labels: Sequence[str], rows: Dataset, column: str) -> list[str]:
    """Return which of the labels no row has."""
    found = {kind_of(label) for label in count_labels(rows, column, feature_names(rows, column), "train")}
    return [label for label in labels if kind_of(label) not in found]
