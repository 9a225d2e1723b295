"""Measure how good a model gets with how many rows, beside a linear baseline: nested samples, several seeds, a table and a picture.

Example:
    hf-rnn learning-curve --train_file reviews.csv --test_file test.csv --output_dir outputs/curve
"""

from dataclasses import dataclass

from ..arguments import DataArguments, LabelledTrainingArguments, RunArguments
from ..distillation.training import GROUPS
from ..options import check_given, option, options_of, pick, read_arguments
from ..tuning.learning_curve import Summary, learning_curve


@dataclass
class CurveArguments:
    """What to measure."""

    sizes: list[int] | None = option("Numbers of rows; by default 100, 300, 1,000, 3,000, ... and all.", within="[1, inf)", essential=True)  # noqa: RUF009
    max_test_samples: int | None = option("Use only so many test rows.", within="[1, inf)")
    fasttext: bool = option("Whether fastText is measured too, its settings chosen on held-out rows (the extra fasttext).", False)


KINDS = (
    CurveArguments,
    pick(DataArguments, "train_file", "test_file", "text_column_name", "label_column_name"),
    pick(RunArguments, "options_file", seeds=3),
    pick(LabelledTrainingArguments, output_dir="learning_curve"),
)


def main(argv: list[str] | None = None) -> Summary:
    """Run the command; return what `learning_curve` does."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_given(arguments, train_file="labelled rows to draw from", test_file="rows to measure on")
    settings = {name: value for name, value in vars(arguments).items() if name != "options_file"}
    options = options_of([arguments.options_file], *GROUPS) if arguments.options_file else {}
    return learning_curve(**settings, options=options)
