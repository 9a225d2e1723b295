"""Teach a small recurrent model what an encoder knows, and compare the two: one command from labelled rows to a table.

Example:
    hf-rnn distill --teacher sentence-transformers/all-MiniLM-L6-v2 --train_file reviews.csv --test_file test.csv
"""

from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging

from ..data.files.locations import Places
from ..data.loading import load_config
from ..data.rows.annotated import holds_spans
from ..data.rows.splits import load_splits
from ..data.writing import check_output_dir
from ..evaluation.comparison import ComparisonArguments, LabelledRows, score_of
from ..evaluation.speed import COSTS, describe_costs, measure_costs
from ..inference.loading import load
from ..inference.predictor import Predictor
from ..options import check_given, option, parse_arguments
from ..reports.tables import to_markdown
from ..tasks.decoding import task_of
from .tasks import TASKS, going_on

logger = logging.get_logger(__name__)

# the loss tells more of few validation rows than the accuracy does, and of how far soft answers can be trusted
CHOICE = ["--metric_for_best_model", "loss", "--greater_is_better", "false"]
# beside what a pretrained transformer has by default; its rate falls to the end, where it is best, so that it needs no rows to be chosen by
FINE_TUNING = ["--warmup_steps", "0.1", "--save_total_limit", "1", "--early_stopping_patience", "0"]
# what a training writes at its end
RESULTS = "all_results.json"


@dataclass
class DistillArguments(ComparisonArguments):
    """Whom to learn from, what, and where to."""

    teacher: str = option("Encoder or trained model (folder or Hub name) to learn from.", "", essential=True)
    task: str = option("text-classification or token-classification.", "text-classification", choices=list(TASKS), essential=True)
    train_file: str | None = option("Labelled rows: csv, tsv, json, jsonl, parquet, conll or conllu.", essential=True)
    validation_file: str | None = option("File to choose the best epoch by; carved from the training data if left out.", essential=True)
    test_file: str | None = option("Labelled rows on which teacher and student are compared.", essential=True)
    text_column_name: str | None = option("Column of texts or of lists of tokens.", essential=True)
    label_column_name: str | None = option("Column of labels or of lists of tags.", essential=True)
    unlabeled_file: str | None = option("Texts without labels, for the teacher to answer.", essential=True)
    augment: int = option("Made-up rows for the teacher to answer.", 30_000, essential=True, within="[0, 10000000]")
    fine_tune: bool = option(
        "Train a teacher that has no head for these labels; false: fit a regression on its vectors, in seconds.", True, essential=True
    )
    options_file: str | None = option("YAML or JSON file of further options of the student's training.", essential=True)
    output_dir: str = option("Folder of the student; a teacher that is trained is kept in its folder `teacher`.", "student", essential=True)
    bf16: bool = option("Train both in bfloat16, which is faster where the processor has instructions for it.", False)
    seed: int = option("Seed of both trainings.", 42, within="[0, 4294967295]")


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Run the command; return the lines of the table by model."""
    (arguments,) = parse_arguments(argv, __doc__, DistillArguments)
    check_given(arguments, teacher="an encoder or a trained model", train_file="labelled rows", test_file="rows to compare on")
    check_output_dir(arguments.output_dir, "output_dir", arguments.teacher, arguments.train_file, arguments.test_file)
    # what cannot be compared on is found out before anything is trained
    _check_test_file(arguments)
    teacher = _prepare_teacher(arguments)
    student = Path(arguments.output_dir)
    more = ["--unlabeled_file", arguments.unlabeled_file] if arguments.unlabeled_file else []
    options = ["--teacher_name_or_path", teacher, "--embeddings_from", arguments.teacher, "--augment", str(arguments.augment), *more]
    first = [arguments.options_file] if arguments.options_file else []
    steps = [*CHOICE, "--do_eval", "--do_predict", "--test_file", str(arguments.test_file)]
    TASKS[arguments.task].main([*first, *_common(arguments, student), *steps, *options])
    names = {"student": str(student)} | ({"teacher": teacher} if _has_head(teacher) else {})
    lines = compare({name: load(path) for name, path in names.items()}, arguments)
    table = _describe(lines)
    print(table)
    card = student / "README.md"
    card.write_text(f"{card.read_text(encoding='utf-8').rstrip()}\n\n## Beside its teacher\n\n{table}", encoding="utf-8")
    return lines


def _check_test_file(arguments: DistillArguments) -> None:
    """Raise a DataError if the test file is none."""
    rows = load_splits(files={"test": str(arguments.test_file)})["test"]
    is_tagger = arguments.task == "token-classification"
    if not (is_tagger and holds_spans(rows, arguments.label_column_name)):
        with Places({"test": arguments.test_file}).named():
            LabelledRows.of_columns(rows, is_tagger, arguments.text_column_name, arguments.label_column_name)


def _common(arguments: DistillArguments, folder: Path) -> list[str]:
    """Return the options that the trainings of teacher and student share."""
    names = ("train_file", "validation_file", "text_column_name", "label_column_name", "bf16", "seed")
    given = [(name, getattr(arguments, name)) for name in names if getattr(arguments, name) is not None]
    options = [part for name, value in given for part in (f"--{name}", str(value))]
    # what is finished is not written over
    resume = [] if (folder / RESULTS).is_file() else going_on(folder)
    return [*options, "--output_dir", str(folder), "--do_train", *resume]


def _has_head(name: str) -> bool:
    return task_of((load_config(name).architectures or [""])[0]) is not None


def _prepare_teacher(arguments: DistillArguments) -> str:
    """Return the teacher to ask: as it is if it has a head or its vectors are enough, else trained once on the labelled rows."""
    if _has_head(arguments.teacher) or not arguments.fine_tune:
        return arguments.teacher
    folder = Path(arguments.output_dir) / "teacher"
    if (folder / RESULTS).is_file():
        logger.warning(f"The teacher in {folder} is taken as it is; remove the folder to train it again.")
    else:
        choice = [*CHOICE, "--do_eval"] if arguments.validation_file else []
        TASKS[arguments.task].main([*_common(arguments, folder), *choice, "--model_name_or_path", arguments.teacher, *FINE_TUNING])
    return str(folder)


def compare(predictors: dict[str, Predictor], arguments: DistillArguments) -> dict[str, dict[str, float]]:
    """Return for each model its score on the test rows, its size, its speed, and how often it agrees with the teacher."""
    rows = LabelledRows.read(arguments, predictors.values())
    answers = {name: rows.answers_of(predictor) for name, predictor in predictors.items()}
    reference = answers.get("teacher", answers["student"])
    costs = measure_costs(predictors, rows.texts)
    return {
        name: {
            rows.measure: float(score_of(rows.counts(answers[name]))),
            "agreement": rows.agreement(answers[name], reference),
            **costs[name],
        }
        for name in predictors
    }


def _describe(lines: dict[str, dict[str, float]]) -> str:
    """Return lines as a table in Markdown."""
    rows = []
    for model, values in lines.items():
        costs = {name: value for name, value in values.items() if name in COSTS}
        rows.append([model, *(f"{value:.4f}" for name, value in values.items() if name not in COSTS), *describe_costs(costs)])
    return to_markdown(["", *next(iter(lines.values()))], rows)
