"""How far work is: a bar on a terminal, and where nobody watches, as in the log of a job, a line a minute."""

from time import monotonic
from types import TracebackType

from tqdm.auto import tqdm

# seconds without a line, after which work that nobody watches says how far it is
SILENCE = 60.0


class Progress:
    """Show how far work of a known amount is.

    Args:
        name (`str`): What is done.
        total (`int`): How much of it, in any unit.
    """

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.bar = tqdm(desc=name, total=total, unit_scale=True, unit="", dynamic_ncols=True, disable=None if total else True)
        self.done = 0
        self.began = self.told = monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def advance(self, amount: int) -> None:
        """Go on by so much of the work; without a bar say so from time to time."""
        self.bar.update(amount)
        self.done += amount
        now = monotonic()
        if self.bar.disable and now >= self.told + SILENCE and self.done < self.total:
            tqdm.write(f"{self.name}: {self.done / self.total:.0%}, {time_left(now - self.began, self.done, self.total)}")
            self.told = now


def time_left(seconds: float, done: int, total: int) -> str:
    """Return how long work takes that got so far in some seconds, in words."""
    left = seconds / done * (total - done)
    return f"{left:.0f} s left" if left < 90 else f"{left / 60:,.0f} min left"
