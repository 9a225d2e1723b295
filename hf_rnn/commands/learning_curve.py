"""Measure how good a model gets with how many rows, beside a linear baseline: nested samples, several seeds, a table and a picture.

Example:
    hf-rnn learning-curve --train_file reviews.csv --test_file test.csv --output_dir outputs/curve
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score
from transformers.utils import logging

from ..data.splits import LABEL_COLUMNS, TAG_COLUMNS, TEXT_COLUMNS, TOKEN_COLUMNS, choose_column, load_splits
from ..models.tags import guess_scheme
from ..options import check_given, option, parse_arguments
from ..training.baselines import classify_texts, tag_sentences
from . import text_classification, token_classification
from .tables import to_markdown

logger = logging.get_logger(__name__)

POINTS, TABLE, PICTURE = "points.jsonl", "learning_curve.md", "learning_curve.png"
NAMES = ("baseline", "hf-rnn")


@dataclass
class CurveArguments:
    """What to measure, and on what."""

    train_file: str | None = option("Labelled rows to draw from: csv, tsv, json, jsonl, parquet, conll or conllu.")
    test_file: str | None = option("Rows to measure on.")
    text_column_name: str | None = option("Column of texts or of lists of tokens.")
    label_column_name: str | None = option("Column of labels or of lists of tags.")
    sizes: list[int] | None = option("Numbers of rows; by default 100, 300, 1,000, 3,000, ... and all.", within="[1, inf)")  # noqa: RUF009
    seeds: int = option("Samples and trainings a size.", 3, within="[1, inf)")
    max_test_samples: int | None = option("Use only so many test rows.", within="[1, inf)")
    options_file: str | None = option("YAML or JSON file of options for the training command; its defaults otherwise.")
    output_dir: str = option("Folder for table, picture and points; a run that was stopped goes on there.", "learning_curve")


class LearningCurve:
    """Rows, and what is known so far of the scores.

    Args:
        arguments (`CurveArguments`): What to measure.
    """

    def __init__(self, arguments: CurveArguments) -> None:
        self.arguments = arguments
        self.folder = Path(arguments.output_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        splits = load_splits(files={"train": str(arguments.train_file), "test": str(arguments.test_file)})
        usual: tuple[str, ...] = (*TEXT_COLUMNS, *TOKEN_COLUMNS)
        text_column = choose_column(splits["train"], "train", arguments.text_column_name, usual, "text_column_name")
        self.is_tagged = isinstance(splits["train"][0][text_column], list)
        usual = TAG_COLUMNS if self.is_tagged else LABEL_COLUMNS
        label_column = choose_column(splits["train"], "train", arguments.label_column_name, usual, "label_column_name")
        self.train, self.test = (
            list(zip(splits[split][text_column], splits[split][label_column], strict=True)) for split in ("train", "test")
        )
        self.test = self.test[: arguments.max_test_samples]
        self.has_spans = self.is_tagged and guess_scheme(sorted({tag for _, tags in self.train for tag in tags})) is not None
        self._write(self.test, "test.jsonl")

    @property
    def sizes(self) -> list[int]:
        """Return the numbers of rows to measure, in order."""
        steps = [size for power in range(2, 9) for size in (10**power, 3 * 10**power) if size < len(self.train)]
        return sorted({min(size, len(self.train)) for size in self.arguments.sizes or [*steps, len(self.train)]})

    def sample(self, size: int, seed: int) -> list[tuple[Any, Any]]:
        """Return rows drawn with a seed; a smaller sample is part of a larger one."""
        return [self.train[index] for index in np.random.default_rng(seed).permutation(len(self.train))[:size]]

    def _write(self, rows: list[tuple[Any, Any]], name: str) -> str:
        names = ("tokens", "tags") if self.is_tagged else ("text", "label")
        lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
        (self.folder / name).write_text("".join(lines), encoding="utf-8")
        return str(self.folder / name)

    def score(self, references: list, answers: list) -> float:
        """Return F1 of spans, or accuracy over words or rows."""
        if self.has_spans:
            return float(f1_score(references, answers, zero_division=0))
        if self.is_tagged:
            references, answers = ([tag for tags in part for tag in tags] for part in (references, answers))
        return float(accuracy_score(references, answers))

    def baseline(self, rows: list[tuple[Any, Any]], seed: int) -> float:
        """Return the score of the linear model on the test rows."""
        (inputs, labels), (others, references) = (map(list, zip(*part, strict=True)) for part in (rows, self.test))
        if self.is_tagged:
            answers: list = tag_sentences(inputs, labels, others, self.score, str(self.folder / "baseline.crfsuite"))
        else:
            answers = classify_texts(inputs, labels, others)
        return self.score(references, answers)

    def ours(self, rows: list[tuple[Any, Any]], seed: int) -> float:
        """Return the score on the test rows of what the training command makes of a sample."""
        command = token_classification if self.is_tagged else text_classification
        output = self.folder / "model"
        shutil.rmtree(output, ignore_errors=True)
        files = ["--train_file", self._write(rows, "train.jsonl"), "--test_file", str(self.folder / "test.jsonl")]
        options = ["--do_train", "--do_eval", "--do_predict", "--unknown_labels", "wrong", "--save_total_limit", "1"]
        given = [self.arguments.options_file] if self.arguments.options_file else []
        metrics = command.main([*given, *files, *options, "--seed", str(seed), "--output_dir", str(output)])
        return metrics["test_f1" if self.has_spans else "test_accuracy"]

    def run(self) -> list[dict[str, Any]]:
        """Measure what is not measured yet; return all points."""
        path = self.folder / POINTS
        points = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        known = {(point["name"], point["rows"], point["seed"]) for point in points}
        kinds: dict[str, Callable[[list, int], float]] = dict(zip(NAMES, (self.baseline, self.ours), strict=True))
        for size in self.sizes:
            for seed in range(self.arguments.seeds):
                for name, measure in kinds.items():
                    if (name, size, seed) in known:
                        continue
                    started = time.perf_counter()
                    score = measure(self.sample(size, seed), seed)
                    points.append({"name": name, "rows": size, "seed": seed, "score": score, "seconds": time.perf_counter() - started})
                    with open(path, "a") as file:
                        file.write(json.dumps(points[-1]) + "\n")
                    logger.warning(f"{size:,} rows, seed {seed}, {name}: {100 * score:.1f} in {points[-1]['seconds']:.0f} s")
        return points


def summarize(points: list[dict[str, Any]]) -> dict[int, dict[str, tuple[float, float, float]]]:
    """Return for each number of rows and each name the mean of the scores, their spread (standard deviation), and the mean seconds."""
    found: dict[int, dict[str, tuple[float, float, float]]] = {}
    for size in sorted({point["rows"] for point in points}):
        found[size] = {}
        for name in NAMES:
            chosen = [point for point in points if point["rows"] == size and point["name"] == name]
            if chosen:
                scores = np.array([100 * point["score"] for point in chosen])
                seconds = float(np.mean([point["seconds"] for point in chosen]))
                found[size][name] = (float(scores.mean()), float(scores.std(ddof=1)) if len(scores) > 1 else 0.0, seconds)
    return found


def write_table(summary: dict[int, dict[str, tuple[float, float, float]]], path: Path) -> str:
    """Write a Markdown table, and return it."""
    rows = []
    for size, scores in summary.items():
        cells = [f"{scores[name][0]:.1f} ± {scores[name][1]:.1f}" if name in scores else "" for name in NAMES]
        both = len(scores) == len(NAMES)
        difference = f"{scores[NAMES[1]][0] - scores[NAMES[0]][0]:+.1f}" if both else ""
        seconds = " / ".join(f"{scores[name][2]:.0f}" for name in NAMES if name in scores)
        rows.append([f"{size:,}", *cells, difference, seconds])
    table = to_markdown(["rows", *NAMES, "difference", "seconds"], rows)
    path.write_text(table, encoding="utf-8")
    return table


def plot(summary: dict[int, dict[str, tuple[float, float, float]]], path: Path) -> Figure:
    """Draw scores by rows, with their spread as bars; return the figure."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    for name, style in zip(NAMES, ("s--", "o-"), strict=True):
        sizes = [size for size, scores in summary.items() if name in scores]
        means, spreads = ([summary[size][name][column] for size in sizes] for column in (0, 1))
        axis.errorbar(sizes, means, yerr=spreads, fmt=style, capsize=3, label=name)
    axis.set(xscale="log", xlabel="labelled rows", ylabel="test score")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)
    return figure


def main(argv: list[str] | None = None) -> dict[int, dict[str, tuple[float, float, float]]]:
    """Run the command; return what `summarize` does."""
    (arguments,) = parse_arguments(argv, __doc__, CurveArguments)
    check_given(arguments, train_file="labelled rows to draw from", test_file="rows to measure on")
    curve = LearningCurve(arguments)
    summary = summarize(curve.run())
    print(write_table(summary, curve.folder / TABLE))
    plot(summary, curve.folder / PICTURE)
    return summary
