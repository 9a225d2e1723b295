"""Orders of training rows: batches of similar length, by a number of rows or of tokens."""

from collections.abc import Iterator

import numpy as np
from datasets import Dataset
from torch.utils.data import Sampler


class LengthGroupedSampler(Sampler[int]):
    """Shuffle rows so that those of one batch have similar lengths.

    Rows are shuffled, sorted by length within groups of `group_batches` batches, and the batches shuffled again. The order depends
    on the seed and the epoch alone, so every process and every resumed run finds the same one.

    Args:
        lengths (`ndarray`): Length of each row.
        batch_size (`int`): Rows in a batch, of all processes and accumulation steps together.
        seed (`int`): Seed.
        group_batches (`int`): Batches in a group; more of them make batches more even and less random.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, group_batches: int = 50) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.group_size = batch_size * group_batches
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; accelerate calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        rows = generator.permutation(len(self.lengths))
        groups = [rows[start : start + self.group_size] for start in range(0, len(rows), self.group_size)]
        ordered = np.concatenate([group[np.argsort(-self.lengths[group], kind="stable")] for group in groups] or [rows])
        batches = [ordered[start : start + self.batch_size] for start in range(0, len(ordered), self.batch_size)]
        # an incomplete batch stays last, or it would shift the borders of those behind it
        complete = len(ordered) // self.batch_size
        for index in [*generator.permutation(complete), *range(complete, len(batches))]:
            yield from batches[index].tolist()


class TokenBudgetSampler(Sampler[list[int]]):
    """Batches of rows of similar length whose padded size, rows times longest row, stays within a number of tokens.

    Every epoch sorts the rows by their lengths, each stretched by a random factor of up to 1 + `spread`, so that neighbours change,
    cuts the order where the budget asks for it even if all were stretched in full, and shuffles the batches. Their number is
    therefore that of every epoch, as schedules and resuming need it; the order depends on the seed and the epoch alone.

    Args:
        lengths (`ndarray`): Length of each row.
        max_tokens (`int`): Tokens in a batch, padding included.
        seed (`int`): Seed.
        rank (`int`): This process.
        world_size (`int`): Processes; each takes every `world_size`-th batch, and the first batches again where they run out.
        spread (`float`): How much lengths in a batch may differ.

    Raises:
        ValueError: A row is longer than the budget.
    """

    def __init__(self, lengths: np.ndarray, max_tokens: int, seed: int, rank: int = 0, world_size: int = 1, spread: float = 0.1) -> None:
        self.lengths = np.asarray(lengths)
        self.seed, self.rank, self.world_size, self.spread, self.epoch = seed, rank, world_size, spread, 0
        longest = int(self.lengths.max(initial=0))
        if longest > max_tokens:
            raise ValueError(
                f"`max_tokens_per_batch` is {max_tokens}, and a row has {longest} tokens. Raise it, or pass a smaller --max_length."
            )
        self.borders = [0]
        ordered = np.sort(self.lengths)[::-1]
        while self.borders[-1] < len(ordered):
            start = self.borders[-1]
            self.borders.append(min(start + max(1, int(max_tokens / max(ordered[start] * (1 + spread), 1))), len(ordered)))

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-(len(self.borders) - 1) // self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = np.argsort(-self.lengths * generator.uniform(1, 1 + self.spread, len(self.lengths)))
        batches = generator.permutation(len(self.borders) - 1)
        for index in np.resize(batches, len(self) * self.world_size)[self.rank :: self.world_size]:
            yield order[self.borders[index] : self.borders[index + 1]].tolist()


def row_lengths(dataset: Dataset) -> np.ndarray:
    """Return the number of `input_ids` of each row, read from the table's offsets."""
    column = dataset.select_columns("input_ids").with_format("arrow")[:]["input_ids"]
    lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    return np.concatenate(lengths) if lengths else np.zeros(0, dtype=np.int64)
