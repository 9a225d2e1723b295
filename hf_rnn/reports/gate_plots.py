"""Gates and states of a layer over the steps of a text as pictures: a few units to be read from afar, or maps of all."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .fonts import fonts_for

LONGEST_WORD = 12
# what is written on a picture, by its language; gates of a cell of one's own keep their names
WORDS = {
    "en": {},
    "ko": {
        "input gate": "입력 게이트",
        "forget gate": "망각 게이트",
        "output gate": "출력 게이트",
        "reset gate": "리셋 게이트",
        "update gate": "업데이트 게이트",
        "candidate": "후보",
        "cell": "셀 상태",
        "hidden": "은닉 상태",
        "forward": "앞에서 뒤로",
        "backward": "뒤에서 앞으로",
        "unit": "유닛",
        "units that vary most": "가장 많이 변하는 유닛",
        "unit of the layer": "층의 유닛",
    },
}


def plot_gates(trace: dict[str, Any], path: str | Path, units: int = 0, language: str = "en") -> Figure:
    """Draw what `trace_gates` returns: a map for each gate and state, units of the layer by steps of the text; return the figure.

    A few units are drawn as a column for each direction, the gates below each other over one axis of words; all of them as a row for each
    direction.

    Args:
        trace (`dict`): `text`, `units` and `directions`.
        path (`str`): Picture to write.
        units (`int`): How many units of each direction to draw, those whose hidden state varies most over the text; 0 for all in order.
        language (`str`): Language of titles: `"en"` or `"ko"`.
    """
    read = [trace["text"][start:end].strip() or "·" for start, end in trace["units"]]
    read = [word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…" for word in read]
    directions = [{name: values.numpy() for name, values in direction.items()} for direction in trace["directions"]]
    with fonts_for([*read, *WORDS[language].values()]):
        figure = _plot_few(directions, read, units, language) if units else _plot_all(directions, read, language)
        figure.savefig(path, dpi=120)
    return figure


def most_varied(hidden: np.ndarray, count: int) -> list[int]:
    """Return the units of hidden states (U, S) that vary most over U steps, by their standard deviation, the most varied first."""
    spread = hidden.std(0) if len(hidden) else np.zeros(hidden.shape[1])
    return np.argsort(-spread, kind="stable")[:count].tolist()


def _plot_few(directions: list[dict[str, np.ndarray]], read: list[str], units: int, language: str) -> Figure:
    """Draw some units so that they can be read from afar: time on one axis for all gates of a direction."""
    words, names = WORDS[language], list(directions[0])
    chosen = [most_varied(direction["hidden"], units) for direction in directions]
    width, height = max(5.0, 0.62 * len(read) + 1.9), 0.25 * len(chosen[0]) + 0.55
    figure = Figure(figsize=(width * len(directions), height * len(names) + 1.8), layout="constrained")
    title = words.get("units that vary most", "units that vary most")
    grid: Any = figure.subplots(len(names), len(directions), squeeze=False, sharex="col")
    for column, (direction, rows) in enumerate(zip(directions, chosen, strict=True)):
        for name, axis in zip(names, grid[:, column], strict=True):
            _draw_map(axis, name, direction[name][:, rows], 11)
            axis.set_title(words.get(name, name), fontsize=14)
            axis.set_yticks(range(len(rows)), list(map(str, rows)), fontsize=10)
            # between units and between steps
            axis.set_xticks(np.arange(1, len(read)) - 0.5, minor=True)
            axis.set_yticks(np.arange(1, len(rows)) - 0.5, minor=True)
            axis.grid(which="minor", color="white", linewidth=1.5)
            axis.tick_params(which="minor", length=0)
        axis.set_xticks(range(len(read)), read, rotation=35, ha="right", rotation_mode="anchor", fontsize=14, parse_math=False)
        way = ("forward", "backward")[column]
        heading = title if len(directions) == 1 else f"{words.get(way, way)}: {title}"
        grid[0, column].set_title(f"{heading}\n{words.get(names[0], names[0])}", fontsize=14)
    figure.supylabel(words.get("unit", "unit"), fontsize=14)
    return figure


def _plot_all(directions: list[dict[str, np.ndarray]], read: list[str], language: str) -> Figure:
    """Draw all units: a row of maps for each direction."""
    words, names = WORDS[language], list(directions[0])
    width = max(2.2, 0.22 * len(read) + 1.0)
    figure = Figure(figsize=(width * len(names), 3.2 * len(directions)), layout="constrained")
    for row, (direction, axes) in enumerate(zip(directions, figure.subplots(len(directions), len(names), squeeze=False), strict=True)):
        for name, axis in zip(names, axes, strict=True):
            _draw_map(axis, name, direction[name], 7)
            way = ("forward", "backward")[row]
            heading = words.get(name, name)
            axis.set_title(heading if len(directions) == 1 else f"{heading}, {words.get(way, way)}", fontsize=9)
            axis.set_xticks(range(len(read)), read, rotation=90, fontsize=7, parse_math=False)
            axis.tick_params(axis="y", labelsize=7)
        axes[0].set_ylabel(words.get("unit of the layer", "unit of the layer"), fontsize=8)
    return figure


def _draw_map(axis: Axes, name: str, values: np.ndarray, size: int) -> None:
    """Draw values (U, S) of one gate or state with their scale: gates are shares; states and candidates have a sign, and some no bound."""
    bound = float(max(1.0, abs(values).max(initial=0.0)))
    low, colours = (0.0, "Blues") if name.endswith("gate") else (-bound, "RdBu_r")
    image = axis.imshow(values.T, aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=bound)
    axis.figure.colorbar(image, ax=axis, shrink=0.8).ax.tick_params(labelsize=size)
