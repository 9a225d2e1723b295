"""What the commands share that learn from labelled rows."""

from ..arguments import CONFIG_DEFAULTS, CardArguments, DataArguments, DistillationArguments, LabelledTrainingArguments, ModelArguments
from ..distillation.teaching import Teaching
from ..options import parse_arguments
from ..tasks.defaults import FILLED
from ..tasks.registry import TASKS
from ..tasks.task import TaskOptions
from ..training.train import train_task

GROUPS = (DataArguments, ModelArguments, LabelledTrainingArguments, DistillationArguments, CardArguments)
DEFAULTS = CONFIG_DEFAULTS | dict.fromkeys(FILLED, "by the number of rows")


def run_training(name: str, argv: list[str] | None, description: str | None) -> dict[str, float]:
    """Read the options of a task, train as they say, and return the metrics of all splits."""
    options = parse_arguments(argv, description, *GROUPS, defaults=DEFAULTS, without=TASKS[name].without)
    data, model, training, distillation, card = options
    teacher = Teaching(distillation, model.embeddings_from) if distillation.teacher_name_or_path else None
    return train_task(name, TaskOptions(data, model, training, teacher is not None), card, teacher=teacher).metrics
