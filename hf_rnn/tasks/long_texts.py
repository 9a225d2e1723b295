"""Texts that are longer than what a model reads at a time: read whole, by windows that overlap, in memory that does not grow with them."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.configuration_rnn import LONG_TEXTS

# windows of a classifier begin so many of their pieces before the end of the one before: one in
OVERLAP = 8
# pieces that a tagger reads at a time, those that windows of longer texts answer for, and those that they read before and behind
WHOLE, CORE, MARGIN = 4096, 1024, 128
# of what is read before and behind so much stays unasked, wherever two windows are joined
LEAST_MARGIN = MARGIN // 2


def check_long_texts(value: str | None) -> None:
    """Raise a ValueError if a value is no way of reading long texts."""
    if value is not None and value not in LONG_TEXTS:
        raise ValueError(f"`long_texts` must be one of {LONG_TEXTS}, got {value!r}. Pass another --long_texts.")


def pool_windows(logits: Tensor, counts: Sequence[int], sizes: Tensor) -> Tensor:
    """Return what the windows of each text say together: the mean of their logits, weighed by what they read.

    Args:
        logits (`Tensor`): (W, C), those of a text side by side.
        counts (`Sequence`): Windows of each text, at least one.
        sizes (`Tensor`): Pieces of each window, (W,).

    Returns:
        `Tensor`: (B, C); of a text with one window what that says.
    """
    if len(logits) == len(counts):
        return logits
    # (W,)
    owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    weights = sizes.clamp(min=1).to(logits.dtype)
    total = logits.new_zeros(len(counts)).index_add(0, owner, weights)
    # shares rather than sums, so that one window alone is left as it is
    return logits.new_zeros(len(counts), logits.shape[1]).index_add(0, owner, logits * (weights / total[owner]).unsqueeze(1))


@dataclass(frozen=True)
class Window:
    """A stretch of a text that a tagger reads at once, in pieces.

    Attributes:
        start, stop (`int`): What is read.
        begin, end (`int`): What it answers for, as long as nothing says that a span crosses these borders.
    """

    start: int
    stop: int
    begin: int
    end: int


def tag_windows(cuts: Sequence[int], length: int) -> list[Window]:
    """Return the windows of a text of `length` pieces that may be cut before those of `cuts`, which ascend."""
    borders = [0]
    while length - borders[-1] > CORE + MARGIN:
        place = bisect_right(cuts, borders[-1] + CORE) - 1
        if place < 0 or cuts[place] <= borders[-1]:
            # a word that is longer than a window
            place += 1
        if place >= len(cuts):
            break
        borders.append(cuts[place])
    windows = []
    for begin, end in zip(borders, [*borders[1:], length], strict=True):
        before, behind = bisect_right(cuts, begin - MARGIN) - 1, bisect_left(cuts, end + MARGIN)
        start = cuts[before] if begin and before >= 0 else 0
        windows.append(Window(start, cuts[behind] if behind < len(cuts) else length, begin, end))
    return windows


def join_windows(rows: Sequence[Tensor], windows: Sequence[Window], cuts: Sequence[int], inside: Tensor) -> Tensor:
    """Return the outputs of a whole text from those of its windows, each of which two answer for from one: no span is cut.

    Two windows are joined at the place nearest to the middle of what both read where they say the same, and not that a span goes on; if a
    span is longer than that, in the middle, where both are inside it.

    Args:
        rows (`Sequence`): Outputs of each window, (stop - start, C).
        windows (`Sequence`): The windows, in order.
        cuts (`Sequence`): Places where the text may be cut, which ascend.
        inside (`Tensor`): Which labels go on with a span, (C,).
    """
    parts, begin = [], 0
    for index, (row, window) in enumerate(zip(rows, windows, strict=True)):
        end = window.end
        if index + 1 < len(windows):
            after, following = windows[index + 1], rows[index + 1]
            low, high = bisect_left(cuts, max(begin, end - LEAST_MARGIN)), bisect_right(cuts, min(window.stop - 1, end + LEAST_MARGIN))
            for place in sorted(cuts[low:high], key=lambda place: abs(place - window.end)):
                label = row[place - window.start].argmax()
                if not inside[label] and label == following[place - after.start].argmax():
                    end = place
                    break
        parts.append(row[begin - window.start : end - window.start])
        begin = end
    return torch.cat(parts)
