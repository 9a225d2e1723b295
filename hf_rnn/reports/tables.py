"""Tables that read well in a terminal and in Markdown, and tables for papers."""

from collections.abc import Sequence

from ..data.visible import visible


def to_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with columns of even width, the first to the left, numbers to the right; bars of cells and what is not to be seen are
    spelt out.
    """
    lines = [[visible(cell).replace("|", "\\|") for cell in line] for line in (header, *rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    told = [
        [cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(zip(line, widths, strict=True))]
        for line in lines
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (told[0], rule, *told[1:])) + "\n"


# what LaTeX would take for something else
SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$",
    **{each: "\\" + each for each in "&%$#_{}"},
})  # fmt: skip


def to_latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Return a table for LaTeX with the rules of its package booktabs, to be taken in by `\input`."""
    lines = [" & ".join(visible(cell).translate(SPECIAL) for cell in line) + r" \\" for line in (header, *rows)]
    body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return (
        "\n".join([r"% needs \usepackage{booktabs}", rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", *body, r"\end{tabular}"]) + "\n"
    )
