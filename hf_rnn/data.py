"""From files or Hub names to tokenised data sets: splits, columns, label maps, truncation and the alignment of tags."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, IterableDataset, IterableDatasetDict, List, load_dataset
from datasets.exceptions import DatasetGenerationError
from transformers import PreTrainedTokenizerBase

from .readers import DataError, read_rows

Splits: TypeAlias = DatasetDict | IterableDatasetDict
AnyDataset: TypeAlias = Dataset | IterableDataset

TEXT_COLUMNS = ("text", "sentence", "document", "review", "content")
LABEL_COLUMNS = ("label", "labels", "target", "class")
TOKEN_COLUMNS = ("tokens", "words", "form", "column_0")
TAG_COLUMNS = ("tags", "ner_tags", "pos_tags", "upos", "labels")


def load_splits(
    dataset_name: str | None = None,
    dataset_config_name: str | None = None,
    files: dict[str, str] | None = None,
    streaming: bool = False,
) -> Splits:
    """Load raw splits named "train", "validation" and "test", as far as there are any.

    Args:
        dataset_name (`str`, *optional*): Data set on the Hub or a folder that `datasets.load_dataset` knows.
        dataset_config_name (`str`, *optional*): Its configuration.
        files (`dict`, *optional*): Path of each split; see `readers.read_rows` for what can be read, and parquet.
        streaming (`bool`): Whether to read rows as they are needed rather than into the cache.

    Raises:
        DataError: Neither or both of a name and files, or a file that cannot be read.
    """
    files = {split: path for split, path in (files or {}).items() if path}
    if bool(dataset_name) == bool(files):
        raise DataError(
            "Give either --dataset_name or files (--train_file, --validation_file, --test_file), got " + ("both." if files else "neither.")
        )
    if dataset_name:
        return load_dataset(dataset_name, dataset_config_name, streaming=streaming)
    kind = IterableDatasetDict if streaming else DatasetDict
    return kind({split: _load_file(path, streaming) for split, path in files.items()})


def _load_file(path: str, streaming: bool) -> AnyDataset:
    if path.endswith(".parquet"):
        return load_dataset("parquet", data_files=path, split="train", streaming=streaming)
    if streaming:
        return IterableDataset.from_generator(read_rows, gen_kwargs={"path": path})
    # size and time of change are part of the cache's fingerprint
    stat = os.stat(path) if os.path.isfile(path) else None
    stamp = (stat.st_size, stat.st_mtime_ns) if stat else None
    try:
        return Dataset.from_generator(_read_stamped, gen_kwargs={"path": path, "stamp": stamp})
    except DatasetGenerationError as error:
        raise (error.__cause__ if isinstance(error.__cause__, DataError) else error) from None


def _read_stamped(path: str, stamp: tuple[int, int] | None) -> Iterator[dict[str, Any]]:
    yield from read_rows(path)


def column_names(dataset: AnyDataset) -> list[str]:
    """Return the columns of a data set, also of a stream that does not know them until its first row."""
    return dataset.column_names or list(next(iter(dataset)))


def choose_column(dataset: AnyDataset, split: str, wanted: str | None, usual: Sequence[str], option: str) -> str:
    """Return the wanted column, or the first of the usual ones that exists.

    Raises:
        DataError: There is none; names the split, what it has, and the option.
    """
    columns = column_names(dataset)
    candidates = [wanted] if wanted else list(usual)
    for name in candidates:
        if name in columns:
            return name
    sought = f"column {wanted!r}" if wanted else f"any of the usual columns {candidates}"
    raise DataError(f"The {split} split lacks {sought}; it has {columns}. Pass --{option} with one of them.")


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
    if not 0 < share < 1:
        raise DataError(f"`validation_share` must be between 0 and 1, got {share}. Pass --validation_share, for example 0.05.")
    generator = np.random.default_rng(seed)
    keys = np.array([str(label) for label in labels]) if labels is not None else np.zeros(len(train), dtype=np.int64)
    groups = [generator.permutation(np.flatnonzero(keys == key)) for key in np.unique(keys)]
    quotas = np.array([len(rows) * share for rows in groups])
    # whole rows first, then one more to the labels that lost most by rounding down, until the share is met
    taken = np.floor(quotas).astype(int)
    taken[np.argsort(taken - quotas, kind="stable")[: round(len(train) * share) - taken.sum()]] += 1
    chosen: np.ndarray = np.zeros(len(train), dtype=bool)
    for rows, count in zip(groups, taken, strict=True):
        chosen[rows[:count]] = True
    if not chosen.any() or chosen.all():
        raise DataError(
            f"A validation share of {share} of {len(train)} rows leaves a split empty. Pass --validation_file or another share."
        )
    return train.select(np.flatnonzero(~chosen)), train.select(np.flatnonzero(chosen))


def _is_fraction(value: Any) -> bool:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return False
    return isinstance(value, float) and not value.is_integer()


def label_values(value: Any, column: str, split: str, row: int) -> list[str]:
    """Return the label names in one cell: one, or several of a list.

    Raises:
        DataError: The cell is empty or holds a fraction; names split, row, column, value and remedy.
    """
    values = value if isinstance(value, (list, tuple)) else [value]
    names = []
    for single in values:
        where = f"{split} row {row}, column {column!r}"
        if single is None or single == "":
            raise DataError(f"{where}: the label is missing (got {single!r}). Fill it in or remove the row.")
        if _is_fraction(single):
            raise DataError(
                f"{where}: {single!r} is a fraction, but classification needs classes. "
                "Pass --problem_type regression, or turn scores into classes first."
            )
        # 1.0 and True name the same class wherever they come from
        names.append(str(int(single)) if isinstance(single, (float, bool, np.bool_)) else str(single))
    return names


def feature_names(dataset: AnyDataset, column: str) -> list[str] | None:
    """Return the class names that the data set itself declares for a column of classes or of lists of them."""
    feature = (dataset.features or {}).get(column)
    feature = feature.feature if isinstance(feature, List) else feature
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def collect_labels(splits: Splits, column: str, names: dict[str, list[str] | None], allow_new: bool) -> list[str]:
    """Return all labels of the training split in a stable order: numbers by value, "O" first, the rest by code point.

    Args:
        splits: Raw splits; without "train" the labels of whatever is there.
        column (`str`): Column of labels or of lists of them.
        names (`dict`): For each split what `feature_names` found.
        allow_new (`bool`): Whether to take labels of other splits that the training split lacks into the map, where no row
            trains them, so that they count as wrong.

    Raises:
        DataError: Another split has a label that the training split lacks and `allow_new` is false.
    """
    source = "train" if "train" in splits else next(iter(splits))
    declared = names[source]
    if declared:
        return list(declared)
    found: dict[str, set[str]] = {}
    for split in splits:
        found[split] = set()
        for row, cell in enumerate(_cells(splits[split], column)):
            new = set(label_values(_named(cell, names[split]), column, split, row)) - found[source]
            if new and split != source and not allow_new:
                raise DataError(
                    f"{split} row {row}, column {column!r}: label {min(new)!r} does not occur in the {source} split, whose labels are "
                    f"{order_labels(found[source])[:20]}. Correct it, or pass --unknown_labels wrong to count such rows as wrong."
                )
            found[split] |= new
    return order_labels(set().union(*found.values()))


def _cells(dataset: AnyDataset, column: str) -> Iterable[Any]:
    return dataset[column] if isinstance(dataset, Dataset) else (row[column] for row in dataset)


def _named(cell: Any, names: list[str] | None) -> Any:
    """Turn class numbers of the Hub's own features into names."""
    if names is None or cell is None:
        return cell
    return [names[index] for index in cell] if isinstance(cell, list) else names[cell]


def order_labels(labels: Iterable[str]) -> list[str]:
    """Sort label names: numbers by value, then "O", then the rest by code point."""

    def key(label: str) -> tuple[int, float, str]:
        return (0, int(label), "") if label.lstrip("-").isdecimal() else (1 if label == "O" else 2, 0, label)

    return sorted(labels, key=key)


def encode_texts(
    batch: dict[str, list],
    rows: list[int],
    *,
    tokenizer: PreTrainedTokenizerBase,
    text_column: str,
    label_column: str | None,
    problem_type: str,
    label2id: dict[str, int],
    names: list[str] | None,
    max_length: int,
    split: str,
) -> dict[str, list]:
    """Tokenise a batch of rows for classification: `input_ids`, `labels` and whether a row was `truncated`.

    With a teacher's logits a row may lack a label; its `labels` are then -100.
    """
    texts = [_as_text(text, text_column, split, row) for text, row in zip(batch[text_column], rows, strict=True)]
    ids = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]
    long = [index for index, sequence in enumerate(ids) if len(sequence) > max_length]
    if long:
        cut = tokenizer([texts[index] for index in long], truncation=True, max_length=max_length, return_attention_mask=False)
        for index, sequence in zip(long, cut["input_ids"], strict=True):
            ids[index] = sequence
    encoded: dict[str, list] = {"input_ids": ids, "truncated": np.isin(np.arange(len(ids)), long).tolist()}
    if label_column in batch:
        cells = zip(batch[label_column], rows, strict=True)
        if problem_type == "regression":
            encoded["labels"] = [_as_number(cell, label_column, split, row) for cell, row in cells]
        else:
            has_teacher = "teacher_logits" in batch
            ids_of = [
                [-100] if has_teacher and cell is None else _label_ids(_named(cell, names), label_column, split, row, label2id)
                for cell, row in cells
            ]
            if problem_type == "multi_label_classification":
                encoded["labels"] = [[float(index in found) for index in range(len(label2id))] for found in ids_of]
            else:
                encoded["labels"] = [found[0] for found in ids_of]
    return {**encoded, "teacher_logits": batch["teacher_logits"]} if "teacher_logits" in batch else encoded


def _as_number(value: Any, column: str, split: str, row: int) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"{split} row {row}, column {column!r}: {value!r} is not a number. Correct it or leave --problem_type out."
        ) from None


def _label_ids(cell: Any, column: str, split: str, row: int, label2id: dict[str, int]) -> list[int]:
    labels = label_values(cell, column, split, row)
    for label in labels:
        if label not in label2id:
            raise DataError(f"{split} row {row}, column {column!r}: unknown label {label!r}; known are {list(label2id)[:20]}.")
    return [label2id[label] for label in labels]


def _as_text(text: Any, column: str, split: str, row: int) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, list) and all(isinstance(token, str) for token in text):
        return " ".join(text)
    raise DataError(f"{split} row {row}, column {column!r}: expected text, got {text!r}. Remove the row or choose --text_column_name.")


def encode_tokens(
    batch: dict[str, list],
    rows: list[int],
    *,
    tokenizer: PreTrainedTokenizerBase,
    token_column: str,
    tag_column: str | None,
    label2id: dict[str, int],
    names: list[str] | None,
    max_length: int | None,
    split: str,
    intent_column: str | None = None,
    intent2id: dict[str, int] | None = None,
) -> dict[str, list]:
    """Tokenise a batch of tagged sentences: `input_ids`, and `labels` on the first piece of each token, -100 elsewhere.

    A teacher's logits go to first pieces too; elsewhere they are NaN. The classes of whole rows, if there are any, are `intents`.

    Raises:
        DataError: A sentence has unequal numbers of tokens and tags, an unknown tag, or more than `max_length` pieces.
    """
    sentences = batch[token_column]
    encoding = encode_words(tokenizer, sentences)
    labels, teachers = [], []
    for index, (sentence, row) in enumerate(zip(sentences, rows, strict=True)):
        if max_length is not None and len(encoding["input_ids"][index]) > max_length:
            raise DataError(
                f"{split} row {row}: the sentence has {len(encoding['input_ids'][index])} pieces, more than max_length={max_length}, "
                "and cutting it would drop tags. Leave --max_length out (a recurrence has no limit) or split the sentence."
            )
        firsts = first_pieces(encoding.word_ids(index), len(sentence))
        aligned = [-100] * len(encoding["input_ids"][index])
        tags = batch[tag_column][index] if tag_column else None
        if tags is not None:
            if len(tags) != len(sentence):
                raise DataError(
                    f"{split} row {row}: {len(sentence)} tokens in column {token_column!r} but {len(tags)} tags in column {tag_column!r}: "
                    f"{sentence[:8]} ... Give every token one tag."
                )
            for position, tag in zip(firsts, _label_ids(_named(tags, names), str(tag_column), split, row, label2id), strict=True):
                aligned[position] = tag
        labels.append(aligned)
        if "teacher_logits" in batch:
            teachers.append(_spread(batch["teacher_logits"][index], firsts, len(aligned), len(label2id)))
    encoded = {"input_ids": encoding["input_ids"]}
    if teachers:
        encoded["teacher_logits"] = teachers
    if intent_column in batch and intent2id:
        cells = zip(batch[intent_column], rows, strict=True)
        encoded["intents"] = [_label_ids(cell, str(intent_column), split, row, intent2id)[0] for cell, row in cells]
    return {**encoded, "labels": labels} if tag_column else encoded


def _spread(values: list[list[float]], positions: list[int], length: int, width: int) -> list[list[float]]:
    """Put rows of values at positions of a sequence, NaN everywhere else."""
    spread = [[float("nan")] * width] * length
    for position, value in zip(positions, values, strict=True):
        spread[position] = value
    return spread


def first_pieces(word_ids: list[int | None], count: int) -> list[int]:
    """Return the position of the first piece of each of `count` words."""
    firsts: dict[int, int] = {}
    for position, word in enumerate(word_ids):
        if word is not None:
            firsts.setdefault(word, position)
    return [firsts[word] for word in range(count)]


def encode_words(tokenizer: PreTrainedTokenizerBase, sentences: list[list[str]]) -> Any:
    """Encode tokens, with the unknown token in place of those that the tokenizer leaves no piece of, such as a lone space."""
    options = {"is_split_into_words": True, "return_attention_mask": False, "verbose": False}
    encoding = tokenizer(sentences, **options)
    pieces = [set(encoding.word_ids(index)) for index in range(len(sentences))]
    if all(len(found - {None}) == len(sentence) for found, sentence in zip(pieces, sentences, strict=True)):
        return encoding
    unknown = tokenizer.unk_token
    filled = [[w if k in found else unknown for k, w in enumerate(s)] for s, found in zip(sentences, pieces, strict=True)]
    return tokenizer(filled, **options)


def map_splits(
    splits: Splits, encode: Callable[..., dict[str, list]], names: dict[str, list[str] | None], num_proc: int | None = None, **options: Any
) -> Splits:
    """Apply an encoder to every split, batch by batch, cached by the fingerprint of its options.

    Args:
        splits: Raw splits.
        encode: `encode_texts` or `encode_tokens`.
        names (`dict`): For each split what `feature_names` found.
        num_proc (`int`, *optional*): Processes.
        options: Passed to the encoder.
    """
    # a tokenizer changes its own state, hence its fingerprint, when it is first used
    options["tokenizer"](["settle"], truncation=False)
    encoded = {}
    for split, dataset in splits.items():
        function = partial(encode, split=split, names=names[split], **options)
        arguments: dict[str, Any] = {"batched": True, "with_indices": True, "remove_columns": column_names(dataset)}
        if isinstance(dataset, Dataset):
            arguments |= {"num_proc": num_proc, "desc": f"Tokenising {split}"}
        encoded[split] = dataset.map(function, **arguments)
    return type(splits)(encoded)


def drop_truncated(splits: Splits) -> tuple[Splits, dict[str, tuple[int, int]]]:
    """Remove the `truncated` column and return for each split the number of truncated rows and of all rows."""
    counts = {split: (int(np.sum(data["truncated"])), len(data)) for split, data in splits.items() if isinstance(data, Dataset)}
    return splits.remove_columns("truncated"), counts
