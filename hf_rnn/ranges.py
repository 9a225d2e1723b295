"""Ranges of numbers, as options declare them and as checks and help texts read them."""

from dataclasses import dataclass
from math import inf, isfinite


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Args:
        text (`str`): In the notation of mathematics: `"[0, 1)"` holds 0 and not 1; `inf` is no bound, and never a member.

    Raises:
        ValueError: The text is no interval.
    """

    text: str

    def __post_init__(self) -> None:
        self._bounds()

    def _bounds(self) -> tuple[float, float]:
        low, separator, high = self.text[1:-1].partition(",")
        if self.text[:1] not in ("[", "(") or self.text[-1:] not in ("]", ")") or not separator:
            raise ValueError(f"`text` must be an interval such as '[0, 1)', got {self.text!r}.")
        return float(low), float(high)

    def __contains__(self, value: float) -> bool:
        low, high = self._bounds()
        above = value >= low if self.text[0] == "[" else value > low
        return (isinstance(value, int) or isfinite(value)) and above and (value <= high if self.text[-1] == "]" else value < high)

    def __str__(self) -> str:
        low, high = self._bounds()
        lower = f"{'at least' if self.text[0] == '[' else 'above'} {low:g}" if low > -inf else ""
        upper = f"{'at most' if self.text[-1] == ']' else 'below'} {high:g}" if high < inf else ""
        return " and ".join(filter(None, (lower, upper))) or "finite"
