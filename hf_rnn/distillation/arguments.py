"""Let a student learn from the answers of a teacher, on its own text and on text without labels (Hinton et al. 2015)."""

import unicodedata
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from torch import Tensor
from transformers.utils.logging import get_logger

from ..data.files.readers import DataError, read_rows
from ..data.rows.labels import label_values, named_cell
from ..data.rows.splits import TEXT_COLUMNS, TOKEN_COLUMNS, Splits, choose_column, load_splits
from ..data.tokenizers.encoder_vectors import find_similar
from ..options import check_ranges, option
from .augmentation import frequent_words, make_up_rows
from .teachers import EmbeddingTeacher, load_teachers

logger = get_logger(__name__)


@dataclass
class DistillationArguments:
    """Whose answers to learn from, and how."""

    teacher_name_or_path: list[str] | None = option(  # noqa: RUF009
        "Trained models (folders or Hub names) of any kind with the same labels, or encoders, on whose vectors a regression is fitted; of "
        "several the mean probability counts."
    )
    augment: int = option(
        "Made-up rows for the teacher to answer, from the training rows; 30000 for a few thousand rows.", 0, within="[0, 10000000]"
    )
    unlabeled_file: str | None = option("Texts without labels, for the teacher to answer; txt, csv and the like.")
    distillation_alpha: float = option("Weight of the teacher's answers beside that of the labels, 1 - alpha.", 0.9, within="(0, 1]")
    distillation_temperature: float = option("Temperature that softens the teacher's answers.", 2.0, within="(0, inf)")

    def __post_init__(self) -> None:
        check_ranges(type(self), vars(self))
        for name in ("unlabeled_file", "augment"):
            if getattr(self, name) and not self.teacher_name_or_path:
                raise ValueError(f"`{name}` needs a teacher to answer its texts. Pass --teacher_name_or_path.")

    def count_more(self) -> int:
        """Return the number of rows that a teacher answers beside the training rows."""
        return self.augment + (sum(1 for _ in read_rows(self.unlabeled_file)) if self.unlabeled_file else 0)


def add_teacher(
    splits: Splits,
    arguments: DistillationArguments,
    column: str,
    label_column: str,
    labels: list[str],
    names: list[str] | None,
    seed: int,
    dtype: torch.dtype = torch.float32,
    words_from: str | None = None,
) -> Splits:
    """Add texts without labels and made-up ones to the training split, and to all of it the teacher's logits as `teacher_logits`.

    Args:
        splits: Raw splits.
        arguments (`DistillationArguments`): Without a teacher nothing changes.
        column (`str`): Column of texts or of lists of tokens.
        label_column (`str`): Column of labels.
        labels (`list`): Label names of the student, in order.
        names (`list`, *optional*): Those that the data set declares for the numbers in its column.
        seed (`int`): Seed of what is made up.
        dtype (`torch.dtype`): What teachers compute their answers in.
        words_from (`str`, *optional*): Encoder in whose space words of made-up rows are replaced by similar ones.

    Raises:
        DataError: The training split is a stream or missing.
        ValueError: A teacher knows other labels.
    """
    if not arguments.teacher_name_or_path:
        return splits
    train = splits.get("train")
    if not isinstance(train, Dataset):
        raise DataError("A teacher needs a training split that is no stream. Pass --do_train, and leave --streaming out.")
    named = [named_cell(cell, names) for cell in train[label_column]]
    is_tagger = isinstance(next(iter(named), None), list)
    teachers = load_teachers(arguments.teacher_name_or_path, labels, is_tagger, dtype)
    train = train.select_columns([column, label_column])
    if arguments.unlabeled_file:
        train = concatenate_datasets([train, _unlabeled(train, arguments, column, label_column)])
    if arguments.augment:
        # what no teacher could read is left out
        masks = {teacher.mask_token for teacher in teachers}
        mask = masks.pop() if len(masks) == 1 else None
        texts = splits["train"][column]
        similar = find_similar(words_from, frequent_words(texts)) if words_from else None
        made = make_up_rows(texts, arguments.augment, seed, mask, named if is_tagger else None, similar=similar)
        train = concatenate_datasets([train, _without_labels(train, made, column, label_column)])
    given: list[str | None] = [None] * len(train)
    if any(isinstance(teacher, EmbeddingTeacher) for teacher in teachers):
        given[: len(named)] = [label_values(cell, label_column, "train", row)[0] for row, cell in enumerate(named)]
    total: list[Tensor] = []
    for teacher in teachers:
        answers = teacher.probabilities(train[column], given)
        total = [a + b for a, b in zip(total, answers, strict=True)] if total else answers
    logits = [(probability / len(teachers)).clamp(min=1e-8).log().tolist() for probability in total]
    return type(splits)({**splits, "train": train.add_column("teacher_logits", logits)})


def _unlabeled(train: Dataset, arguments: DistillationArguments, column: str, label_column: str) -> Dataset:
    """Return the rows of the file without labels with the columns of the training split."""
    rows = load_splits(files={"train": str(arguments.unlabeled_file)})["train"]
    found = choose_column(rows, "unlabelled", None, (column, *TEXT_COLUMNS, *TOKEN_COLUMNS), "text_column_name")
    feature = train.features[column]
    is_tokens = not hasattr(feature, "dtype") or feature.dtype == "list"
    texts = [split_signs(text) if is_tokens and isinstance(text, str) else text for text in rows[found]]
    texts = [text for text in texts if text and (not isinstance(text, str) or text.strip())]
    logger.warning(f"{len(texts)} texts without labels join {len(train)} training rows.")
    return _without_labels(train, texts, column, label_column)


def split_signs(text: str) -> list[str]:
    """Return the words of a text, parted at white space, with the signs that stand before and after each as tokens of their own."""
    tokens: list[str] = []
    for word in text.split():
        letters = [index for index, character in enumerate(word) if unicodedata.category(character)[0] not in "PS"]
        first, last = (letters[0], letters[-1] + 1) if letters else (len(word), len(word))
        tokens += [*word[:first], *([word[first:last]] if letters else []), *word[last:]]
    return tokens


def _without_labels(train: Dataset, texts: list[Any], column: str, label_column: str) -> Dataset:
    """Return texts as rows like those of the training split, without a label."""
    return Dataset.from_dict({column: texts, label_column: [None] * len(texts)}, features=train.features)
