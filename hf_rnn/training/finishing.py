"""How a run ends: its card, the push, and what is said."""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from transformers.trainer_utils import PredictionOutput

from ..arguments import CardArguments
from ..reports.writing import optional
from ..sharing.cards import write_card
from .appendix import SETTINGS, write_appendix
from .progress import summary
from .trainer import RnnTrainer


def finish(
    trainer: RnnTrainer,
    card: CardArguments,
    example: str,
    data: tuple[str, str],
    outputs: dict[str, PredictionOutput],
    *,
    task: str,
    metric: str,
    vectors_from: str | None = None,
) -> None:
    """Write the settings of a training and the card, push what the folder holds if the run is to, and say what there is.

    `data` is what `describe_data` returns.
    """
    folder = Path(trainer.args.output_dir)
    if trainer.is_world_process_zero():
        if trainer.args.do_train:
            with optional("The settings"):
                write_appendix(trainer, data, outputs)
        # the last file of a run that is whole
        with optional("The card"):
            write_card(
                trainer.model,
                folder,
                name=trainer.args.hub_model_id or folder.resolve().name,
                metrics={split: output.metrics or {} for split, output in outputs.items()},
                example=example,
                dataset=data[0],
                data=data[1],
                settings={name: getattr(trainer.args, name, None) for name in SETTINGS},
                task=task,
                metric=metric,
                vectors_from=vectors_from,
                **asdict(card),
            )
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    if trainer.args.do_train and trainer.is_world_process_zero():
        print("\n" + summary(trainer, outputs, task, example))


def choose_example(texts: Iterable[Any]) -> str:
    """Return the first short text without markup."""
    plain = (" ".join(text) if isinstance(text, list) else str(text) for text in islice(texts, 100))
    return next((text for text in plain if 8 <= len(text) <= 80 and text.isprintable() and "`" not in text), "")
