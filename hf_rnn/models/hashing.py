"""Hashes of units by the ids of their pieces, and vectors that are found by them."""

from collections import Counter

import torch
from torch import Tensor, nn

# sorts behind every hash
UNUSED_KEY = torch.iinfo(torch.int64).max
# powers of the hash's base modulo 2^64, from the first on
POWERS = torch.full((1024,), 0x5851F42D4C957F2D).cumprod(0).tolist()
# made once: reading the list takes as long as all else that a sentence needs
_TABLE = torch.tensor(POWERS, device="cpu")


def powers_at(places: Tensor) -> Tensor:
    """Return the power of the base for each place (...); places beyond the last count as that."""
    # a graph holds no tensors of ours
    table = torch.tensor(POWERS, device=places.device) if torch.compiler.is_compiling() else _TABLE.to(places.device)
    return table[places.clamp(0, len(POWERS) - 1)]


def hash_pieces(ids: Tensor, place: Tensor) -> Tensor:
    """Return what each piece adds to the hash of its unit, given its place there, see `powers_at`."""
    mixed = (ids + 1) * 0x2545F4914F6CDD1D
    mixed = (mixed ^ (mixed >> 29)) * 0x369DEA0F31A53F85
    return mixed * powers_at(place)


def finish_hash(hashes: Tensor) -> Tensor:
    """Return 63-bit hashes of sums of `hash_pieces`: a polynomial of mixed ids, modulo 2^64."""
    return (hashes ^ (hashes >> 31)) & UNUSED_KEY


def hash_ngrams(hashes: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Return hashes (3, ...) of each unit (...) with the one before it, with the one after it, and with both."""
    left, right = before * POWERS[1] + hashes * POWERS[2] + 1, hashes * POWERS[3] + after * POWERS[4] + 2
    return torch.stack([finish_hash(key * POWERS[5]) for key in (left, right, left * POWERS[6] + right)])


def find_distinct(hashes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first (D,) of each group of units with the same hash (U,), and the group of each unit (U,).

    Units of so many pieces, `lengths` (U,), that their hash forgets the order of some are all kept apart.
    """
    index = torch.arange(len(hashes), device=hashes.device)
    if bool((lengths > len(POWERS)).any()):
        return index, index
    found, group = torch.unique(hashes, return_inverse=True)
    return index.new_full((len(found),), len(hashes)).scatter_reduce(0, group, index, "amin"), group


def fill_keys(keys: Tensor, counts: Counter[int], min_frequency: int) -> int:
    """Write the hashes that occur most often into a buffer, sorted; return their number."""
    # the order of equal counts must not depend on that of the rows
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    chosen = [key for key, count in ranked[: len(keys)] if count >= min_frequency]
    keys.fill_(UNUSED_KEY)
    keys[: len(chosen)] = torch.tensor(sorted(chosen), dtype=torch.int64)
    return len(chosen)


def look_up(hashes: Tensor, keys: Tensor, vectors: nn.Embedding) -> Tensor:
    """Return the vectors of hashes, zero for unknown ones."""
    place = torch.searchsorted(keys, hashes).clamp(max=len(keys) - 1)
    return vectors((place + 1) * (keys[place] == hashes))
