"""Texts of none of the labels: what tells them is found on validation rows, saved, and measured."""

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..data.files.cells import as_text
from ..data.files.rows import TEXT_COLUMNS
from ..data.rows.splits import Splits, choose_column, iterate_cells, load_splits
from ..evaluation.outside import fit_outside, rows_needed
from ..models.outside import outside_numbers, outside_score
from ..models.packing import pad_batches
from ..tasks.decoding import OUTSIDE
from ..tasks.task import Task, TaskOptions
from .trainer import RnnTrainer

logger = logging.get_logger(__name__)

# of rows like the validation rows that may be taken for outside, where examples are given and no share is
USUAL_SHARE = 0.05


def asked_share(options: TaskOptions) -> float | None:
    """Return the share of rows of a label that may be taken for outside, or None where texts of no label are not to be told."""
    share = getattr(options.training, "outside", None)
    return USUAL_SHARE if share is None and options.data.outside_file else share


def check_outside(task: Task, options: TaskOptions) -> None:
    """Raise a ValueError if texts of no label are to be told by what has nothing to find that by."""
    if asked_share(options) is None:
        return
    if not (options.training.do_train and options.training.do_eval):
        raise ValueError(
            "What tells texts of no label is found on validation rows once a model is trained. Pass --do_train --do_eval, or leave "
            "--outside and --outside_file out."
        )
    if task.has_tags or not task.can_promise:
        raise ValueError("`outside` and `outside_file` are there for classifiers of one label a row. Leave them out.")


def read_examples(path: str | None, options: TaskOptions, text_column: str) -> list[str]:
    """Return the texts of a file of examples of no label: of the column of the training texts, or a usual one.

    Raises:
        DataError: There is no such column, or a cell holds no text.
    """
    if path is None:
        return []
    rows = load_splits(files={"outside": path}, reading=options.data.reading)["outside"]
    column = choose_column(rows, "outside", None, (text_column, *TEXT_COLUMNS), "text_column_name")
    return [as_text(cell, f"{path}, row {index}") for index, cell in enumerate(iterate_cells(rows, column))]


def find_outside(
    trainer: RnnTrainer, task: Task, tokenizer: PreTrainedTokenizerBase, encoded: Splits, examples: list[str], share: float
) -> dict[str, np.ndarray]:
    """Find what tells texts of no label, save it in the checkpoint, and say how well; return which rows of splits are inside, (N,) each.

    Args:
        trainer (`RnnTrainer`): After training; its folder is written to.
        task (`Task`): What was learnt.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        encoded: Splits, the validation rows among them.
        examples (`list`): Texts of no label, if there are any.
        share (`float`): Of rows like the validation rows that may be taken for outside.
    """
    rows, model = encoded["validation"], trainer.model
    if len(rows) < rows_needed(share):
        needed = f"A share of {share:g} takes {rows_needed(share):,} validation rows at least, and there are {len(rows):,}"
        logger.warning(f"Texts of no label are not told: {needed}. Pass more by --validation_file or --validation_share.")
        return {}
    ids = tokenizer(examples, truncation=True, max_length=task.max_length, verbose=False)["input_ids"] if examples else []
    numbers = {split: _numbers(model.eval(), encoded[split]["input_ids"]) for split in ("validation", "test") if split in encoded}
    others = _numbers(model, ids) if ids else None
    fitted = fit_outside(numbers["validation"], share, model.config.num_labels, others)
    model.config.outside = fitted
    trainer.save_model(_internal_call=True)
    beyond = {name: outside_score(torch.from_numpy(each), fitted)[:, 0].numpy() >= OUTSIDE for name, each in numbers.items()}
    told = [f"{beyond['validation'].mean():.1%} of {len(rows):,} validation rows"]
    if others is not None:
        caught = outside_score(torch.from_numpy(others), fitted)[:, 0].numpy() >= OUTSIDE
        told.append(f"{caught.mean():.1%} of the {len(others):,} examples that it learnt from")
    if "test" in beyond:
        told.append(f"{beyond['test'].mean():.1%} of {len(beyond['test']):,} test rows")
    if trainer.is_world_process_zero():
        print(f"None of these labels: {', '.join(told)} are taken for outside (`outside` of {OUTSIDE} or more).")
    return {name: ~each for name, each in beyond.items()}


@torch.no_grad()
def _numbers(model: PreTrainedModel, rows: list[list[int]]) -> np.ndarray:
    """Return the numbers of rows of ids, (N, 2) or (N, 4)."""
    parts = []
    for ids, mask in pad_batches(rows):
        ids, mask = ids.to(model.device), mask.to(model.device)
        logits = model(input_ids=ids, attention_mask=mask).logits
        surprise = model.linear.read(ids, mask, is_judged=True)[1] if hasattr(model, "linear") else None
        parts.append(outside_numbers(logits, surprise).cpu())
    return torch.cat(parts).double().numpy()
