"""Teach a small recurrent model what an encoder knows, and compare the two: one command from labelled rows to a table.

Example:
    hf-rnn distill --teacher sentence-transformers/all-MiniLM-L6-v2 --train_file reviews.csv --test_file test.csv
"""

from dataclasses import dataclass
from typing import Any

from ..arguments import DataArguments, DistillationArguments, LabelledTrainingArguments, RunArguments
from ..distillation.distill import distill
from ..distillation.training import GROUPS
from ..options import again, check_given, option, options_of, pick, read_arguments


@dataclass
class DistillArguments:
    """Whom to learn from, what, and where to."""

    teacher: list[str] | None = option(  # noqa: RUF009
        "Encoder or trained model (folder or Hub name) to learn from; of several the mean probability counts.", essential=True
    )
    fine_tune: bool = option(
        "Train a teacher that has no head for these labels; false: fit a regression on its vectors, in seconds.", True, essential=True
    )
    augment: int | None = again(DistillationArguments, "augment", None)


KINDS = (
    DistillArguments,
    pick(RunArguments, "task", "options_file"),
    pick(DataArguments, "train_file", "validation_file", "test_file", "text_column_name", "label_column_name"),
    pick(DistillationArguments, "unlabeled_file"),
    pick(LabelledTrainingArguments, "bf16", "seed", output_dir="student"),
)


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the command; return the lines of the table by model."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_given(arguments, teacher="an encoder or a trained model", train_file="labelled rows", test_file="rows to compare on")
    options: dict[str, Any] = options_of([arguments.options_file], *GROUPS) if arguments.options_file else {}
    names = ("text_column_name", "label_column_name", "bf16", "seed")
    shared = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    rows = {name: getattr(arguments, f"{name}_file") for name in ("train", "validation", "test", "unlabeled")}
    own = {name: getattr(arguments, name) for name in ("task", "augment", "fine_tune", "output_dir")}
    return distill(arguments.teacher, **rows, **own, **{**options, **shared}).table
