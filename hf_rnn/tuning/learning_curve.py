"""How good a model gets with how many rows, beside a linear baseline: nested samples, several seeds, a table and a picture."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from seqeval.metrics import f1_score
from sklearn.metrics import accuracy_score, r2_score
from transformers.utils import logging

from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.reading import ReadingOptions
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.annotated import annotated_texts, holds_spans
from ..data.rows.label_columns import read_labels
from ..data.rows.labelled import labelled_texts
from ..data.rows.splits import LABEL_COLUMNS, TAG_COLUMNS, Splits, choose_column, load_splits
from ..data.writing import check_output_dir, write_whole, written_whole
from ..distillation.training import train_by_options
from ..linear.baselines import Span, classify_texts, label_spans, label_texts, micro_f1, rate_texts, tag_sentences
from ..linear.fasttext import classify_by_fasttext
from ..linear.weighing import NUMBERS, SEVERAL
from ..models.tags import guess_scheme
from ..reports.plots import save_picture
from ..reports.tables import to_markdown
from ..tasks.span_scores import SpanCounts
from ..training.outputs import SAME_COMMAND, writing_to

logger = logging.get_logger(__name__)

POINTS, TABLE, PICTURE = "points.jsonl", "learning_curve.md", "learning_curve.png"
TRAIN, TEST, MODEL = "train.jsonl", "test.jsonl", "model"
WRITTEN = (POINTS, TABLE, PICTURE, TRAIN, TEST, "baseline.crfsuite", "fasttext.txt")
# options that say how cells with several labels are read
OF_CELLS = ("label_separator", "label_names", "missing_labels")
# what a point is made of
FIELDS: dict[str, Callable[[Any], Any]] = {"name": str, "rows": int, "seed": int, "score": float, "seconds": float}
BASELINE, FASTTEXT, OURS = NAMES = ("baseline", "fasttext", "hf-rnn")
# scores by numbers of rows and names: mean, standard deviation, seconds
Summary = dict[int, dict[str, tuple[float, float, float]]]


class LearningCurve:
    """Rows, and what is known so far of the scores.

    Args:
        train_file, test_file (`str`): Labelled rows to draw from, and rows to measure on.
        output_dir (`str`): Folder for table, picture and points; a run that was stopped goes on there.
        sizes (`list`, *optional*): Numbers of rows; by default 100, 300, 1,000, 3,000, ... and all.
        seeds (`int`): Samples and trainings a size.
        text_column_name, label_column_name (`str`, *optional*): Columns; the usual ones by default.
        max_test_samples (`int`, *optional*): Test rows that are used.
        fasttext (`bool`): Whether fastText is measured too, on texts with one label each.
        options (`Mapping`, *optional*): Options of the training by their names; with `problem_type` texts have several labels or numbers.
    """

    def __init__(
        self,
        train_file: str,
        test_file: str,
        output_dir: str = "learning_curve",
        *,
        sizes: list[int] | None = None,
        seeds: int = 3,
        text_column_name: str | None = None,
        label_column_name: str | None = None,
        max_test_samples: int | None = None,
        fasttext: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.asked, self.seeds, self.options = sizes, seeds, dict(options or {})
        self.problem = self.options.get("problem_type")
        if fasttext and find_spec("fasttext") is None:
            raise ValueError("`fasttext` needs the package 'fasttext'. Install it with pip install '.[fasttext]', or leave --fasttext out.")
        self.folder = Path(output_dir)
        check_output_dir(output_dir, "output_dir", train_file, test_file, written=WRITTEN)
        if (self.folder / MODEL).exists() and not (self.folder / TEST).exists():
            raise DataError(f"{self.folder / MODEL} is not of this command, which would write over it. Pass another --output_dir.")
        splits = load_splits(files={"train": train_file, "test": test_file})
        is_asked = self.options.get("from_text")
        self.is_raw = holds_spans(splits["train"], label_column_name) if is_asked is None else bool(is_asked)
        if self.is_raw:
            self.is_tagged, self.has_spans = False, True
            self.train, self.test = (_read_raw(splits[split], split, text_column_name, label_column_name) for split in ("train", "test"))
        else:
            self._read_both(splits, text_column_name, label_column_name, {"train": train_file, "test": test_file})
        self.test = self.test[:max_test_samples]
        if fasttext and (self.is_tagged or self.is_raw or self.problem in (SEVERAL, NUMBERS)):
            raise ValueError("`fasttext` gives texts one label each, got rows with something else. Leave --fasttext out.")
        self.names = NAMES if fasttext else (BASELINE, OURS)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.known = self._known()
        self._write(self.test, TEST)

    def _read_both(self, splits: Splits, text_column_name: str | None, label_column_name: str | None, files: dict[str, str | None]) -> None:
        """Read texts with labels, or tokens with tags, of both splits."""
        usual: tuple[str, ...] = (*TEXT_COLUMNS, *TOKEN_COLUMNS)
        text_column = choose_column(splits["train"], "train", text_column_name, usual, "text_column_name")
        self.is_tagged = isinstance(splits["train"][0][text_column], list)
        usual = TAG_COLUMNS if self.is_tagged else LABEL_COLUMNS
        label_column = choose_column(splits["train"], "train", label_column_name, usual, "label_column_name")
        with Places(files).named():
            if self.problem == SEVERAL:
                # cells are lists from here on
                reading = ReadingOptions(**{name: self.options.pop(name) for name in OF_CELLS if name in self.options})
                splits = read_labels(splits, label_column, self.problem, reading)
            self.train, self.test = (self._read(splits[split], split, text_column, label_column) for split in ("train", "test"))
        self.has_spans = self.is_tagged and guess_scheme(sorted({tag for _, tags in self.train for tag in tags})) is not None

    def _read(self, rows: Any, split: str, text_column: str, label_column: str) -> list[tuple[Any, Any]]:
        """Return texts with labels or numbers, or tokens with tags; raise a DataError at a row that has not both."""
        for column in (text_column, label_column):
            choose_column(rows, split, column, (), "label_column_name" if column == label_column else "text_column_name")
        return labelled_texts(rows, split, text_column, label_column, self.is_tagged, self.problem)

    def _known(self) -> list[dict[str, Any]]:
        """Return the points that are measured; raise a DataError if they are of other rows or options."""
        told = [self.train, self.test, self.options]
        self.of = hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]
        path = self.folder / POINTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        points: list[dict[str, Any]] = []
        for number, line in enumerate(lines, start=1):
            try:
                point = json.loads(line)
                points.append({**point, **{name: kind(point[name]) for name, kind in FIELDS.items()}})
            except (ValueError, KeyError, TypeError):
                # the last line of a run that was killed while it wrote
                if number < len(lines):
                    raise DataError(f"{path}, line {number}: no point of a curve: {line[:80]!r}. Remove the line.") from None
        if any(point.get("of", self.of) != self.of for point in points):
            raise DataError(f"{path} is of other rows or options. Pass another --output_dir, or remove it.")
        if len(points) < len(lines):
            with written_whole(path) as file:
                file.writelines(json.dumps(point) + "\n" for point in points)
        return points

    @property
    def sizes(self) -> list[int]:
        """Return the numbers of rows to measure, in order."""
        steps = [size for power in range(2, 9) for size in (10**power, 3 * 10**power) if size < len(self.train)]
        return sorted({min(size, len(self.train)) for size in self.asked or [*steps, len(self.train)]})

    def sample(self, size: int, seed: int) -> list[tuple[Any, Any]]:
        """Return rows drawn with a seed; a smaller sample is part of a larger one."""
        return [self.train[index] for index in np.random.default_rng(seed).permutation(len(self.train))[:size]]

    def _write(self, rows: list[tuple[Any, Any]], name: str) -> str:
        names = ("tokens", "tags") if self.is_tagged else ("text", "spans" if self.is_raw else "label")
        lines = (json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
        write_whole(self.folder / name, "".join(lines))
        return str(self.folder / name)

    def score(self, references: list, answers: list) -> float:
        """Return F1 of spans or of several labels, the share of variance that numbers explain, or accuracy over words or rows."""
        if self.is_raw:
            return SpanCounts.count(_as_spans(references), _as_spans(answers)).metrics()["f1"]
        if self.has_spans:
            return float(f1_score(references, answers, zero_division=0))
        if self.problem == SEVERAL:
            return micro_f1(references, answers)
        if self.problem == NUMBERS:
            return float(r2_score(references, answers))
        if self.is_tagged:
            references, answers = ([tag for tags in part for tag in tags] for part in (references, answers))
        return float(accuracy_score(references, answers))

    def baseline(self, rows: list[tuple[Any, Any]], seed: int) -> float:
        """Return the score of the linear model on the test rows."""
        (inputs, labels), (others, references) = (map(list, zip(*part, strict=True)) for part in (rows, self.test))
        path = str(self.folder / "baseline.crfsuite")
        if self.is_tagged:
            answers: list = tag_sentences(inputs, labels, others, self.score, path)
        elif self.is_raw:
            answers = _as_dictionaries(label_spans(inputs, _as_spans(labels), others, path))
        else:
            learners: dict[str | None, Callable[..., list]] = {SEVERAL: label_texts, NUMBERS: rate_texts}
            answers = learners.get(self.problem, classify_texts)(inputs, labels, others)
        return self.score(references, answers)

    def fasttext(self, rows: list[tuple[Any, Any]], seed: int) -> float:
        """Return the score of fastText on the test rows."""
        (texts, labels), (others, references) = (map(list, zip(*part, strict=True)) for part in (rows, self.test))
        return self.score(references, classify_by_fasttext(texts, labels, others, str(self.folder / "fasttext.txt"), seed))

    def ours(self, rows: list[tuple[Any, Any]], seed: int) -> float:
        """Return the score on the test rows of what the training command makes of a sample."""
        output = self.folder / MODEL
        shutil.rmtree(output, ignore_errors=True)
        files = {"train_file": self._write(rows, TRAIN), "test_file": str(self.folder / TEST), "output_dir": str(output)}
        steps = {"do_train": True, "do_eval": True, "do_predict": True, "unknown_labels": "wrong", "save_total_limit": 1, "seed": seed}
        if self.is_raw:
            steps["from_text"] = True
        task = "token-classification" if self.is_tagged or self.is_raw else "text-classification"
        metrics = train_by_options(task, {**self.options, **steps, **files}).metrics
        if self.problem == NUMBERS:
            return 1 - metrics["test_mse"] / float(np.var([number for _, number in self.test]))
        return metrics["test_f1" if self.has_spans else "test_f1_micro" if self.problem == SEVERAL else "test_accuracy"]

    def run(self) -> list[dict[str, Any]]:
        """Measure what is not measured yet; return all points."""
        path = self.folder / POINTS
        points = self.known
        known = {(point["name"], point["rows"], point["seed"]) for point in points}
        measures: dict[str, Callable[[list, int], float]] = {BASELINE: self.baseline, FASTTEXT: self.fasttext, OURS: self.ours}
        for size in self.sizes:
            for seed in range(self.seeds):
                for name in self.names:
                    if (name, size, seed) in known:
                        continue
                    started = time.perf_counter()
                    score = measures[name](self.sample(size, seed), seed)
                    seconds = time.perf_counter() - started
                    points.append({"name": name, "rows": size, "seed": seed, "score": score, "seconds": seconds, "of": self.of})
                    with open(path, "a") as file:
                        file.write(json.dumps(points[-1]) + "\n")
                    logger.warning(f"{size:,} rows, seed {seed}, {name}: {100 * score:.1f} in {points[-1]['seconds']:.0f} s")
        return points


def _read_raw(rows: Any, split: str, text_column: str | None, label_column: str | None) -> list[tuple[Any, Any]]:
    """Return raw texts with their spans."""
    texts, spans, _ = annotated_texts(rows, split, text_column, label_column)
    return list(zip(texts, _as_dictionaries(spans), strict=True))


def _as_dictionaries(spans: list[list[Span]]) -> list[list[dict[str, Any]]]:
    """Return spans as files hold them."""
    return [[dict(zip(("start", "end", "label"), span, strict=True)) for span in row] for row in spans]


def _as_spans(rows: list[list[dict[str, Any]]]) -> list[list[Span]]:
    """Return start, end and label of spans."""
    return [[(span["start"], span["end"], span["label"]) for span in row] for row in rows]


def summarize(points: list[dict[str, Any]]) -> Summary:
    """Return for each number of rows and each name the mean of the scores, their spread (standard deviation), and the mean seconds."""
    found: Summary = {}
    for size in sorted({point["rows"] for point in points}):
        found[size] = {}
        for name in NAMES:
            chosen = [point for point in points if point["rows"] == size and point["name"] == name]
            if chosen:
                scores = np.array([100 * point["score"] for point in chosen])
                seconds = float(np.mean([point["seconds"] for point in chosen]))
                found[size][name] = (float(scores.mean()), float(scores.std(ddof=1)) if len(scores) > 1 else 0.0, seconds)
    return found


def _names_in(summary: Summary) -> list[str]:
    """Return what was measured anywhere, in order."""
    return [name for name in NAMES if any(name in scores for scores in summary.values())]


def write_table(summary: Summary, path: Path) -> str:
    """Write a Markdown table, and return it; differences are those from the best of the others."""
    rows, names = [], _names_in(summary)
    for size, scores in summary.items():
        cells = [f"{scores[name][0]:.1f} ± {scores[name][1]:.1f}" if name in scores else "" for name in names]
        others = [scores[name][0] for name in names if name in scores and name != OURS]
        difference = f"{scores[OURS][0] - max(others):+.1f}" if OURS in scores and others else ""
        seconds = " / ".join(f"{scores[name][2]:.0f}" for name in names if name in scores)
        rows.append([f"{size:,}", *cells, difference, seconds])
    table = to_markdown(["rows", *names, "difference", "seconds"], rows)
    write_whole(path, table)
    return table


def plot(summary: Summary, path: Path) -> Figure:
    """Draw scores by rows, with their spread as bars; return the figure."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axis = figure.subplots()
    styles = {BASELINE: "s--", FASTTEXT: "^:", OURS: "o-"}
    for name in _names_in(summary):
        sizes = [size for size, scores in summary.items() if name in scores]
        means, spreads = ([summary[size][name][column] for size in sizes] for column in (0, 1))
        axis.errorbar(sizes, means, yerr=spreads, fmt=styles[name], capsize=3, label=name)
    axis.set(xscale="log", xlabel="labelled rows", ylabel="test score")
    axis.grid(alpha=0.3)
    axis.legend()
    save_picture(figure, path)
    return figure


def learning_curve(train_file: str, test_file: str, output_dir: str = "learning_curve", **settings: Any) -> Summary:
    """Measure how good a model gets with how many rows, beside a linear baseline; write a table and a picture.

    Args:
        train_file, test_file (`str`): Labelled rows to draw from, and rows to measure on.
        output_dir (`str`): Folder; a run that was stopped goes on there.
        settings: What else `LearningCurve` takes.

    Returns:
        `dict`: For each number of rows and each name the mean of the scores, their standard deviation, and the mean seconds.
    """
    with writing_to(output_dir, SAME_COMMAND):
        curve = LearningCurve(train_file, test_file, output_dir, **settings)
        summary = summarize(curve.run())
        print(write_table(summary, curve.folder / TABLE))
        plot(summary, curve.folder / PICTURE)
    return summary
