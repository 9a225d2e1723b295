"""A page of the texts that a classifier answers otherwise than the data."""

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..data.writing import write_whole
from ..tasks.report import Answered
from .pages import SCRIPT, label_choice, of_labels, page, table

# more rows than anybody reads make a page slow
MOST_ROWS, MOST_PAIRS = 1000, 10


def write_mistake_report(path: Path, title: str, answered: Sequence[Answered], scores: str) -> None:
    """Write the page: which labels are taken for which, mistakes, those that the model is surest of first, and scores.

    Args:
        path (`Path`): File to write.
        title (`str`): Says what is shown.
        answered (`Sequence`): All rows.
        scores (`str`): Table of the scores of each label.
    """
    mistakes = sorted((each for each in answered if each.label != each.answer), key=lambda each: -each.score)
    pairs = Counter((each.label, each.answer) for each in mistakes)
    sizes = Counter(each.label for each in answered)
    often = [(label, answer, f"{count:,}", f"{count / sizes[label]:.1%}") for (label, answer), count in pairs.most_common(MOST_PAIRS)]
    summary = f"{len(mistakes):,} of {len(answered):,} rows have another label in the data than the model gives them. "
    if mistakes:
        summary += "Those that the model is surest of come first: among them are the errors of the data."
    if len(mistakes) > MOST_ROWS:
        summary += f" The first {MOST_ROWS:,} are shown."
    shown = mistakes[:MOST_ROWS]
    rows = [(each.label, each.answer, f"{each.score:.3f}", each.text) for each in shown]
    named = [of_labels([each.label, each.answer]) for each in shown]
    labels = sorted({label for each in shown for label in (each.label, each.answer)})
    parts = [
        f"<p>{html.escape(summary)}</p>",
        "<h2>Taken for each other</h2>" + table(("label", "answer", "rows", "share of the label"), often) if often else "",
        "<h2>Mistakes</h2>" + label_choice(labels) + table(("label", "answer", "score", "text"), rows, named, stacked=True) if rows else "",
        f"<h2>Scores of each label</h2><pre>{html.escape(scores)}</pre>",
    ]
    write_whole(path, page(title, "\n".join(parts), script=SCRIPT if rows else ""))
