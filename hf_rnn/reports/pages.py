"""What pages have in common: one file each that needs no network, for wide and narrow, light and dark screens."""

import html
import json
from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; --ink: #222; --pale: #666; --line: #ddd; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --pale: #aaa; --line: #444; --paper: #181818 } }
body { font: 16px/1.7 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
body { color: var(--ink); background: var(--paper) }
[hidden] { display: none !important }
h1 { font-size: 1.5rem; line-height: 1.3 } h2 { font-size: 1.2rem; margin-top: 2rem }
pre { padding: .8rem; overflow-x: auto; line-height: 1.4; border: 1px solid var(--line); border-radius: .3rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-top: 1px solid var(--line) }
th { color: var(--pale); font-weight: 600 }
mark { padding: .15em .3em; border-radius: .3em; color: #111 }
small, label { color: var(--pale) }
.scroll { overflow-x: auto }
@media (max-width: 40rem) {
  .stacked tr { display: flex; flex-wrap: wrap; gap: 0 .8rem; padding: .4rem 0; border-top: 1px solid var(--line) }
  .stacked th, .stacked td { border: 0; padding: 0; max-width: 100%; overflow-wrap: anywhere }
}
"""

# shows what has the label that is chosen
SCRIPT = """
const choice = document.querySelector("select");
choice.addEventListener("change", () => {
  for (const each of document.querySelectorAll("[data-labels]")) {
    each.hidden = choice.value !== "" && !JSON.parse(each.dataset.labels).includes(choice.value);
  }
});
"""


def page(title: str, body: str, style: str = "", script: str = "") -> str:
    """Return a page; `body` is HTML, `title` is not."""
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f'<meta charset="utf-8">{view}<title>{html.escape(title)}</title><style>{STYLE}{style}</style>'
    run = f"<script>{script}</script>" if script else ""
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n<h1>{html.escape(title)}</h1>\n{body}\n{run}</body></html>\n'


def of_labels(labels: Iterable[str]) -> str:
    """Return HTML for the tag of what `SCRIPT` is to show with any of some labels."""
    return f' data-labels="{html.escape(json.dumps(list(labels), ensure_ascii=False))}"'


def label_choice(labels: list[str], what: str = "Show") -> str:
    """Return a list to choose a label from, which `SCRIPT` acts on; `what` stands before it."""
    options = "".join(f'<option value="{html.escape(label)}">{html.escape(label)}</option>' for label in labels)
    return f'<p><label>{what} <select><option value="">every label</option>{options}</select></label></p>'


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], attributes: list[str] | None = None, stacked: bool = False) -> str:
    """Return a table of texts; `attributes` are HTML for the tag of each row; long `stacked` cells stand below each other on a phone."""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    more = attributes or [""] * len(rows)
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr{each}>{row}</tr>" for each, row in zip(more, cells, strict=True))
    kind = ' class="stacked"' if stacked else ""
    return f'<div class="scroll"><table{kind}><tr>{names}</tr>{body}</table></div>'
