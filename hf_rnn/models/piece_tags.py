"""What the pieces of raw text say, given the tags of its units: pieces that continue a unit, and white space between units."""

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
