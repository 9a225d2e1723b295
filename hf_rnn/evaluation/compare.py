"""Compare models on the same rows: scores with intervals, differences, sizes and speeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
from transformers.utils import logging

from ..inference.loading import load
from ..inference.predictor import Predictor
from ..reports.tables import to_markdown
from .calibration import measure_calibration
from .comparison import LabelledRows, score_of
from .intervals import paired_intervals
from .speed import COSTS, describe_costs, measure_costs

logger = logging.get_logger(__name__)

# what is told of the scores of answers, by what it is called in tables
CALIBRATION = {"ece": "ECE", "brier": "Brier"}


def compare(
    models: Mapping[str, Predictor | str | Sequence[Predictor]] | Sequence[str],
    test: str,
    *,
    text_column_name: str | None = None,
    label_column_name: str | None = None,
    resamples: int = 1000,
    batch_size: int = 32,
) -> dict[str, dict[str, Any]]:
    """Measure models on the same labelled rows; return for each its score and its difference from the first one's, and its costs.

    Args:
        models (`Mapping` or `Sequence`): Folders or Hub names of classifiers or taggers of any architecture, folders or files of ONNX
            exports, or predictors, by the names that they have in the result; of names alone their last parts. Several predictors of one
            name are trainings of one model with different seeds.
        test (`str`): File of labelled rows.
        text_column_name, label_column_name (`str`, *optional*): Its columns; by default those that the first model was trained on.
        resamples (`int`): Resamples of the paired bootstrap behind the intervals (Koehn 2004).
        batch_size (`int`): Texts in a batch when speed is measured.

    Returns:
        `dict`: For each model `measure` ("accuracy" or "f1"), `rows`, `scores` of its trainings, their mean as `score` and its
        `difference` from the first one's, both with the ends of their intervals, and its costs: `parameters`, size, speeds.

    Raises:
        ValueError: Fewer than two models, models of different tasks, or one that knows none of the labels.
    """
    named = models if isinstance(models, Mapping) else {Path(model).name: model for model in models}
    trainings: dict[str, list[Predictor]] = {}
    for name, model in named.items():
        opened = open_model(name, model) if isinstance(model, str) else {name: model}
        trainings |= {title: list(each) if isinstance(each, Sequence) else [each] for title, each in opened.items()}
    if len(trainings) < 2:
        raise ValueError(f"A comparison needs two models, got {list(trainings)}. Name more.")
    predictors = {name: each[0] for name, each in trainings.items()}
    rows = LabelledRows.read(test, predictors.values(), text_column_name, label_column_name)
    counts, calibrations = [], []
    for name, each in trainings.items():
        _check_labels(name, each[0], rows)
        answered = [rows.predict(predictor) for predictor in each]
        counts.append(np.stack([rows.counts(rows.answers_in(answers)) for answers in answered]))
        calibrations.append(_mean([measure_calibration(rows.scored(answers)) for answers in answered]))
    intervals = paired_intervals(counts, resamples)
    costs = measure_costs(predictors, rows.texts, batch_size)
    return {
        name: {
            "measure": rows.measure,
            "rows": len(rows.texts),
            "scores": score_of(counted).tolist(),
            "score": asdict(score),
            "difference": asdict(difference),
            **calibration,
            **costs[name],
        }
        for name, counted, (score, difference), calibration in zip(trainings, counts, intervals, calibrations, strict=True)
    }


def _mean(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the means over trainings of what was measured of each."""
    return {name: float(np.mean([each[name] for each in measured])) for name in measured[0]}


def open_model(name: str, folder: str, trust_remote_code: bool = False, long_texts: str | None = None) -> dict[str, Predictor]:
    """Return the model of a folder, or those of an export, by their names."""
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code, "long_texts": long_texts}
    files = _onnx_files(Path(folder))
    if not files:
        return {name: load(folder, **options)}
    titles = [name] if len(files) == 1 else [f"{name}/{file.name}" for file in files]
    loaded = (load(str(file.parent), **options, file_name=file.name) for file in files)
    return dict(zip(titles, loaded, strict=True))


def _onnx_files(path: Path) -> list[Path]:
    """Return the file of an export, or those in its folder."""
    return [path] if path.suffix == ".onnx" else sorted(path.glob("*.onnx"))


def _check_labels(name: str, predictor: Predictor, rows: LabelledRows) -> None:
    """Raise a ValueError if none of the labels of the test file is one of a model's, and warn of some."""
    if rows.kind == "spans":
        return
    known = set(predictor.model.config.id2label.values())
    wanted = set(rows.gold) if rows.kind == "label" else {tag for tags in rows.gold for tag in tags}
    if wanted and not wanted & known:
        raise ValueError(
            f"{name} has the labels {sorted(known)[:10]}, none of those of the test file, {sorted(wanted)[:10]}. Pass another model or "
            "--label_column_name."
        )
    if wanted - known:
        logger.warning(f"{name} does not know the labels {sorted(wanted - known)[:10]} of the test file, which count as wrong.")


def describe(lines: dict[str, dict[str, Any]], to_table: Callable[..., str] = to_markdown) -> str:
    """Return lines as a table, in Markdown or by another function of `reports.tables`: scores in percent."""
    first = next(iter(lines.values()))
    measure = f"{first['measure'].replace('f1', 'F1')} on {first['rows']:,} rows"
    seeds = max(len(line["scores"]) for line in lines.values())
    if seeds > 1:
        measure += f", mean of {seeds} seeds ± standard deviation"
    # of models without one answer that has a score there are none
    calibrated = {name: title for name, title in CALIBRATION.items() if any(name in each for each in lines.values())}
    rows = []
    for name, line in lines.items():
        beside = ["", ""]
        if line is not first:
            beside = [_percent(line["difference"], "+"), f"{line['difference']['p']:.3f}"]
        spread = f" ± {100 * stdev(line['scores']):.2f}" if len(line["scores"]) > 1 else ""
        calibration = [f"{line[each]:.3f}" if each in line else "" for each in calibrated]
        costs = describe_costs({cost: line[cost] for cost in COSTS})
        rows.append([name, _percent(line["score"], spread=spread), *beside, *calibration, *costs])
    return to_table(["", measure, f"beside {next(iter(lines))}", "p", *calibrated.values(), *COSTS], rows)


def _percent(interval: Mapping[str, float], sign: str = "", spread: str = "") -> str:
    """Return a share and the ends of its interval in percent."""
    value, low, high = (f"{100 * interval[end]:{sign}.2f}" for end in ("value", "low", "high"))
    return f"{value}{spread} ({low} to {high})"
