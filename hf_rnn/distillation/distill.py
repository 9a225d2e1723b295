"""From an encoder to a small recurrent model that has learnt what it knows, and a table of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from transformers.utils import logging

from ..data.files.locations import Places
from ..data.loading import load_config
from ..data.rows.annotated import holds_spans
from ..data.rows.splits import load_splits
from ..data.run_note import RunNote
from ..data.tokenizers.encoder_vectors import vector_width
from ..data.writing import check_output_dir, written_whole
from ..evaluation.comparison import LabelledRows, score_of
from ..evaluation.speed import COSTS, describe_costs, measure_costs
from ..inference.loading import load
from ..inference.predictor import Predictor
from ..reports.tables import to_markdown
from ..tasks.decoding import task_of
from ..tasks.registry import TASKS
from ..training.checkpoints import is_trained, resume_options, was_trained
from ..training.outputs import SAME_COMMAND, writing_to
from ..training.rows import files_of
from ..training.train import TaskRows
from .training import check_rows, task_options, train_by_options

logger = logging.get_logger(__name__)

# the loss tells more of few validation rows than the accuracy does, and of how far soft answers can be trusted
CHOICE = {"metric_for_best_model": "loss", "greater_is_better": False}
# beside what a pretrained transformer has by default; its rate falls to the end, where it is best, so that it needs no rows to be chosen by
FINE_TUNING = {"warmup_steps": 0.1, "save_total_limit": 1, "early_stopping_patience": 0}
# what says what a run is of, and is written again as its last file
NOTE = "distillation.json"
CHAPTER = "## Beside its teacher"
# made-up rows where their number is left out: what the teacher answers in these seconds, within bounds
SECONDS, FEWEST, MOST = 600, 30_000, 120_000
# values of a student's vectors, where its teacher's have as many
WIDTH = 256


@dataclass(frozen=True)
class DistillationResult:
    """What a distillation has made.

    Attributes:
        table (`dict`): For "student" and "teacher", of several also "teacher 2" and so on, the score on the test rows, how often it agrees
            with the first teacher, size and speed.
        folder (`Path`): The student.
    """

    table: dict[str, dict[str, float]]
    folder: Path

    @cached_property
    def predictor(self) -> Predictor:
        """Return what answers texts with the student."""
        return load(str(self.folder))


def distill(
    teacher: str | Sequence[str],
    *,
    train: Any,
    test: Any,
    task: str = "text-classification",
    validation: Any = None,
    unlabeled: Any = None,
    augment: int | None = None,
    fine_tune: bool = True,
    output_dir: str = "student",
    **options: Any,
) -> DistillationResult:
    """Teach a small recurrent model what an encoder or a trained model knows, and measure both on the test rows.

    The same call again goes on where an earlier one stopped.

    Args:
        teacher (`str` or `Sequence[str]`): Encoder or trained model, folder or Hub name; of several the mean probability counts, and the
            first gives tokenizer and vectors.
        train (`Any`): Labelled rows: a file name, a `Dataset`, a `DataFrame` or a list of dictionaries.
        test (`Any`): Labelled rows on which both are compared.
        task (`str`): "text-classification" or "token-classification".
        validation (`Any`, *optional*): Rows to choose the best epoch by; carved from the training rows by default.
        unlabeled (`Any`, *optional*): Texts for the teacher to answer: a file name, or a list of texts.
        augment (`int`, *optional*): Made-up rows for it to answer; by default as many as it answers in ten minutes, 30,000 to 120,000.
        fine_tune (`bool`): Whether a teacher that has no head for these labels is trained; else a regression is fitted on its vectors.
        output_dir (`str`): Folder of the student; a teacher that is trained is kept in its folder `teacher`.
        options: Further options of the student's training by their names; `seed`, `bf16` and those of columns are the teacher's too.

    Raises:
        ValueError: Options or rows are wrong; as far as possible before anything is trained.
    """
    rows = {"train": train, "validation": validation, "test": test, "unlabeled": unlabeled}
    with files_of(rows) as files:
        teachers = [teacher] if isinstance(teacher, str) else list(teacher)
        check_output_dir(output_dir, "output_dir", *teachers, files["train_file"], files["test_file"])
        if not teachers:
            raise ValueError(
                "`teacher` names no model. Pass an encoder or a trained model, such as sentence-transformers/all-MiniLM-L6-v2."
            )
        plan = _Plan(teachers, task, files, augment, fine_tune, Path(output_dir), options)
        with writing_to(output_dir, SAME_COMMAND):
            return plan.run()


@dataclass(frozen=True)
class _Plan:
    """What is made of what, and where."""

    teachers: list[str]
    task: str
    files: dict[str, str]
    augment: int | None
    fine_tune: bool
    folder: Path
    options: dict[str, Any]

    def run(self) -> DistillationResult:
        """Make what is not made yet."""
        own = {"teacher": self.teachers, "task": self.task, "augment": self.augment, "fine_tune": self.fine_tune}
        note = RunNote(self.folder / NOTE, {**self.options, **self.files, **own})
        is_begun = note.is_begun()
        # what cannot be compared on, or learnt by the student, is found out before anything is trained
        self._check_test_rows()
        needs_training = not (is_begun and is_trained(self.folder))
        rows = self._check_student() if needs_training else None
        note.begin()
        for name, trained in zip(self.teachers, self.asked, strict=True):
            self._train_teacher(name, trained)
        if rows is not None:
            train_by_options(self.task, self._student_options(self._count_rows(rows, note)))
        answering = [name for name in self.asked if _has_head(name)]
        names = {"teacher" if place == 1 else f"teacher {place}": name for place, name in enumerate(answering, start=1)}
        table = compare({name: load(path) for name, path in {"student": str(self.folder), **names}.items()}, self._test_rows)
        told = describe(table)
        print(told)
        _add_to_card(self.folder / "README.md", told)
        note.end(table)
        return DistillationResult(table, self.folder)

    @cached_property
    def asked(self) -> list[str]:
        """Return the teachers to ask: each as it is if it has a head or its vectors are enough, else the folder where it is trained."""
        folders = [self.folder / ("teacher" if place == 1 else f"teacher-{place}") for place in range(1, len(self.teachers) + 1)]
        is_ready = [_has_head(name) or not self.fine_tune for name in self.teachers]
        return [name if ready else str(folder) for name, ready, folder in zip(self.teachers, is_ready, folders, strict=True)]

    def _shared(self, folder: Path) -> dict[str, Any]:
        """Return the options that the trainings of teacher and student share."""
        names = ("text_column_name", "label_column_name", "bf16", "seed", "validation_share", "split_seed")
        given = {name: self.options[name] for name in names if self.options.get(name) is not None}
        given |= {name: path for name, path in self.files.items() if name in ("train_file", "validation_file")}
        # what is finished is not written over
        resume = {} if is_trained(folder) else resume_options(folder)
        return {**given, "output_dir": str(folder), "do_train": True, **resume}

    def _count_rows(self, rows: TaskRows, note: RunNote) -> int:
        """Return how many rows are made up: as many as are asked for, or as the teacher has time for, which is measured once."""
        if self.augment is not None:
            return self.augment
        if "augment" not in note.found:
            options, _, teaching = task_options(self._student_options(FEWEST))
            assert teaching is not None
            rate = teaching.rate(rows.splits["train"][rows.task.columns.text], rows.task, options.training)
            note.keep("augment", int(min(MOST, max(FEWEST, rate * SECONDS)) // 1000 * 1000))
            made = f"{note.found['augment']:,} rows are made up for it to answer"
            logger.warning(f"A text is answered in {1000 / rate:,.1f} ms: {made} (--augment says otherwise).")
        return int(note.found["augment"])

    def _student_options(self, augment: int) -> dict[str, Any]:
        """Return the options of the student's training on so many made-up rows."""
        more = {"unlabeled_file": self.files["unlabeled_file"]} if "unlabeled_file" in self.files else {}
        teaching = {"teacher_name_or_path": self.asked, "embeddings_from": self.teachers[0], "augment": augment, **more}
        steps = {**CHOICE, "do_eval": True, "do_predict": True, "test_file": self.files["test_file"]}
        return {**steps, **teaching, **self._width(), **self.options, **self._shared(self.folder)}

    def _width(self) -> dict[str, int]:
        """Return the width of the student's vectors; raise a ValueError if options ask for more than the teacher's have."""
        given, width = self.options.get("embedding_size"), vector_width(self.teachers[0])
        if given is not None and given > width:
            of = f"the width of {self.teachers[0]!r}"
            raise ValueError(f"`embedding_size` must be at most {width}, {of}, got {given}. Pass a smaller one.")
        return {"embedding_size": min(WIDTH, width)}

    def _check_student(self) -> TaskRows:
        """Return the student's rows; raise what is wrong with them, its options or its folder."""
        package = getLogger("hf_rnn")
        level = package.level
        # it is all said again when the student is trained
        package.setLevel(ERROR)
        try:
            return check_rows(self.task, self._student_options(FEWEST if self.augment is None else self.augment))
        finally:
            package.setLevel(level)

    def _check_test_rows(self) -> None:
        """Raise a DataError if the test rows are none."""
        kind = TASKS[self.task]
        rows = load_splits(files={"test": self.files["test_file"]})["test"]
        if not (kind.has_tags and holds_spans(rows, self.options.get("label_column_name"))):
            with Places({"test": self.files["test_file"]}).named():
                names = self.options.get("text_column_name"), self.options.get("label_column_name")
                LabelledRows.of_columns(rows, kind.has_tags, *names)

    def _test_rows(self, predictors: list[Predictor]) -> LabelledRows:
        names = self.options.get("text_column_name"), self.options.get("label_column_name")
        return LabelledRows.read(self.files["test_file"], predictors, *names)

    def _train_teacher(self, name: str, trained: str) -> None:
        """Train a teacher on the labelled rows, if it needs to be, and is not trained yet."""
        if trained == name:
            return
        folder = Path(trained)
        if was_trained(folder):
            logger.warning(f"The teacher in {folder} is taken as it is; remove the folder to train it again.")
        else:
            # it holds out the rows by which the student is judged: what a teacher has learnt by heart its student would know
            told = {**CHOICE, "do_eval": True, "model_name_or_path": name}
            train_by_options(self.task, {**told, **FINE_TUNING, **self._shared(folder)})


def _has_head(name: str) -> bool:
    return task_of((load_config(name).architectures or [""])[0]) is not None


def _add_to_card(path: Path, table: str) -> None:
    """Write the comparison as the last chapter of a card, in place of one that is there."""
    before = path.read_text(encoding="utf-8").partition(f"\n{CHAPTER}\n")[0] if path.is_file() else ""
    with written_whole(path) as file:
        file.write(f"{before.rstrip()}\n\n{CHAPTER}\n\n{table}")


def compare(predictors: dict[str, Predictor], read: Any) -> dict[str, dict[str, float]]:
    """Return for each model its score on the test rows, its size, its speed, and how often it agrees with the teacher.

    Args:
        predictors (`dict`): "student", and "teacher" if it answers by itself.
        read (`Callable`): Returns the test rows for predictors.
    """
    rows = read(list(predictors.values()))
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


def describe(table: dict[str, dict[str, float]]) -> str:
    """Return lines as a table in Markdown."""
    rows = []
    for model, values in table.items():
        costs = {name: value for name, value in values.items() if name in COSTS}
        rows.append([model, *(f"{value:.4f}" for name, value in values.items() if name not in COSTS), *describe_costs(costs)])
    return to_markdown(["", *next(iter(table.values()))], rows)
