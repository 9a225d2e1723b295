"""From rows to ids: truncation of texts, alignment of tags with pieces, and the encoders of whole splits."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from ..files.cells import as_number, as_text, as_tokens, place, shown
from ..files.errors import DataError, Place
from ..tokenizers.words import encode_words, first_pieces
from .collator import SHARES
from .labels import label_ids, named_cell, one_label
from .shares import encode_shares
from .splits import Splits, column_names

# before the names of columns that are not encoded yet
RAW = "raw "


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
    """Tokenise a batch of rows for classification: `input_ids`, `labels`, `label_shares` if there are any, and whether it was `truncated`.

    With a teacher's logits a row may lack a label; its `labels` are then -100.
    """
    texts = [as_text(text, place(split, row, text_column)) for text, row in zip(batch[text_column], rows, strict=True)]
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
            encoded["labels"] = [as_number(cell, place(split, row, str(label_column))) for cell, row in cells]
        else:
            has_teacher = "teacher_logits" in batch
            ids_of = [
                [-100] if has_teacher and cell is None else label_ids(named_cell(cell, names), label_column, split, row, label2id)
                for cell, row in cells
            ]
            if problem_type == "multi_label_classification":
                # a row without labels, for a teacher alone, has none to learn
                encoded["labels"] = [
                    [-100.0 if -100 in found else float(index in found) for index in range(len(label2id))] for found in ids_of
                ]
            else:
                encoded["labels"] = [one_label(found, str(label_column), split, row) for found, row in zip(ids_of, rows, strict=True)]
                if SHARES in batch:
                    encoded[SHARES] = encode_shares(batch[SHARES], encoded["labels"], label2id, str(label_column), split, rows)
    return {**encoded, "teacher_logits": batch["teacher_logits"]} if "teacher_logits" in batch else encoded


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
    sentences = [as_tokens(cell, place(split, row, token_column)) for cell, row in zip(batch[token_column], rows, strict=True)]
    encoding = encode_words(tokenizer, sentences)
    labels, teachers = [], []
    for index, (sentence, row) in enumerate(zip(sentences, rows, strict=True)):
        if max_length is not None and len(encoding["input_ids"][index]) > max_length:
            raise DataError(
                f"the sentence has {len(encoding['input_ids'][index])} pieces, more than max_length={max_length}, and cutting it would "
                "drop tags. Leave --max_length out (a recurrence has no limit) or split the sentence.",
                Place(split, row),
            )
        firsts = first_pieces(encoding.word_ids(index), len(sentence))
        aligned = [-100] * len(encoding["input_ids"][index])
        tags = batch[tag_column][index] if tag_column else None
        if tags is not None:
            if not isinstance(tags, list) or len(tags) != len(sentence):
                raise DataError(
                    f"{len(sentence)} tokens in column {token_column!r} but {_count_tags(tags)} in column {tag_column!r}: {sentence[:8]} "
                    "... Give every token one tag.",
                    Place(split, row),
                )
            for position, tag in zip(firsts, label_ids(named_cell(tags, names), str(tag_column), split, row, label2id), strict=True):
                aligned[position] = tag
        labels.append(aligned)
        if "teacher_logits" in batch:
            teachers.append(_spread(batch["teacher_logits"][index], firsts, len(aligned), len(label2id)))
    encoded = {"input_ids": encoding["input_ids"]}
    if teachers:
        encoded["teacher_logits"] = teachers
    if intent_column in batch and intent2id:
        cells = zip(batch[intent_column], rows, strict=True)
        encoded["intents"] = [
            -100
            if cell is None and "teacher_logits" in batch
            else one_label(label_ids(cell, str(intent_column), split, row, intent2id), str(intent_column), split, row)
            for cell, row in cells
        ]
    return {**encoded, "labels": labels} if tag_column else encoded


def _count_tags(tags: Any) -> str:
    return f"{len(tags)} tags" if isinstance(tags, list) else f"no list of tags ({shown(tags)})"


def _spread(values: list[list[float]], positions: list[int], length: int, width: int) -> list[list[float]]:
    """Put rows of values at positions of a sequence, NaN everywhere else."""
    spread = [[float("nan")] * width] * length
    for position, value in zip(positions, values, strict=True):
        spread[position] = value
    return spread


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
        # a column that an encoder writes under the name of one it reads would keep the type of that
        columns = column_names(dataset)
        dataset = dataset.rename_columns({name: f"{RAW}{name}" for name in columns})
        function = partial(_encode_raw, encode=partial(encode, split=split, names=names[split], **options))
        arguments: dict[str, Any] = {"batched": True, "with_indices": True, "remove_columns": [f"{RAW}{name}" for name in columns]}
        if isinstance(dataset, Dataset):
            arguments |= {"num_proc": num_proc, "desc": f"Tokenising {split}"}
        encoded[split] = dataset.map(function, **arguments)
    return type(splits)(encoded)


def _encode_raw(batch: dict[str, list], rows: list[int], *, encode: Callable[..., dict[str, list]]) -> dict[str, list]:
    return encode({name.removeprefix(RAW): cells for name, cells in batch.items()}, rows)


def drop_truncated(splits: Splits) -> tuple[Splits, dict[str, tuple[int, int]]]:
    """Remove the `truncated` column and return for each split the number of truncated rows and of all rows."""
    counts = {split: (int(np.sum(data["truncated"])), len(data)) for split, data in splits.items() if isinstance(data, Dataset)}
    return splits.remove_columns("truncated"), counts
