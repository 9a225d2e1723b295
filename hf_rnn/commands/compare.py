"""Compare models on the same rows: one table and one picture of scores with intervals, sizes and speeds.

Each model is a folder or Hub name of a classifier or tagger of any architecture, a folder or file of an ONNX export, or what is
trained first: a YAML file of options (a recipe), or options as "cell_type=gru hidden_size=128".

Example:
    hf-rnn compare outputs/reviews outputs/reviews-onnx "cell_type=gru" --train_file reviews.csv --test_file test.csv
"""

import json
import re
import sys
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from datasets import disable_progress_bars
from transformers.utils import logging

from ..data.files.readers import read_rows
from ..data.fingerprints import contents
from ..evaluation.comparison import ComparisonArguments, LabelledRows
from ..evaluation.intervals import Interval, paired_intervals
from ..evaluation.speed import COSTS, describe_costs, measure_costs
from ..inference.loading import load
from ..inference.predictor import Predictor
from ..options import check_given, given_options, option, parse_arguments
from ..reports.plots import plot_comparison
from ..reports.tables import to_markdown
from .labelled import KINDS
from .outputs import SAME_COMMAND, writing_to
from .tasks import TASKS, going_on, is_trained

logger = logging.get_logger(__name__)

FILE = "comparison"


@dataclass
class CompareArguments(ComparisonArguments):
    """What to compare, and on what."""

    # option() returns a field
    models: list[str] | None = option("Models to compare, the first with all others; they may stand before all options.")  # noqa: RUF009
    names: list[str] | None = option("Their names in table and picture.")  # noqa: RUF009
    task: str = option("What recipes and settings are trained for.", "text-classification", choices=list(TASKS))
    train_file: str | None = option("Labelled rows to train recipes and settings on, if they do not say.")
    validation_file: str | None = option("File to choose their best epoch by; carved from the training data if left out.")
    seed: int | None = option("Seed of these trainings.", within="[0, 4294967295]")
    resamples: int = option("Resamples of the bootstrap behind the intervals.", 1000, within="[100, inf)")
    batch_size: int = option("Texts in a batch when speed is measured.", 32, within="[1, inf)")
    output_dir: str = option("Folder for table, picture and what is trained; what was trained there before is taken as it is.", FILE)
    trust_remote_code: bool = option("Run model code that comes with a checkpoint.", False)


def main(argv: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Run the command; return the lines of the table by model."""
    (arguments,) = parse_arguments(argv, __doc__, CompareArguments, first="models")
    check_given(arguments, models="two or more to compare", test_file="labelled rows to compare on")
    if not sys.stderr.isatty():
        disable_progress_bars()
    # at once, before anything is trained
    next(iter(read_rows(str(arguments.test_file))), None)
    with writing_to(arguments.output_dir, SAME_COMMAND):
        return _compare(arguments)


def _compare(arguments: CompareArguments) -> dict[str, dict[str, Any]]:
    """Open or train the models, measure them, and write what is found."""
    predictors = open_models(arguments)
    if len(predictors) < 2:
        raise ValueError(f"A comparison needs two models, got {list(predictors)}. Name more before the options.")
    lines = measure(predictors, arguments)
    folder = Path(arguments.output_dir)
    table = describe(lines)
    print(table)
    (folder / f"{FILE}.md").write_text(table, encoding="utf-8")
    (folder / f"{FILE}.json").write_text(json.dumps(lines, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    plot_comparison(lines, folder / f"{FILE}.png")
    print(f"Wrote {FILE}.md, {FILE}.json and {FILE}.png to {folder}.")
    return lines


def open_models(arguments: CompareArguments) -> dict[str, Predictor]:
    """Load the models, those that are to be trained after their training; return them by name.

    Raises:
        ValueError: Names are not one for each model, or one stands twice.
    """
    models = arguments.models or []
    if len(set(models)) < len(models):
        raise ValueError(f"`models` must be different, got {models}. Name each once.")
    names = arguments.names or _short_names(models)
    if len(names) != len(models) or len(set(names)) < len(names):
        raise ValueError(f"`names` must be one for each of {len(models)} models, all different, got {names}. Pass other --names.")
    pairs = list(zip(names, models, strict=True))
    # what cannot be loaded is told before anything is trained
    opened = {name: _open(name, model, arguments) for name, model in pairs if not _is_trained(model)}
    opened |= {name: _open(name, _train(name, model, arguments), arguments) for name, model in pairs if _is_trained(model)}
    return {title: predictor for name in names for title, predictor in opened[name].items()}


def _open(name: str, folder: str, arguments: CompareArguments) -> dict[str, Predictor]:
    """Return the model of a folder, or those of an export, by their names."""
    files = _onnx_files(Path(folder))
    if not files:
        return {name: load(folder, arguments.trust_remote_code)}
    # makes exported folders known to the Auto classes
    import_module("hf_rnn.onnx")
    titles = [name] if len(files) == 1 else [f"{name}/{file.name}" for file in files]
    loaded = (load(str(file.parent), arguments.trust_remote_code, file_name=file.name) for file in files)
    return dict(zip(titles, loaded, strict=True))


def _short_names(models: list[str]) -> list[str]:
    """Return the last parts of paths, as far as they tell the models apart, and settings as they are."""
    short = [model if _is_settings(model) else Path(model).name for model in models]
    return [name if short.count(name) == 1 else model for name, model in zip(short, models, strict=True)]


def _is_recipe(model: str) -> bool:
    return Path(model).suffix in (".yaml", ".yml", ".json")


def _is_settings(model: str) -> bool:
    return "=" in model and not Path(model).exists()


def _is_trained(model: str) -> bool:
    """Return whether a model is there only after a training."""
    return _is_recipe(model) or _is_settings(model)


def _onnx_files(path: Path) -> list[Path]:
    """Return the file of an export, or those in its folder."""
    return [path] if path.suffix == ".onnx" else sorted(path.glob("*.onnx"))


def _train(name: str, model: str, arguments: CompareArguments) -> str:
    """Train what a recipe or settings say, unless that was done before; return the folder."""
    given = ("train_file", "validation_file", "text_column_name", "label_column_name", "seed")
    common = [f"--{each}={getattr(arguments, each)}" for each in given if getattr(arguments, each) is not None]
    own = [model] if _is_recipe(model) else [f"--{setting}" for setting in model.split()]
    # the test rows are for the comparison alone
    options = [*own, *common, "--do_train", "true", "--do_eval", "true", "--do_predict", "false", "--push_to_hub", "false"]
    read = {name: value for name, value in given_options(options, *KINDS).items() if name != "test_file"}
    text = Path(model).read_text(encoding="utf-8") if _is_recipe(model) else ""
    # other options, rows or weights to start from are another model
    digest = sha256(json.dumps([options, arguments.task, text, contents(read)]).encode()).hexdigest()[:8]
    slug = re.sub(r"[^\w.-]+", "-", name)
    folder = Path(arguments.output_dir) / "models" / f"{slug}-{digest}"
    if is_trained(folder):
        logger.warning(f"{name} is trained already, in {folder}.")
    else:
        logger.warning(f"Training {name} in {folder}.")
        TASKS[arguments.task].main([*options, *going_on(folder), "--output_dir", str(folder)])
    return str(folder)


def measure(predictors: dict[str, Predictor], arguments: CompareArguments) -> dict[str, dict[str, Any]]:
    """Return for each model its score and its difference from the first one's, with intervals, and its costs.

    Raises:
        ValueError: A model knows none of the labels.
    """
    rows = LabelledRows.read(arguments, predictors.values())
    counts = []
    for name, predictor in predictors.items():
        _check_labels(name, predictor, rows)
        counts.append(rows.counts(rows.answers_of(predictor)))
    intervals = paired_intervals(counts, arguments.resamples)
    costs = measure_costs(predictors, rows.texts, arguments.batch_size)
    return {
        name: {"measure": rows.measure, "rows": len(rows.texts), "score": asdict(score), "difference": asdict(difference), **costs[name]}
        for (name, (score, difference)) in zip(predictors, intervals, strict=True)
    }


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


def describe(lines: dict[str, dict[str, Any]]) -> str:
    """Return lines as a table in Markdown, scores in percent."""
    first = next(iter(lines))
    rows = []
    for name, line in lines.items():
        score, difference = Interval(**line["score"]), Interval(**line["difference"])
        beside = "" if name == first else f"{_percent(difference, '+')}"
        rows.append([name, _percent(score), beside, *describe_costs({cost: line[cost] for cost in COSTS})])
    measure = f"{lines[first]['measure'].replace('f1', 'F1')} on {lines[first]['rows']:,} rows"
    return to_markdown(["", measure, f"beside {first}", *COSTS], rows)


def _percent(interval: Interval, sign: str = "") -> str:
    """Return a share and the ends of its interval in percent."""
    value, low, high = (f"{100 * number:{sign}.2f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"
