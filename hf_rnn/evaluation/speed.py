"""How many texts models answer a second, and how large they are."""

import statistics
import time
from collections.abc import Mapping, Sequence

from transformers import PreTrainedModel

from ..inference.predictor import Predictor
from ..tasks.decoding import Text

COSTS = ("parameters", "MiB", "texts/s alone", "texts/s in batches")
# texts whose answers are timed, one by one and in batches
TIMED_ALONE, TIMED_TOGETHER, BATCH, REPEATS = 50, 256, 32, 3


def measure_costs(predictors: Mapping[str, Predictor], texts: Sequence[Text], batch_size: int = BATCH) -> dict[str, dict[str, float]]:
    """Return for each model its parameters, its size in MiB, and texts a second from text to answer on this machine.

    Models take turns, so that what else the machine does falls on all of them; a rate is the median of several rounds.

    Args:
        predictors (`Mapping`): Models by name.
        texts (`Sequence`): Texts, of which the first are timed.
        batch_size (`int`): Texts in a batch.
    """
    costs = {name: _size(predictor.model) for name, predictor in predictors.items()}
    for kind, count, size in ((COSTS[2], TIMED_ALONE, 1), (COSTS[3], TIMED_TOGETHER, batch_size)):
        chosen = list(texts[:count])
        times: dict[str, list[float]] = {name: [] for name in predictors}
        # the first round warms up
        for turn in range(REPEATS + 1):
            for name, predictor in predictors.items():
                seconds = _time(predictor, chosen[: size if turn == 0 else None], size)
                times[name] += [seconds] if turn else []
        for name, cost in costs.items():
            cost[kind] = len(chosen) / statistics.median(times[name])
    return costs


def _size(model: PreTrainedModel) -> dict[str, float]:
    """Return the weights of a model, those of a linear part beside it too, and its size in MiB."""
    weights = sum(value.numel() for value in model.state_dict().values() if value.is_floating_point())
    # a graph has no state of its own
    return {COSTS[0]: weights or model.num_parameters(), COSTS[1]: model.get_memory_footprint() / 2**20}


def _time(predictor: Predictor, texts: list[Text], batch_size: int) -> float:
    """Return the seconds that answers take."""
    start = time.perf_counter()
    predictor.predict(texts, batch_size)
    return time.perf_counter() - start


def describe_costs(costs: Mapping[str, float]) -> list[str]:
    """Return what `measure_costs` gives for a model in words."""
    return [f"{value:,.1f}" if name == "MiB" else f"{value:,.0f}" for name, value in costs.items()]
