"""A page that shows texts with the spans of the data and those of a model, in one file that needs no network."""

import html
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from ..data.writing import write_whole
from ..tasks.span_scores import Span, SpanCounts
from .pages import SCRIPT, label_choice, of_labels, page

# more texts than anybody reads make a page slow
MOST_TEXTS = 1000
STYLE = """
article { border-top: 1px solid var(--line); padding: .6rem 0 }
article p { display: flex; gap: .7rem; margin: .2rem 0; line-height: 1.9 }
article p > small { flex: 0 0 3.2rem }
article p > span { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 0 }
mark small { font-size: .65em; font-weight: bold; margin-left: .4em; vertical-align: middle; color: #333 }
mark.wrong { outline: 2px solid #c00 }
@media (min-width: 70rem) { article.long { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem } body { max-width: 80rem } }
"""
# letters from which on both versions of a text stand side by side, where there is room
LONG = 400


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
    colours = {label: f"hsl({137.5 * index % 360:.0f} 75% 86%)" for index, label in enumerate(labels)}
    errors = [len(set(expected) ^ set(given)) for expected, given in zip(gold, found, strict=True)]
    order = sorted(range(len(texts)), key=lambda index: -errors[index])
    parts = []
    for index in islice(order, MOST_TEXTS):
        expected, given = gold[index], found[index]
        shown = [("data", expected, given), ("model", given, expected)] if errors[index] else [("both", expected, given)]
        lines = [
            f"<p><small>{name}</small><span>{_draw(texts[index], spans, set(others), colours)}</span></p>" for name, spans, others in shown
        ]
        named = of_labels(sorted({label for _, _, label in set(expected) ^ set(given)}))
        kind = ' class="long"' if len(texts[index]) > LONG and errors[index] else ""
        parts.append(f"<article{kind}{named}>{''.join(lines)}</article>")
    wrong = sum(count > 0 for count in errors)
    missed, spurious = (
        sum(len(set(one) - set(other)) for one, other in zip(*pair, strict=True)) for pair in ((gold, found), (found, gold))
    )
    summary = f"{wrong} of {len(texts)} texts differ, those with most differences first; what only one of the two has is framed. "
    summary += f"The model misses {missed:,} spans, and finds {spurious:,} that the data does not have."
    if len(texts) > MOST_TEXTS:
        summary += f" The first {MOST_TEXTS} of the texts are shown."
    body = f"<p>{summary}</p><pre>{html.escape(SpanCounts.count(gold, found).report())}</pre>"
    choice = label_choice(labels, "Show differences in") if wrong else ""
    write_whole(path, page(title, body + choice + "\n".join(parts), STYLE, SCRIPT if wrong else ""))


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
