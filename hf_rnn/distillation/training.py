"""Train as options say, with a teacher if they name one."""

from collections.abc import Mapping
from typing import Any

from ..arguments import CONFIG_DEFAULTS, CardArguments, DataArguments, DistillationArguments, LabelledTrainingArguments, ModelArguments
from ..data.files.locations import Places
from ..options import make_options
from ..tasks.defaults import FILLED
from ..tasks.task import TaskOptions
from ..training.checkpoints import resume_point
from ..training.running import set_up
from ..training.train import TaskRows, TrainingResult, read_rows, train_task
from .teaching import Teaching

# all groups of options of a training on labelled rows
GROUPS = (DataArguments, ModelArguments, LabelledTrainingArguments, DistillationArguments, CardArguments)
# what their options are when they are left out
DEFAULTS = CONFIG_DEFAULTS | dict.fromkeys(FILLED, "by the number of rows")


def task_options(values: Mapping[str, Any]) -> tuple[TaskOptions, CardArguments, Teaching | None]:
    """Return what options by name ask for, checked, and the teacher that they name."""
    return bundle(*make_options(GROUPS, values))


def bundle(
    data: DataArguments,
    model: ModelArguments,
    training: LabelledTrainingArguments,
    distillation: DistillationArguments,
    card: CardArguments,
) -> tuple[TaskOptions, CardArguments, Teaching | None]:
    """Return groups of options as `train_task` takes them."""
    teacher = Teaching(distillation, model.embeddings_from) if distillation.teacher_name_or_path else None
    return TaskOptions(data, model, training, teacher is not None), card, teacher


def train_by_options(name: str, values: Mapping[str, Any]) -> TrainingResult:
    """Train as options by name say; see `train_task`.

    Raises:
        ValueError: Options or rows are wrong.
    """
    options, card, teacher = task_options(values)
    return train_task(name, options, card, teacher=teacher)


def check_rows(name: str, values: Mapping[str, Any]) -> TaskRows:
    """Return the rows of a training; raise what is wrong with them, its options or its folder, before anything expensive is done."""
    options, _, teacher = task_options(values)
    files = {"train": options.data.train_file, "validation": options.data.validation_file, "test": options.data.test_file}
    set_up(options.training, options.model, *files.values(), *(teacher.names if teacher else ()))
    places = Places(files)
    with places.named():
        rows = read_rows(name, options, places, teacher=teacher)
    resume_point(options.training)
    return rows
