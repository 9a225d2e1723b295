"""Which of the processes that work together this one is, as `torchrun` and `accelerate launch` say it in the environment."""

import os


def process_rank() -> int:
    """Return the number of this process, from 0 on."""
    return int(os.environ.get("RANK", 0))


def count_processes() -> int:
    """Return how many processes work together."""
    return int(os.environ.get("WORLD_SIZE", 1))
