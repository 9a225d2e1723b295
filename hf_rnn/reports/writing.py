"""Write what a run leaves to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.utils import logging

from ..data.files.writers import write_jsonl
from ..data.writing import write_whole
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
    write_jsonl(folder / "predictions.jsonl", lambda: report.predictions)
    title, scores = f"{folder.resolve().name}: {split}", None
    if report.scores is not None:
        with optional("The report"):
            scores = report.scores()
            write_whole(folder / "report.txt", f"{split}\n\n{scores}")
    if report.answered is not None and scores is not None:
        with optional("The page of mistakes"):
            write_mistake_report(folder / "report.html", title, report.answered(), scores)
    if report.spans is not None:
        with optional("The report of spans"):
            write_span_report(folder / "report.html", title, report.spans.texts, report.spans.gold, report.spans.found)
    if report.confusion is not None:
        with optional("The confusion matrix"):
            confusion = report.confusion
            plot_confusion_matrix(confusion.references, confusion.answers, confusion.labels, folder / "confusion_matrix.png", split)


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Let what adorns a trained model fail with a warning: the model and its predictions are worth more."""
    try:
        yield
    except Exception as error:
        logger.warning(f"{what} could not be written, and the run goes on: {type(error).__name__}: {error}")
