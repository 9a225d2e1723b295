"""What a run promises of the answers of its model."""

from dataclasses import asdict

import numpy as np
from transformers.utils import logging

from ..arguments import LabelledTrainingArguments
from ..evaluation.promises import CONFIDENCE, Promise, answers_needed, answers_to_show, find_promise
from ..tasks.report import ScoredAnswers
from ..tasks.task import Task
from .trainer import RnnTrainer

logger = logging.get_logger(__name__)


def check_promise(task: Task, training: LabelledTrainingArguments) -> None:
    """Raise a ValueError if a promise is asked for that rows, or the task, have nothing to find it by."""
    if training.promise is None:
        return
    if not (training.do_train and training.do_eval):
        raise ValueError("`promise` is found on validation rows once a model is trained. Pass --do_train --do_eval, or leave it out.")
    if not task.can_promise:
        raise ValueError("`promise` is there for one label a row and for spans, not for several labels or numbers. Leave --promise out.")


def promise(trainer: RnnTrainer, precision: float, answers: ScoredAnswers, what: str) -> Promise | None:
    """Find the threshold that a precision can be promised for, save it in the checkpoint, and say it; or say what is lacking.

    Args:
        trainer (`RnnTrainer`): After training; its folder is written to.
        precision (`float`): What is to be promised.
        answers (`ScoredAnswers`): Those to the validation rows.
        what (`str`): What is answered, "rows" or "spans".
    """
    found = find_promise(answers, precision)
    if found is None:
        logger.warning(_lacking(answers, precision, what))
        return None
    trainer.model.config.promise = asdict(found)
    trainer.save_model(_internal_call=True)
    if trainer.is_world_process_zero():
        shown = f"{found.confidence:.0%} confidence, {found.rows:,} validation {what}"
        print(f"Promise: answers {found.answered:.0%} of {what}; of those at least {100 * precision:.4g}% are right ({shown}).")
    return found


def keep(promised: Promise, answers: ScoredAnswers) -> dict[str, float]:
    """Return how many answers to other rows are given, and how many of those are right; only the first where none is."""
    given = answers.scores >= promised.threshold
    if not given.any():
        return {"answered": 0.0}
    return {"answered": float(given.mean()), "answered_precision": float(answers.right[given].mean())}


def _lacking(answers: ScoredAnswers, precision: float, what: str) -> str:
    """Return why nothing can be promised, and how many validation rows it would take."""
    count, least = len(answers.scores), answers_needed(precision)
    remedy = "Pass more by --validation_file or --validation_share, or a lower --promise."
    if count < least:
        needed = f"{100 * precision:.4g}% takes {least:,} validation {what} at least, all of them right"
        return f"No promise: {needed}, and there are {count:,}. {remedy}"
    # of the half that the model is surest of
    share = float(answers.right[np.argsort(-answers.scores, kind="stable")[: (count + 1) // 2]].mean())
    seen = f"No promise: {count:,} validation {what} do not show {100 * precision:.4g}% with {CONFIDENCE:.0%} confidence"
    more = answers_to_show(precision, share)
    if more is None:
        return f"{seen}: of the surer half {share:.3f} are right. Pass a lower --promise."
    return f"{seen}. It takes about {max(2 * more, count + 1):,}, as {share:.3f} of the surer half are right. {remedy}"
