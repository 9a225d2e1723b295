"""A page that shows texts with the spans of the data and those of a model, in one file that needs no network."""

import html
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from ..tasks.span_scores import Span, SpanCounts

# more texts than anybody reads make a page slow
MOST_TEXTS = 1000
STYLE = """
body { font: 16px/1.9 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; background: #fff }
article { border-top: 1px solid #ddd; padding: .6rem 0 }
p { margin: .2rem 0; white-space: pre-wrap; overflow-wrap: anywhere }
p::before { content: attr(data-name); display: inline-block; width: 4rem; color: #777; font-size: .8rem }
mark { padding: .15em .3em; border-radius: .3em; color: #111 }
mark small { font-size: .65em; font-weight: bold; margin-left: .4em; vertical-align: middle }
mark.wrong { outline: 2px solid #c00 }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; line-height: 1.4 }
"""


def write_span_report(
    path: Path, title: str, texts: Sequence[str], gold: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]
) -> None:
    """Write the page: scores, then texts with their spans in colour, those with most errors first.

    Args:
        path (`Path`): File to write.
        title (`str`): Says what is shown.
        texts (`Sequence`): Texts.
        gold (`Sequence`): Spans of each in the data.
        found (`Sequence`): Spans of each that the model found.
    """
    labels = sorted({label for spans in (*gold, *found) for _, _, label in spans})
    # the golden angle keeps neighbours apart
    colours = {label: f"hsl({137.5 * index % 360:.0f} 75% 82%)" for index, label in enumerate(labels)}
    errors = [len(set(expected) ^ set(given)) for expected, given in zip(gold, found, strict=True)]
    order = sorted(range(len(texts)), key=lambda index: -errors[index])
    parts = []
    for index in islice(order, MOST_TEXTS):
        expected, given = gold[index], found[index]
        shown = [("data", expected, given), ("model", given, expected)] if errors[index] else [("both", expected, given)]
        lines = [f'<p data-name="{name}">{_draw(texts[index], spans, set(others), colours)}</p>' for name, spans, others in shown]
        parts.append(f"<article>{''.join(lines)}</article>")
    wrong = sum(count > 0 for count in errors)
    summary = f"{wrong} of {len(texts)} texts differ, those with most differences first; what only one of the two has is framed."
    if len(texts) > MOST_TEXTS:
        summary += f" The first {MOST_TEXTS} of them are shown."
    table = html.escape(SpanCounts.count(gold, found).report())
    head = f'<!doctype html><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    path.write_text(f"{head}<h1>{html.escape(title)}</h1><p>{summary}</p><pre>{table}</pre>" + "\n".join(parts), encoding="utf-8")


def _draw(text: str, spans: Sequence[Span], others: set[Span], colours: dict[str, str]) -> str:
    """Return a text as HTML with its spans marked, and those that are not among the others framed."""
    parts, place = [], 0
    for start, end, label in spans:
        kind = "" if (start, end, label) in others else ' class="wrong"'
        name = html.escape(label)
        mark = f'<mark{kind} style="background:{colours[label]}">{html.escape(text[start:end])}<small>{name}</small></mark>'
        parts += [html.escape(text[place:start]), mark]
        place = end
    return "".join([*parts, html.escape(text[place:])])
