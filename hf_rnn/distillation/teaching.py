"""Let a student learn from the answers of a teacher, on its own text and on text without labels (Hinton et al. 2015)."""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from torch import Tensor
from transformers.utils.logging import get_logger

from ..arguments import DistillationArguments, LabelledTrainingArguments
from ..data.files.readers import DataError, read_rows
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.labels import feature_names, label_values, named_cell
from ..data.rows.splits import Splits, choose_column, load_splits
from ..data.tokenizers.encoder_vectors import find_similar
from ..sharing.cards import code
from ..tasks.decoding import Text
from ..tasks.task import Columns, Task
from ..training.trainer import RnnTrainer
from .augmentation import frequent_words, make_up_rows
from .teachers import EmbeddingTeacher, HeadTeacher, answers_a_second, load_teachers
from .trainer import DistillationTrainer

logger = get_logger(__name__)


class Teaching:
    """Teachers, the rows that they answer beside the training rows, and how much their answers count.

    Args:
        arguments (`DistillationArguments`): Names teachers and rows.
        words_from (`str`, *optional*): Encoder in whose space words of made-up rows are replaced by similar ones.
    """

    trainer_class: type[RnnTrainer] = DistillationTrainer

    def __init__(self, arguments: DistillationArguments, words_from: str | None = None) -> None:
        self.arguments = arguments
        self.words_from = words_from
        self.trainer_options: Mapping[str, Any] = {"distillation": arguments}

    @property
    def names(self) -> list[str]:
        """Return the folders and files that are read."""
        more = [self.arguments.unlabeled_file] if self.arguments.unlabeled_file else []
        return [*(self.arguments.teacher_name_or_path or ()), *more]

    def count_more(self) -> int:
        """Return the number of rows that teachers answer beside the training rows."""
        path = self.arguments.unlabeled_file
        return self.arguments.augment + (sum(1 for _ in read_rows(path)) if path else 0)

    def rate(self, texts: Sequence[Text], task: Task, training: LabelledTrainingArguments) -> float:
        """Return how many texts like these the teachers answer a second."""
        return 1 / sum(1 / answers_a_second(teacher, texts) for teacher in self._load(task, training))

    def _load(self, task: Task, training: LabelledTrainingArguments) -> list[HeadTeacher | EmbeddingTeacher]:
        dtype = torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else torch.float32
        needs_head = task.has_tags or _has_several(task)
        return load_teachers(self.arguments.teacher_name_or_path or (), list(task.labels), needs_head, dtype)

    def add_answers(self, splits: Splits, task: Task, training: LabelledTrainingArguments) -> Splits:
        """Add texts without labels and made-up ones to the training split, and to all of it the teachers' logits as `teacher_logits`.

        Args:
            splits: Raw splits.
            task (`Task`): What the student learns.
            training (`LabelledTrainingArguments`): Says the seed of what is made up, and what teachers compute their answers in.

        Raises:
            DataError: The training split is a stream or missing.
            ValueError: A teacher knows other labels, or the task is one that none answers.
        """
        train, columns = splits.get("train"), task.columns
        if not isinstance(train, Dataset):
            raise DataError("A teacher needs a training split that is no stream. Pass --do_train, and leave --streaming out.")
        if getattr(task, "problem", None) == "regression":
            raise ValueError("A teacher answers labels, got problem_type='regression'. Leave --teacher_name_or_path out.")
        has_several, teachers = _has_several(task), self._load(task, training)
        names = feature_names(train, columns.labels)
        named = [named_cell(cell, names) for cell in train[columns.labels]]
        train = self._grow(train, columns, named if task.has_tags else None, training.seed, {teacher.mask_token for teacher in teachers})
        given: list[str | None] = [None] * len(train)
        if any(isinstance(teacher, EmbeddingTeacher) for teacher in teachers):
            given[: len(named)] = [label_values(cell, columns.labels, "train", row)[0] for row, cell in enumerate(named)]
        total: list[Tensor] = []
        for teacher in teachers:
            answers = teacher.probabilities(train[columns.text], given, has_several=has_several)
            total = [a + b for a, b in zip(total, answers, strict=True)] if total else answers
        means = [probability / len(teachers) for probability in total]
        logits = [(mean.logit(eps=1e-6) if has_several else mean.clamp(min=1e-8).log()).tolist() for mean in means]
        return type(splits)({**splits, "train": train.add_column("teacher_logits", logits)})

    def _grow(self, train: Dataset, columns: Columns, tags: list[list[str]] | None, seed: int, masks: set[str | None]) -> Dataset:
        """Return the training rows, and after them those of the file without labels and those made up; `tags` are those of a tagger."""
        texts = train[columns.text]
        grown = train.select_columns([name for name in (columns.text, columns.labels, columns.intents) if name is not None])
        if self.arguments.unlabeled_file:
            grown = concatenate_datasets([grown, _unlabeled(grown, self.arguments.unlabeled_file, columns)])
        if self.arguments.augment:
            # what no teacher could read is left out
            mask = masks.pop() if len(masks) == 1 else None
            similar = find_similar(self.words_from, frequent_words(texts)) if self.words_from else None
            made = make_up_rows(texts, self.arguments.augment, seed, mask, tags, similar=similar)
            grown = concatenate_datasets([grown, _without_labels(grown, made, columns)])
        return grown

    def describe(self) -> list[str]:
        """Return lines of a card."""
        arguments = self.arguments
        names = ", ".join(code(Path(name).name) for name in arguments.teacher_name_or_path or ())
        lines = [f"- answers of {names}, weight {arguments.distillation_alpha}, temperature {arguments.distillation_temperature}"]
        if arguments.augment:
            lines.append(f"- {arguments.augment:,} rows made up from the training rows, answered likewise")
        if arguments.unlabeled_file:
            lines.append(f"- texts without labels, answered likewise: {code(Path(arguments.unlabeled_file).name)}")
        return lines


def _has_several(task: Task) -> bool:
    return getattr(task, "problem", None) == "multi_label_classification"


def _unlabeled(train: Dataset, path: str, columns: Columns) -> Dataset:
    """Return the rows of the file without labels with the columns of the training split."""
    rows = load_splits(files={"train": path})["train"]
    found = choose_column(rows, "unlabelled", None, (columns.text, *TEXT_COLUMNS, *TOKEN_COLUMNS), "text_column_name")
    feature = train.features[columns.text]
    is_tokens = not hasattr(feature, "dtype") or feature.dtype == "list"
    texts = [split_signs(text) if is_tokens and isinstance(text, str) else text for text in rows[found]]
    texts = [text for text in texts if text and (not isinstance(text, str) or text.strip())]
    logger.warning(f"{len(texts)} texts without labels join {len(train)} training rows.")
    return _without_labels(train, texts, columns)


def split_signs(text: str) -> list[str]:
    """Return the words of a text, parted at white space, with the signs that stand before and after each as tokens of their own."""
    tokens: list[str] = []
    for word in text.split():
        letters = [index for index, character in enumerate(word) if unicodedata.category(character)[0] not in "PS"]
        first, last = (letters[0], letters[-1] + 1) if letters else (len(word), len(word))
        tokens += [*word[:first], *([word[first:last]] if letters else []), *word[last:]]
    return tokens


def _without_labels(train: Dataset, texts: list[Any], columns: Columns) -> Dataset:
    """Return texts as rows like those of the training split, without labels."""
    empty = {name: [None] * len(texts) for name in train.column_names}
    return Dataset.from_dict({**empty, columns.text: texts}, features=train.features)
