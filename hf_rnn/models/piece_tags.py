"""What pieces say, given the tags of words or of units of raw text: pieces that continue one, and white space between units."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .masked import Compaction, take_positions
from .tags import check_scheme, split_tag

# a score that softmax makes nothing of
LOW = -30.0


class PieceTags:
    """Spread scores of units over their pieces so that grouping `B-` and `I-` pieces gives the spans of the units.

    The first piece of a unit says what the unit says. Others say `I-X` where it says `B-X` or `I-X`, with the same probability. White
    space is `O`, but `I-X` between two units of one span.

    Args:
        labels (`Sequence`): Names of the C tags, of the BIO scheme, "O" among them.

    Raises:
        ValueError: A label is of another scheme, or one is lacking.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        check_scheme(labels, "bio")
        index = {label: place for place, label in enumerate(labels)}
        needed = ["O", *(f"{prefix}-{split_tag(label)[1]}" for label in labels if label != "O" for prefix in "BI")]
        if lacking := [label for label in needed if label not in index]:
            raise ValueError(
                f"A tagger of raw text needs the label {lacking[0]!r} beside {list(labels)[:20]}. Add it, or leave `units` out."
            )
        self.outside = index["O"]
        self.nothing = [0.0 if label == "O" else LOW for label in labels]
        self.partner, self.begins = partners(labels)
        # of each tag, the one that goes on with a span of its type
        self.inside = [other if begins else place for place, (other, begins) in enumerate(zip(self.partner, self.begins, strict=True))]

    def spread(self, scores: Tensor, starts: Tensor, special: Tensor, spaces: Tensor) -> Tensor:
        """Return scores of all positions.

        Args:
            scores (`Tensor`): Of all positions, those of a unit at each of its pieces, (B, T, C).
            starts (`Tensor`): True at the first piece of a unit, (B, T), and perhaps of what is special.
            special (`Tensor`): True at special tokens, which keep their scores, and where there is nothing, (B, T).
            spaces (`Tensor`): True at white space, (B, T).

        Returns:
            `Tensor`: (B, T, C).
        """
        inside = torch.tensor(self.inside, device=scores.device)
        nothing = torch.tensor(self.nothing, device=scores.device, dtype=scores.dtype)
        # (B, T, C)
        continued = go_on(scores, self.partner, self.begins)
        # (B, T): units up to here, the tag that would go on, the tag of the next unit
        starts = starts & ~special
        count, tags = starts.cumsum(1), scores.argmax(2)
        following = take_positions(tags, take_positions(Compaction.from_mask(starts).order, count.clamp(max=max(tags.shape[1] - 1, 0))))
        goes_on = (count > 0) & (count < starts.sum(1, keepdim=True)) & (inside[tags] == following) & (following != self.outside)
        spread = torch.where((starts | special).unsqueeze(2), scores, continued)
        return torch.where((spaces & ~goes_on).unsqueeze(2), nothing, spread)


def partners(labels: Sequence[str]) -> tuple[list[int], list[bool]]:
    """Return of each tag that begins a span the one that goes on with it and the other way round, of others themselves; and which begin."""
    index = {label: place for place, label in enumerate(labels)}
    begins = [label.startswith("B-") and f"I-{label[2:]}" in index for label in labels]
    partner = list(range(len(labels)))
    for label in (label for label, is_begin in zip(labels, begins, strict=True) if is_begin):
        inside = index[f"I-{label[2:]}"]
        partner[index[label]], partner[inside] = inside, index[label]
    return partner, begins


def go_on(scores: Tensor, partner: list[int], begins: list[bool]) -> Tensor:
    """Return scores (B, T, C) in which `I-X` is as likely as `B-X` was where that is the best, and the other way round."""
    is_begin = torch.tensor(begins, device=scores.device)[scores.argmax(2)]
    return torch.where(is_begin.unsqueeze(2), scores.index_select(2, torch.tensor(partner, device=scores.device)), scores)


class WordTags:
    """Let words that the stock pipeline takes apart say `I-X` from there on, where they say `B-X`, so that it joins them again.

    Where the vocabulary has no mark of continuations, the pipeline starts a word at every unknown piece, and at what follows a space; a
    mark of a word's start that is a piece of its own makes two words of one.

    Args:
        labels (`Sequence`): Names of the C tags.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.partner, self.begins = partners(labels)

    def join(self, scores: Tensor, ids: Tensor, starts: Tensor, special: Tensor, mark: int | None, unknown: int | None) -> Tensor:
        """Return scores of all positions, (B, T, C).

        Args:
            scores (`Tensor`): Of all positions, (B, T, C); those of a word stand at its first piece.
            ids (`Tensor`): Pieces, (B, T).
            starts (`Tensor`): True at the first piece of a word, (B, T), and perhaps of what is special.
            special (`Tensor`): True at special tokens and where there is nothing, (B, T).
            mark (`int`, *optional*): Piece that is nothing but a mark of a word's start.
            unknown (`int`, *optional*): Unknown piece.
        """
        starts = starts & ~special
        # (B, T): how many words begin up to here, and where the word at hand does
        count = starts.cumsum(1)
        first = take_positions(Compaction.from_mask(starts).order, (count - 1).clamp(min=0))
        after_mark = (ids == mark).roll(1, 1) & starts.roll(1, 1) if mark is not None else torch.zeros_like(starts)
        is_unknown = ids == unknown if unknown is not None else torch.zeros_like(starts)
        broken = ((after_mark | is_unknown) & ~starts & ~special & (count > 0)).cumsum(1)
        is_after = (broken > take_positions(broken, first)) & ~special
        told = go_on(take_positions(scores, first), self.partner, self.begins)
        return torch.where(is_after.unsqueeze(2), told, scores)
