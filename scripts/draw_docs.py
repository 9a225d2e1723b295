"""Draw the pictures of the documentation from what the package computes: `python scripts/draw_docs.py` writes docs/images."""

from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

from hf_rnn import RnnConfig, RnnModel
from hf_rnn.models.crf import LinearChainCRF
from hf_rnn.models.packing import Packing

FOLDER = Path(__file__).parents[1] / "docs" / "images"
COLOURS = ["#3f51b5", "#e8710a", "#0b8043", "#8e24aa", "#c2185b"]
# the same bytes every time
matplotlib.rcParams.update({"svg.hashsalt": "hf_rnn", "svg.fonttype": "path", "font.size": 11})


def main() -> None:
    """Draw all pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for draw in (draw_units, draw_crf, draw_packing, draw_exactness):
        draw().savefig(FOLDER / f"{draw.__name__.removeprefix('draw_')}.svg", metadata={"Date": None}, bbox_inches="tight")


def box(axis: Axes, left: float, bottom: float, width: float, text: str, colour: str, solid: bool = False) -> None:
    """Draw a rounded box with text in it."""
    face = colour if solid else "white"
    axis.add_patch(FancyBboxPatch((left, bottom), width, 0.6, boxstyle="round,pad=0.02,rounding_size=0.1", ec=colour, fc=face, lw=1.5))
    axis.text(left + width / 2, bottom + 0.3, text, ha="center", va="center", color="white" if solid else "#222222")


def draw_units() -> Figure:
    """Draw how pieces become words, and words get tags."""
    words = [
        ("The", ["▁The"], "DET"),
        ("astronauts", ["▁astro", "naut", "s"], "NOUN"),
        ("waved", ["▁wave", "d"], "VERB"),
        (".", ["▁."], "PUNCT"),
    ]
    figure = Figure(figsize=(9, 3.6))
    axis = figure.subplots()
    left = 0.0
    for word, pieces, tag in words:
        width = 1.25 * len(pieces)
        middle = left + width / 2
        for index, piece in enumerate(pieces):
            box(axis, left + 1.25 * index + 0.06, 0, 1.13, piece, COLOURS[0])
            axis.annotate("", (middle, 1.4), (left + 1.25 * index + 0.62, 0.64), arrowprops={"arrowstyle": "-", "color": "#999999"})
        box(axis, middle - 0.56, 1.4, 1.12, "vector", COLOURS[0], solid=True)
        axis.annotate("", (middle, 2.78), (middle, 2.04), arrowprops={"arrowstyle": "->", "color": "#999999"})
        box(axis, middle - 0.5, 2.8, 1.0, tag, COLOURS[2], solid=True)
        axis.text(middle, -0.32, word, ha="center", va="center", style="italic", color="#555555")
        left += width
    for start, end in ((1.25, 2.5), (3.7, 5.6), (6.8, 7.5)):
        axis.annotate("", (end, 1.7), (start, 1.7), arrowprops={"arrowstyle": "<->", "color": COLOURS[1], "lw": 2})
    for height, name in ((0.3, "pieces"), (1.7, "words: LSTM, CRF"), (3.1, "tags")):
        axis.text(-0.3, height, name, ha="right", va="center", color="#222222")
    axis.set(xlim=(-2.6, left + 0.1), ylim=(-0.6, 3.5))
    axis.axis("off")
    return figure


def draw_crf() -> Figure:
    """Draw emissions beside max-marginals, each with its best tag of every word."""
    tags, words = ["O", "B-LOC", "I-LOC"], ["to", "New", "York", "today"]
    crf = LinearChainCRF(3)
    no = torch.zeros(3, 3, dtype=torch.bool)
    # from O to I-LOC
    no[0, 2] = True
    crf.forbid(torch.tensor([False, False, True]), torch.zeros(3, dtype=torch.bool), no)
    emissions = torch.tensor([[[2.0, 0.0, -1.0], [1.2, 1.0, 0.2], [0.3, 0.6, 1.6], [2.2, -0.5, 0.1]]])
    marginals = crf.max_marginals(emissions, torch.tensor([4]))
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    for axis, scores, title in zip(
        figure.subplots(1, 2),
        (emissions[0], marginals[0]),
        ("emissions: best tag of each word alone", "logits: max-marginals, best path of all"),
        strict=True,
    ):
        values = scores.detach().T
        axis.imshow(values - values.max(0).values, cmap="Blues", vmin=-4, vmax=0, aspect="auto")
        for column, row in enumerate(values.argmax(0).tolist()):
            axis.add_patch(matplotlib.patches.Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, ec=COLOURS[1], lw=3))
        for (row, column), value in (
            (place, float(values[place]))
            for place in torch.cartesian_prod(torch.arange(3), torch.arange(4)).unbind(0)
            for place in [tuple(place.tolist())]
        ):
            shown = f"{value:.1f}" if value > -100 else "forbidden"
            axis.text(
                column,
                row,
                shown,
                ha="center",
                va="center",
                color="white" if values[row, column] > values[:, column].max() - 1 else "black",
                fontsize=10,
            )
        axis.set_xticks(range(4), words)
        axis.set_yticks(range(3), tags)
        axis.set_title(title, fontsize=11)
        axis.tick_params(length=0)
    return figure


def draw_packing() -> Figure:
    """Draw which tokens of ragged rows run in which step."""
    lengths = torch.tensor([5, 2, 7, 3])
    packing = Packing.from_lengths(lengths)
    figure = Figure(figsize=(9, 2.9))
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.1})
    for row, length in enumerate(lengths.tolist()):
        for time in range(7):
            inside = time < length
            style = {"fc": COLOURS[row] if inside else "#eeeeee", "ec": "white", "lw": 2}
            left.add_patch(matplotlib.patches.Rectangle((time, 3 - row), 1, 1, **style))
            if not inside:
                left.text(time + 0.5, 3.5 - row, "pad", ha="center", va="center", color="#999999", fontsize=8)
    rows = packing.order[packing.rows].tolist()
    for time, (start, size) in enumerate(packing.steps):
        for index in range(start, start + size):
            place = (time, 3 - (index - start))
            right.add_patch(matplotlib.patches.Rectangle(place, 1, 1, fc=COLOURS[rows[index]], ec="white", lw=2))
            right.text(place[0] + 0.5, place[1] + 0.5, str(index), ha="center", va="center", color="white", fontsize=10)
    for axis, title in ((left, "a padded batch: 28 cells"), (right, "packed: 17 tokens in order of time, no padding")):
        axis.set(xlim=(0, 7), ylim=(0, 4), xlabel="step", title=title)
        axis.set_xticks([place + 0.5 for place in range(7)], [str(place) for place in range(7)])
        axis.set_yticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.title.set_fontsize(11)
    return figure


@torch.no_grad()
def draw_exactness() -> Figure:
    """Draw how far a row's outputs move with the padding beside it, in PyTorch's padded layer and in ours."""
    config = RnnConfig(vocab_size=50, embedding_size=32, hidden_size=64, num_hidden_layers=1)
    model = RnnModel(config).double().eval()
    stock = nn.LSTM(32, 32, bidirectional=True, batch_first=True).double()
    ids = torch.randint(1, 50, (1, 10))
    paddings = [0, 1, 2, 4, 8, 16, 32, 64]
    ours, padded = [], []
    for padding in paddings:
        wide, mask = nn.functional.pad(ids, (0, padding)), nn.functional.pad(torch.ones_like(ids), (0, padding))
        embedded = model.get_input_embeddings()(wide)
        ours.append((model(wide, mask).last_hidden_state[:, :10] - model(ids).last_hidden_state).abs().max().item())
        padded.append((stock(embedded)[0][:, :10] - stock(embedded[:, :10])[0]).abs().max().item())
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.plot(range(len(paddings)), padded, "s-", color=COLOURS[1], label="nn.LSTM on the padded batch")
    axis.plot(range(len(paddings)), ours, "o-", color=COLOURS[0], label="RnnModel")
    axis.set_yscale("symlog", linthresh=1e-16)
    axis.set_yticks([0, 1e-16, 1e-12, 1e-8, 1e-4, 1])
    axis.set_xticks(range(len(paddings)), [str(padding) for padding in paddings])
    axis.set(xlabel="padding after a row of 10 tokens", ylabel="largest change", ylim=(-1e-17, 10))
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


if __name__ == "__main__":
    main()
