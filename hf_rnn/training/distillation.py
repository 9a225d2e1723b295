"""Let a student learn from the answers of a teacher, on its own text and on text without labels (Hinton et al. 2015)."""

from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel
from transformers.utils.logging import get_logger

from ..data.readers import DataError
from ..data.splits import TEXT_COLUMNS, TOKEN_COLUMNS, Splits, choose_column, load_splits
from ..inference.loading import load
from ..inference.predicting import Predictor
from ..options import check_ranges, option

logger = get_logger(__name__)


@dataclass
class DistillationArguments:
    """Whose answers to learn from, and how."""

    teacher_name_or_path: list[str] | None = option(  # noqa: RUF009
        "Trained models (folders or Hub names) of any kind with the same labels; of several the mean probability counts."
    )
    unlabeled_file: str | None = option("Texts without labels, for the teacher to answer; txt, csv and the like.")
    distillation_alpha: float = option("Weight of the teacher's answers beside that of the labels, 1 - alpha.", 0.7, within="(0, 1]")
    distillation_temperature: float = option("Temperature that softens the teacher's answers.", 2.0, within="(0, inf)")

    def __post_init__(self) -> None:
        check_ranges(type(self), vars(self))
        if self.unlabeled_file and not self.teacher_name_or_path:
            raise ValueError("`unlabeled_file` needs a teacher to answer its texts. Pass --teacher_name_or_path.")


def add_teacher(splits: Splits, arguments: DistillationArguments, column: str, label_column: str, labels: list[str]) -> Splits:
    """Add the texts without labels to the training split, and to all of it the teacher's logits as the column `teacher_logits`.

    Args:
        splits: Raw splits.
        arguments (`DistillationArguments`): Without a teacher nothing changes.
        column (`str`): Column of texts or of lists of tokens.
        label_column (`str`): Column of labels.
        labels (`list`): Label names of the student, in order.

    Raises:
        DataError: The training split is a stream or missing.
        ValueError: A teacher knows other labels.
    """
    if not arguments.teacher_name_or_path:
        return splits
    train = splits.get("train")
    if not isinstance(train, Dataset):
        raise DataError("A teacher needs a training split that is no stream. Pass --do_train, and leave --streaming out.")
    if arguments.unlabeled_file:
        train = concatenate_datasets([train.select_columns([column, label_column]), _unlabeled(train, arguments, column, label_column)])
    total: list[Tensor] = []
    for name in arguments.teacher_name_or_path:
        teacher = load(name)
        order = _label_order(teacher.model, labels, name)
        answers = [logits[..., order].softmax(-1) for logits in _answers(teacher, train[column])]
        total = [a + b for a, b in zip(total, answers, strict=True)] if total else answers
    logits = [(probability / len(arguments.teacher_name_or_path)).clamp(min=1e-8).log().tolist() for probability in total]
    return type(splits)({**splits, "train": train.add_column("teacher_logits", logits)})


def _unlabeled(train: Dataset, arguments: DistillationArguments, column: str, label_column: str) -> Dataset:
    """Return the rows of the file without labels with the columns of the training split."""
    rows = load_splits(files={"train": str(arguments.unlabeled_file)})["train"]
    found = choose_column(rows, "unlabelled", None, (column, *TEXT_COLUMNS, *TOKEN_COLUMNS), "text_column_name")
    feature = train.features[column]
    is_tokens = not hasattr(feature, "dtype") or feature.dtype == "list"
    texts = [text.split() if is_tokens and isinstance(text, str) else text for text in rows[found]]
    texts = [text for text in texts if text and (not isinstance(text, str) or text.strip())]
    logger.warning(f"{len(texts)} texts without labels join {len(train)} training rows.")
    features = train.select_columns([column, label_column]).features
    return Dataset.from_dict({column: texts, label_column: [None] * len(texts)}, features=features)


def _label_order(teacher: PreTrainedModel, labels: list[str], name: str) -> list[int]:
    """Return where the teacher has each label of the student."""
    known = {label: int(index) for index, label in teacher.config.id2label.items()}
    if set(known) != set(labels):
        raise ValueError(
            f"The teacher {name!r} must know the labels of the data, {labels[:20]}, got {list(known)[:20]}. Train it on the same labels."
        )
    return [known[label] for label in labels]


def _answers(teacher: Predictor, texts: list[Any], batch_size: int = 256) -> list[Tensor]:
    """Return the logits of each text, (C,), or of each sentence's tokens, (W, C); texts of similar length go together."""
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    answers: list[Tensor] = [torch.empty(0)] * len(texts)
    for start in tqdm(range(0, len(order), batch_size), desc="Teacher", disable=None):
        chosen = order[start : start + batch_size]
        for index, logits in zip(chosen, teacher.logits([texts[index] for index in chosen]), strict=True):
            answers[index] = logits
    return answers
