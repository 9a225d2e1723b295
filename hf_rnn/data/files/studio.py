"""Tasks of Label Studio: the text, the spans and the choices of those who annotated it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .rows import Row

# under which a region has its labels, and a choice what was chosen
REGION_LABELS = ("labels", "hypertextlabels", "paragraphlabels")
CHOICES = ("choices", "rating", "number", "taxonomy")
# newer exports, older ones, and what a model answered, which counts where there is nothing else
WORK = ("annotations", "completions", "predictions")


def is_task(row: Any) -> bool:
    """Return whether a row is a task: data, and what annotators made of it."""
    return isinstance(row, dict) and isinstance(row.get("data"), dict) and any(isinstance(row.get(name), list) for name in WORK)


def is_predicted(task: Row) -> bool:
    """Return whether a task has the answers of a model, and no place for what people made of it."""
    return not any(isinstance(task.get(name), list) for name in WORK[:-1])


def finished(task: Row) -> list[list[Row]]:
    """Return the results of each annotation of a task that was not cancelled."""
    work = next(task[name] for name in WORK if isinstance(task.get(name), list))
    return [each.get("result") or [] for each in work if isinstance(each, dict) and not each.get("was_cancelled")]


def decide(annotations: list[list[Row]], annotators: str) -> tuple[list[Row], dict[str, list[Any]]]:
    """Return the spans of a task, and what was chosen by the name of each control.

    Args:
        annotations (`list`): Results of each annotation.
        annotators (`str`): Whose count; see `ReadingOptions`.
    """
    if annotators == "agreement" and len(annotations) > 1:
        return _agreed([_spans(each) for each in annotations]), _agreed_choices([_choices(each) for each in annotations])
    chosen = annotations[-1 if annotators == "last" else 0] if annotations else []
    return _spans(chosen), _choices(chosen)


def _spans(results: Iterable[Row]) -> list[Row]:
    """Return a span for each label of each region."""
    spans = []
    for value in _values(results):
        place = value.get("globalOffsets") or value
        labels: Any = next((value[name] for name in REGION_LABELS if value.get(name)), [])
        if "start" in place and "end" in place and not any(name in value for name in CHOICES):
            quote = value.get("text")
            for label in labels if isinstance(labels, list) and labels else [""]:
                spans.append({"start": place["start"], "end": place["end"], "label": str(label), "quote": quote})
    return spans


def _choices(results: Iterable[Row]) -> dict[str, list[Any]]:
    """Return what was chosen for the whole text, by the name of the control."""
    chosen: dict[str, list[Any]] = {}
    for result in results:
        value: Any = result.get("value") if isinstance(result, dict) else None
        name = next((name for name in CHOICES if isinstance(value, dict) and name in value and "start" not in value), None)
        if name is not None:
            found = value[name] if isinstance(value[name], list) else [value[name]]
            chosen.setdefault(str(result.get("from_name", "label")), []).extend(
                "/".join(map(str, each)) if isinstance(each, list) else each for each in found
            )
    return chosen


def _values(results: Iterable[Row]) -> Iterable[Row]:
    return [result["value"] for result in results if isinstance(result, dict) and isinstance(result.get("value"), dict)]


def _agreed(work: list[list[Row]]) -> list[Row]:
    """Return the spans that more than half of the annotators have."""
    counts = Counter(place for spans in work for place in {(span["start"], span["end"], span["label"]) for span in spans})
    found = {(span["start"], span["end"], span["label"]): span for spans in work for span in spans}
    return [span for place, span in found.items() if 2 * counts[place] > len(work)]


def _agreed_choices(work: list[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    counts = Counter((name, choice) for each in work for name, choices in each.items() for choice in dict.fromkeys(choices))
    chosen: dict[str, list[Any]] = {}
    for (name, choice), count in counts.items():
        if 2 * count > len(work):
            chosen.setdefault(name, []).append(choice)
    return chosen
