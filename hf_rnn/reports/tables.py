"""Tables that read well in a terminal and in Markdown."""

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
