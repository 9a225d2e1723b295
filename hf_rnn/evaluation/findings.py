"""What is wrong with labelled rows, as a table and as a page in one file that needs no network."""

import html
from collections.abc import Iterator
from typing import Any

from ..reports.pages import page, table
from ..tasks.text_classification import MAX_LENGTH
from .checked_rows import Row
from .checking import JUDGED, Findings

FIELDS = (
    *("finding", "split", "where", "place", "label", "text", "suggested", "score", "likely"),
    *("other_split", "other_where", "other_label", "other_text"),
)
# more rows than anybody reads make a page slow
MOST_ROWS = 1000
# characters that are shown of a text that is too long
SHOWN = 300


def lines_of(findings: Findings) -> Iterator[dict[str, Any]]:
    """Return a dictionary with some of FIELDS for all that is answered otherwise and each pair of the same text."""
    for wrong in findings.wrong_labels:
        told = {"place": wrong.place, "label": wrong.given, "suggested": wrong.suggested, "score": f"{wrong.score:.4f}"}
        told["likely"] = "yes" if wrong.is_likely else "no"
        yield {"finding": findings.kind, **_cells(wrong.row), **told}
    for twins in findings.twins:
        second = {f"other_{name}": cell for name, cell in _cells(twins.second).items()}
        yield {"finding": twins.kind, **_cells(twins.first), **second, "score": f"{twins.similarity:.4f}"}
    for row, words in findings.too_long:
        yield {"finding": "too long", **_cells(row), "place": f"{words} words"}


def _cells(row: Row) -> dict[str, str]:
    return {"split": row.split, "where": row.where, "label": row.label, "text": row.text}


def accuracy_line(findings: Findings) -> str:
    """Return how often the model that judges agrees with the data."""
    what, told = "the training rows", "label"
    if findings.kind != "label":
        what, told = f"{findings.judged:,} {JUDGED[findings.kind]} of the training rows", "tag"
    return f"{findings.accuracy:.1%} of {what} have the {told} that a linear model of the others gives them."


def findings_page(findings: Findings) -> str:
    """Return the page: likely errors, texts that stand twice, and classes that are taken for each other."""
    likely = [each for each in findings.wrong_labels if each.is_likely]
    wrong = [
        (each.row.where, *([each.place] if each.place else []), each.given, each.suggested, f"{each.score:.3f}", each.row.text)
        for each in likely[:MOST_ROWS]
    ]
    twins = [
        (*(f"{row.split}, {row.where}: {row.label}: {row.text}" for row in (each.first, each.second)), f"{each.similarity:.2f}")
        for each in findings.twins[:MOST_ROWS]
    ]
    confused = [(label, answer, f"{count:,}", f"{count / size:.1%}") for label, answer, count, size in findings.confused]
    rows = ", ".join(f"{count:,} rows of {split}" for split, count in findings.counts.items())
    told = f"{rows}. {accuracy_line(findings)}"
    places = () if findings.kind == "label" else ("place",)
    parts = [
        f"<p>{html.escape(told)}</p>",
        _section(
            f"Labels that are likely errors ({len(likely):,})",
            "A model that has not seen the row gives its label little and another one much. The likeliest errors come first.",
            ("where", *places, "label", "suggested", "share given to the label", "text"),
            wrong,
        ),
        _section(
            f"Texts that stand twice ({len(findings.twins):,})",
            "With different labels one of them is wrong; in two splits the score says too much.",
            ("one", "the other", "similarity"),
            twins,
        ),
        _section(
            f"Texts that are too long ({len(findings.too_long):,})",
            f"A classifier reads {MAX_LENGTH} tokens unless --max_length says more, and these have more words: what is behind is lost.",
            ("where", "words", "label", "text"),
            [(f"{row.split}, {row.where}", f"{words:,}", row.label, row.text[:SHOWN]) for row, words in findings.too_long[:MOST_ROWS]],
        ),
        _section("Classes that are taken for each other", "By the same model.", ("label", "answered", "rows", "share"), confused),
    ]
    return page("Labelled rows, checked", "\n".join(parts))


def _section(title: str, words: str, header: tuple[str, ...], rows: list[Any]) -> str:
    """Return a table under a heading; of no rows the heading alone."""
    heading = f"<h2>{html.escape(title)}</h2>"
    has_texts = bool({"text", "the other"} & {*header})
    return f"{heading}<p>{html.escape(words)}</p>{table(header, rows, stacked=has_texts)}" if rows else heading
