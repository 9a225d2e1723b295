"""What the commands share that learn from labelled rows."""

from ..distillation.training import DEFAULTS, GROUPS, bundle
from ..options import parse_arguments
from ..tasks.registry import TASKS
from ..training.train import train_task


def run_training(name: str, argv: list[str] | None, description: str | None) -> dict[str, float]:
    """Read the options of a task, train as they say, and return the metrics of all splits."""
    groups = parse_arguments(argv, description, *GROUPS, defaults=DEFAULTS, without=TASKS[name].without)
    options, card, teacher = bundle(*groups)
    return train_task(name, options, card, teacher=teacher).metrics
