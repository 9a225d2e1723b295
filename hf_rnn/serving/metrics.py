"""Counts of a server, in the text format of Prometheus."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from .batching import Model

# seconds, upper bounds of the buckets
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """Requests by address and status, and how long they took; addresses are those that the server knows."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self.requests[path, status] += 1
        self.seconds[path] += seconds
        self.buckets[path][bisect_left(BUCKETS, seconds)] += 1

    def text(self, models: Iterable[Model]) -> str:
        """Return all counts, with those of models."""
        return "\n".join([*self._requests(), *_models(list(models))]) + "\n"

    def _requests(self) -> Iterator[str]:
        yield from _head("hf_rnn_requests_total", "counter", "Requests by address and status.")
        for (path, status), count in self.requests.items():
            yield f'hf_rnn_requests_total{{path="{path}",status="{status}"}} {count}'
        yield from _head("hf_rnn_request_seconds", "histogram", "Seconds from a request to its answer.")
        for path, counts in self.buckets.items():
            total = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                yield f'hf_rnn_request_seconds_bucket{{path="{path}",le="{bound}"}} {total}'
            yield f'hf_rnn_request_seconds_sum{{path="{path}"}} {self.seconds[path]:.6f}'
            yield f'hf_rnn_request_seconds_count{{path="{path}"}} {total}'


def _models(models: list[Model]) -> Iterator[str]:
    for name, about in (("texts", "Texts answered."), ("batches", "Batches computed."), ("reloads", "Times loaded anew.")):
        yield from _head(f"hf_rnn_{name}_total", "counter", about)
        for model in models:
            yield f'hf_rnn_{name}_total{{model="{model.source.name}"}} {getattr(model.counts, name)}'
    yield from _head("hf_rnn_waiting_texts", "gauge", "Texts that wait or are being answered.")
    for model in models:
        yield f'hf_rnn_waiting_texts{{model="{model.source.name}"}} {model.waiting}'


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
