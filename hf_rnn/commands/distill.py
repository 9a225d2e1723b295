"""Teach a small recurrent model what an encoder knows, and compare the two: one command from labelled rows to a table.

Example:
    hf-rnn distill --teacher sentence-transformers/all-MiniLM-L6-v2 --train_file reviews.csv --test_file test.csv
"""

from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path

from transformers.utils import logging

from ..data.files.locations import Places
from ..data.loading import load_config
from ..data.rows.annotated import holds_spans
from ..data.rows.splits import load_splits
from ..data.tokenizers.encoder_vectors import vector_width
from ..data.writing import check_output_dir, written_whole
from ..evaluation.comparison import ComparisonArguments, LabelledRows, score_of
from ..evaluation.speed import COSTS, describe_costs, measure_costs
from ..inference.loading import HEADS, auto_class_of, load
from ..inference.predictor import Predictor
from ..options import check_given, given_options, option, parse_arguments
from ..reports.tables import to_markdown
from ..training.checkpoints import resume_point
from .labelled import KINDS
from .outputs import SAME_COMMAND, writing_to
from .run_note import RunNote
from .tasks import TASKS, going_on, is_trained

logger = logging.get_logger(__name__)

# the loss tells more of few validation rows than the accuracy does, and of how far soft answers can be trusted
CHOICE = ["--metric_for_best_model", "loss", "--greater_is_better", "false"]
# beside what a pretrained transformer has by default; its rate falls to the end, where it is best, so that it needs no rows to be chosen by
FINE_TUNING = ["--warmup_steps", "0.1", "--save_total_limit", "1", "--early_stopping_patience", "0"]
# what says what a run is of, and is written again as its last file
NOTE = "distillation.json"
CHAPTER = "## Beside its teacher"
# values of a student's vectors, where its teacher's have as many
WIDTH = 256


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
    with writing_to(arguments.output_dir, SAME_COMMAND):
        return _distill(arguments)


def _distill(arguments: DistillArguments) -> dict[str, dict[str, float]]:
    """Make what is not made yet; return the lines of the table."""
    student = Path(arguments.output_dir)
    note = RunNote(student / NOTE, {name: value for name, value in vars(arguments).items() if name != "output_dir"})
    is_begun = note.is_begun()
    # what cannot be compared on, or learnt by the student, is found out before anything is trained
    _check_test_file(arguments)
    needs_training = not (is_begun and is_trained(student))
    if needs_training:
        _check_student(arguments.task, _student_options(arguments, _teacher_name(arguments)))
    note.begin()
    teacher = _prepare_teacher(arguments)
    if needs_training:
        TASKS[arguments.task].main(_student_options(arguments, teacher))
    names = {"student": str(student)} | ({"teacher": teacher} if _has_head(teacher) else {})
    lines = compare({name: load(path) for name, path in names.items()}, arguments)
    table = _describe(lines)
    print(table)
    _add_to_card(student / "README.md", table)
    note.end(lines)
    return lines


def _student_options(arguments: DistillArguments, teacher: str) -> list[str]:
    """Return the options of the student's training."""
    more = ["--unlabeled_file", arguments.unlabeled_file] if arguments.unlabeled_file else []
    options = ["--teacher_name_or_path", teacher, "--embeddings_from", arguments.teacher, "--augment", str(arguments.augment), *more]
    first = [arguments.options_file] if arguments.options_file else []
    steps = [*CHOICE, "--do_eval", "--do_predict", "--test_file", str(arguments.test_file)]
    return [*first, *_common(arguments, Path(arguments.output_dir)), *steps, *options, *_size(arguments)]


def _size(arguments: DistillArguments) -> list[str]:
    """Return the width of the student's vectors, unless the options tell it; raise a ValueError if the teacher's are narrower."""
    given = given_options([arguments.options_file], *KINDS).get("embedding_size") if arguments.options_file else None
    width = vector_width(arguments.teacher)
    if given is not None and given > width:
        raise ValueError(f"`embedding_size` must be at most {width}, the width of {arguments.teacher!r}, got {given}. Pass a smaller one.")
    return [] if given is not None else ["--embedding_size", str(min(WIDTH, width))]


def _check_student(task: str, options: list[str]) -> None:
    """Raise what is wrong with the student's options, its rows or its folder."""
    student = TASKS[task].make_task(options, None)
    student.set_up()
    package = getLogger("hf_rnn")
    level = package.level
    # it is all said again when the student is trained
    package.setLevel(ERROR)
    try:
        with student.places.named():
            student.read()
    finally:
        package.setLevel(level)
    resume_point(student.training)


def _add_to_card(path: Path, table: str) -> None:
    """Write the comparison as the last chapter of a card, in place of one that is there."""
    before = path.read_text(encoding="utf-8").partition(f"\n{CHAPTER}\n")[0] if path.is_file() else ""
    with written_whole(path) as file:
        file.write(f"{before.rstrip()}\n\n{CHAPTER}\n\n{table}")


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
    resume = [] if is_trained(folder) else going_on(folder)
    return [*options, "--output_dir", str(folder), "--do_train", *resume]


def _has_head(name: str) -> bool:
    return auto_class_of((load_config(name).architectures or [""])[0], HEADS) is not None


def _teacher_name(arguments: DistillArguments) -> str:
    """Return the teacher to ask: as it is if it has a head or its vectors are enough, else the folder where it is trained."""
    is_ready = _has_head(arguments.teacher) or not arguments.fine_tune
    return arguments.teacher if is_ready else str(Path(arguments.output_dir) / "teacher")


def _prepare_teacher(arguments: DistillArguments) -> str:
    """Return the teacher to ask, once it is trained on the labelled rows, if it needs to be."""
    name = _teacher_name(arguments)
    if name == arguments.teacher:
        return name
    folder = Path(name)
    if is_trained(folder):
        logger.warning(f"The teacher in {folder} is taken as it is; remove the folder to train it again.")
    else:
        choice = [*CHOICE, "--do_eval"] if arguments.validation_file else []
        TASKS[arguments.task].main([*_common(arguments, folder), *choice, "--model_name_or_path", arguments.teacher, *FINE_TUNING])
    return name


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
