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

    The first piece of a unit says what the unit says. Others say `I-X` where it says `B-X` or `I-X`. White space is `O`, but `I-X`
    between two units of one span.

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
        # of each tag, the one that begins a span of its type and the one that goes on with it
        self.begin = [index[f"B-{split_tag(label)[1]}"] if label.startswith("I-") else place for place, label in enumerate(labels)]
        self.inside = [index[f"I-{split_tag(label)[1]}"] if label.startswith("B-") else place for place, label in enumerate(labels)]
        self.begins = [label.startswith("B-") for label in labels]

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
        begin, inside = (torch.tensor(values, device=scores.device) for values in (self.begin, self.inside))
        begins = torch.tensor(self.begins, device=scores.device)
        nothing = torch.tensor(self.nothing, device=scores.device, dtype=scores.dtype)
        # (B, T, C)
        lowest = scores.amin(2, keepdim=True) + LOW
        continued = torch.where(begins, lowest, torch.maximum(scores, scores.index_select(2, begin)))
        # (B, T): units up to here, the tag that would go on, the tag of the next unit
        starts = starts & ~special
        count, tags = starts.cumsum(1), scores.argmax(2)
        following = take_positions(tags, take_positions(Compaction.from_mask(starts).order, count.clamp(max=max(tags.shape[1] - 1, 0))))
        goes_on = (count > 0) & (count < starts.sum(1, keepdim=True)) & (inside[tags] == following) & (following != self.outside)
        spread = torch.where((starts | special).unsqueeze(2), scores, continued)
        return torch.where((spaces & ~goes_on).unsqueeze(2), nothing, spread)


class WordTags:
    """Let words that the stock pipeline takes apart say `I-X` from there on, where they say `B-X`, so that it joins them again.

    Where the vocabulary has no mark of continuations, the pipeline starts a word at every unknown piece, and at what follows a space; a
    mark of a word's start that is a piece of its own makes two words of one.

    Args:
        labels (`Sequence`): Names of the C tags.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        index = {label: place for place, label in enumerate(labels)}
        # of each tag that begins a span the one that goes on with it, and the other way round; of others themselves
        self.partner = list(range(len(labels)))
        self.begins = [label.startswith("B-") and f"I-{label[2:]}" in index for label in labels]
        for label in (label for label, begins in zip(labels, self.begins, strict=True) if begins):
            inside = index[f"I-{label[2:]}"]
            self.partner[index[label]], self.partner[inside] = inside, index[label]

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
        # (B, T, C)
        of_word = take_positions(scores, first)
        begins = torch.tensor(self.begins, device=scores.device)[of_word.argmax(2)]
        partner = torch.tensor(self.partner, device=scores.device)
        told = torch.where(begins.unsqueeze(2), of_word.index_select(2, partner), of_word)
        return torch.where(is_after.unsqueeze(2), told, scores)
