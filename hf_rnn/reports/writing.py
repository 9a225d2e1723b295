"""Write what a run leaves to look at."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers.utils import logging

from ..data.writing import written_whole
from ..tasks.report import Report
from .mistake_report import write_mistake_report
from .plots import plot_confusion_matrix
from .span_report import write_span_report

logger = logging.get_logger(__name__)


def write_report(report: Report, folder: Path, split: str) -> None:
    """Write predictions, and what there is of scores of each label, pictures and pages.

    Args:
        report (`Report`): What there is to say.
        folder (`Path`): Folder of the run.
        split (`str`): Which split was predicted.
    """
    write_jsonl(folder / "predictions.jsonl", report.predictions)
    if report.scores is not None:
        with optional("The report"):
            (folder / "report.txt").write_text(f"{split}\n\n{report.scores()}", encoding="utf-8")
    title = f"{folder.resolve().name}: {split}"
    if report.answered is not None and report.scores is not None:
        with optional("The page of mistakes"):
            write_mistake_report(folder / "report.html", title, report.answered(), report.scores())
    if report.spans is not None:
        with optional("The report of spans"):
            write_span_report(folder / "report.html", title, report.spans.texts, report.spans.gold, report.spans.found)
    if report.confusion is not None:
        with optional("The confusion matrix"):
            confusion = report.confusion
            plot_confusion_matrix(confusion.references, confusion.answers, confusion.labels, folder / "confusion_matrix.png")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    with written_whole(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Let what adorns a trained model fail with a warning: the model and its predictions are worth more."""
    try:
        yield
    except Exception as error:
        logger.warning(f"{what} could not be written, and the run goes on: {type(error).__name__}: {error}")
