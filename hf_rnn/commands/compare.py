"""Compare models on the same rows: one table and one picture of scores with intervals, sizes and speeds.

Each model is a folder or Hub name of a classifier or tagger of any architecture, a folder or file of an ONNX export, or what is
trained first: a YAML file of options (a recipe), or options as "cell_type=gru hidden_size=128".

Example:
    hf-rnn compare outputs/reviews outputs/reviews-onnx "cell_type=gru" --train_file reviews.csv --test_file test.csv
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datasets import disable_progress_bars
from transformers import TrainingArguments
from transformers.utils import logging

from ..arguments import DataArguments, LabelledTrainingArguments, LoadArguments, RunArguments, ServeArguments, UseArguments
from ..data.files.readers import read_rows
from ..data.fingerprints import contents
from ..data.writing import write_whole
from ..distillation.training import GROUPS, train_by_options
from ..evaluation.compare import compare, describe, open_model
from ..inference.predictor import Predictor
from ..options import check_given, option, options_of, pick, read_arguments
from ..reports.plots import plot_comparison
from ..reports.tables import to_latex
from ..training.checkpoints import resume_options, was_trained
from ..training.outputs import SAME_COMMAND, writing_to

logger = logging.get_logger(__name__)

FILE = "comparison"


@dataclass
class CompareArguments:
    """What to compare, and how."""

    # option() returns a field
    names: list[str] | None = option("Their names in table and picture.", essential=True)  # noqa: RUF009
    resamples: int = option("Resamples of the bootstrap behind the intervals.", 1000, within="[100, inf)")


KINDS = (
    pick(ServeArguments, "models"),
    CompareArguments,
    pick(RunArguments, "task", "seeds"),
    pick(DataArguments, "train_file", "validation_file", "test_file", "text_column_name", "label_column_name"),
    pick(LabelledTrainingArguments, seed=None, output_dir=FILE),
    pick(UseArguments, "long_texts", batch_size=32),
    pick(LoadArguments, "trust_remote_code"),
)


def main(argv: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Run the command; return the lines of the table by model."""
    arguments = read_arguments(argv, __doc__, *KINDS, first="models")
    check_given(arguments, models="two or more to compare", test_file="labelled rows to compare on")
    if not sys.stderr.isatty():
        disable_progress_bars()
    # at once, before anything is trained
    next(iter(read_rows(str(arguments.test_file))), None)
    with writing_to(arguments.output_dir, SAME_COMMAND):
        return _compare(arguments)


def _compare(arguments: SimpleNamespace) -> dict[str, dict[str, Any]]:
    """Open or train the models, measure them, and write what is found."""
    names = ("text_column_name", "label_column_name", "resamples", "batch_size")
    lines = compare(open_models(arguments), arguments.test_file, **{name: getattr(arguments, name) for name in names})
    folder = Path(arguments.output_dir)
    table = describe(lines)
    print(table)
    write_whole(folder / f"{FILE}.md", table)
    write_whole(folder / f"{FILE}.tex", describe(lines, to_latex))
    write_whole(folder / f"{FILE}.json", json.dumps(lines, ensure_ascii=False, indent=2) + "\n")
    plot_comparison(lines, folder / f"{FILE}.png")
    print(f"Wrote {FILE}.md, {FILE}.tex, {FILE}.json and {FILE}.png to {folder}.")
    return lines


def open_models(arguments: SimpleNamespace) -> dict[str, Predictor | list[Predictor]]:
    """Load the models, those that are to be trained after their training, with each seed; return them by name.

    Raises:
        ValueError: Names are not one for each model, or one stands twice.
    """
    models = arguments.models or []
    if len(set(models)) < len(models):
        raise ValueError(f"`models` must be different, got {models}. Name each once.")
    names = arguments.names or _short_names(models)
    if len(names) != len(models) or len(set(names)) < len(names):
        raise ValueError(f"`names` must be one for each of {len(models)} models, all different, got {names}. Pass other --names.")
    pairs, options = list(zip(names, models, strict=True)), (arguments.trust_remote_code, arguments.long_texts)
    # what cannot be loaded is told before anything is trained
    opened: dict[str, Mapping[str, Any]] = {name: open_model(name, model, *options) for name, model in pairs if not _is_trained(model)}
    for name, model in pairs:
        if _is_trained(model):
            folders = [_train(name, model, arguments, turn) for turn in range(arguments.seeds)]
            opened[name] = {name: [open_model(name, folder, *options)[name] for folder in folders]}
    return {title: predictor for name in names for title, predictor in opened[name].items()}


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


def _train(name: str, model: str, arguments: SimpleNamespace, turn: int) -> str:
    """Train what a recipe or settings say, with another seed each turn, unless that was done before; return the folder."""
    own = options_of([model] if _is_recipe(model) else [f"--{setting}" for setting in model.split()], *GROUPS)
    shared = ("train_file", "validation_file", "text_column_name", "label_column_name", "seed")
    common = {each: getattr(arguments, each) for each in shared if getattr(arguments, each) is not None}
    seed = turn + (own | common).get("seed", TrainingArguments.seed)
    # the test rows are for the comparison alone
    options = {**own, **common, "do_train": True, "do_eval": True, "do_predict": False, "push_to_hub": False, "seed": seed}
    files = {each: value for each, value in options.items() if each != "test_file"}
    # other options, rows or weights to start from are another model
    digest = sha256(json.dumps([options, arguments.task, contents(files)], default=str).encode()).hexdigest()[:8]
    slug = re.sub(r"[^\w.-]+", "-", name)
    folder = Path(arguments.output_dir) / "models" / f"{slug}-{digest}"
    what = f"{name} with seed {seed}" if arguments.seeds > 1 else name
    if was_trained(folder):
        logger.warning(f"{what} is trained already, in {folder}.")
    else:
        logger.warning(f"Training {what} in {folder}.")
        train_by_options(arguments.task, {**options, **resume_options(folder), "output_dir": str(folder)})
    return str(folder)
