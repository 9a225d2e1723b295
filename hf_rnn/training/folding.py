"""K folds: a training on each K - 1 of them, measured on the one that is left, whose answers are kept."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from transformers.utils import logging

from ..arguments import DataArguments, LabelledTrainingArguments
from ..data.files.errors import DataError
from ..data.files.locations import Places
from ..data.files.writers import json_line
from ..data.fingerprints import contents
from ..data.rows.folds import ANSWERS, FOLDS, draw_folds
from ..data.rows.splits import Splits, iterate_cells, iterate_texts
from ..data.visible import visible
from ..data.writing import write_whole, written_whole
from ..inference.loading import load
from ..inference.predictor import Predictor
from ..tasks.registry import find_task
from ..tasks.task import TaskOptions
from .checkpoints import resume_options, resume_point, was_trained
from .outputs import SAME_COMMAND, writing_to
from .progress import NO_SCORES, distinct
from .rows import load_task_splits
from .running import set_up

logger = logging.get_logger(__name__)

# of a fold: its scores and its answers, of which the last say that it is done; of all of them the scores
SCORES, DONE, RESULTS = "test_results.json", "answers.jsonl", "folds_results.json"
# sentences at a time whose tokens are scored
BATCH = 64
# what other files or another place of the same rows would change
PLACES = ("train_file", "validation_file", "test_file", "replay_file", "dataset_name", "dataset_config_name")
# options that say nothing of what is learnt
OF_A_RUN = ("output_dir", "run_name", "resume_from_checkpoint", "do_predict", "promise", "overwrite_output_dir")
BESIDE = ("logging", "log_", "hub_", "push_", "save_", "report_", "dataloader_", "disable_", "trackio", "project", "local_rank")
LIMITS = ("max_train_samples", "max_eval_samples", "max_predict_samples")


@dataclass(frozen=True)
class Folded:
    """Training rows in folds.

    Attributes:
        raw: The splits as they were loaded.
        kept (`np.ndarray`): Numbers of the training rows that are learnt from, (N,).
        texts (`list`): Their texts, or lists of tokens.
        given (`list`): Their labels, tags or spans.
        folds (`np.ndarray`): The fold of each, (N,).
    """

    raw: Splits
    kept: np.ndarray
    texts: list[Any]
    given: list[Any]
    folds: np.ndarray


def train_folds(train_once: Callable[..., Any], name: str, options: TaskOptions, given: Splits | None = None) -> dict[str, float]:
    """Train on K - 1 of K folds, K times, and keep the answers to the rows of the one that is left; a fold that is done is not done again.

    Args:
        train_once (`Callable`): Trains as options say; see `train_task`.
        name (`str`): The task.
        options (`TaskOptions`): What is asked for.
        given (`DatasetDict`, *optional*): Rows in memory, in place of files.

    Returns:
        `dict`: Means and standard deviations over folds of the scores, as `folds_accuracy` and `folds_accuracy_std`.

    Raises:
        ValueError: Options or rows are wrong.
    """
    training = options.training
    assert isinstance(training, LabelledTrainingArguments)
    assert training.folds is not None
    _check(options)
    files = {name: getattr(options.data, f"{name}_file") for name in ("train", "validation", "test", "replay")}
    set_up(training, options.model, *files.values())
    with writing_to(training.output_dir, SAME_COMMAND):
        # what the last training would say only hours later
        resume_point(training)
        rows = _read(name, options, training.folds, files, given)
        told = _digest(name, options, rows)
        folder = Path(training.output_dir) / FOLDS
        scores = []
        for fold in range(training.folds):
            own = folder / f"fold-{fold + 1}-{told}"
            scores.append(_train_fold(train_once, name, options, rows, fold, own))
        with written_whole(Path(training.output_dir) / ANSWERS) as file:
            file.writelines(map(json_line, _answers(rows, folder, told)))
        return _summarize(scores, Path(training.output_dir))


def _check(options: TaskOptions) -> None:
    """Raise a ValueError if folds have no meaning beside other options."""
    training = options.training
    if not training.do_train:
        raise ValueError("`folds` are trained on. Pass --do_train, or leave --folds out.")
    if options.has_teacher:
        raise ValueError("`folds` go without a teacher, which has seen their rows. Leave --folds or --teacher_name_or_path out.")
    if options.data.streaming or training.world_size > 1:
        raise ValueError("`folds` need all rows in one process. Leave --folds or --streaming out, and run one process.")


def _read(name: str, options: TaskOptions, count: int, files: Mapping[str, str | None], given: Splits | None) -> Folded:
    """Read the training rows and draw their folds."""
    data, training = options.data, options.training
    raw = load_task_splits(data, _changed(training, do_predict=False), given)
    kind = find_task(name, raw, options)
    prepared = kind.prepare(raw, options)
    columns = kind.choose_columns(prepared, data)
    places = Places(files, data.reading)
    with places.named():
        read = kind.read_labels(prepared, columns, options, places)["train"]
        texts = list(iterate_texts(read, columns.text))
    gold = kind.given(read, columns)
    labels = gold if all(isinstance(each, str) for each in gold) else None
    folds = draw_folds(texts, labels, count, data.split_seed)
    if len(np.unique(folds)) < count:
        raise DataError(f"`folds` must be at most the number of different texts, {len(np.unique(folds))}, got {count}. Pass fewer --folds.")
    kept = places.rows.get("train", np.arange(len(read)))
    return Folded(raw, kept, list(iterate_cells(read, columns.text)), gold, folds)


def _changed(arguments: Any, **values: Any) -> Any:
    """Return a copy of options, checked before, with other values."""
    other = copy(arguments)
    for name, value in values.items():
        setattr(other, name, value)
    return other


def _digest(name: str, options: TaskOptions, rows: Folded) -> str:
    """Return a hash of what a fold is trained on and how."""
    model, data = vars(options.model), {key: value for key, value in vars(options.data).items() if key not in PLACES}
    names = (field.name for field in fields(options.training))
    training = {name: getattr(options.training, name) for name in names if name not in OF_A_RUN and not name.startswith(BESIDE)}
    told = [name, data, model, contents(model), training]
    digest = hashlib.sha256(json.dumps([*told, rows.folds.tolist(), rows.kept.tolist()], default=str).encode())
    for split in rows.raw.values():
        for row in split:
            digest.update(repr(row).encode(errors="surrogatepass"))
    return digest.hexdigest()[:8]


def _train_fold(train_once: Callable[..., Any], name: str, options: TaskOptions, rows: Folded, fold: int, folder: Path) -> dict[str, float]:
    """Train on the other folds, unless that was done before, keep the answers to this one, and return its scores."""
    count = int(rows.folds.max()) + 1
    if not (folder / DONE).is_file():
        logger.warning(f"Fold {fold + 1} of {count}:")
        if not was_trained(folder):
            _train_others(train_once, name, options, rows, fold, folder)
        with written_whole(folder / DONE) as file:
            file.writelines(map(json_line, _answer(rows, fold, folder)))
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
    else:
        logger.warning(f"Fold {fold + 1} of {count} is trained already, in {folder}.")
    return json.loads((folder / SCORES).read_text(encoding="utf-8"))


def _train_others(train_once: Callable[..., Any], name: str, options: TaskOptions, rows: Folded, fold: int, folder: Path) -> None:
    """Train on the other folds, measured on this one."""
    train = rows.raw["train"]
    assert isinstance(train, Dataset)
    parts = {"train": train.select(rows.kept[rows.folds != fold]), "test": train.select(rows.kept[rows.folds == fold])}
    splits = DatasetDict({**rows.raw, **parts})
    nowhere = dict.fromkeys(PLACES)
    limits = dict.fromkeys(LIMITS)
    # a label may be in one fold alone
    data: DataArguments = _changed(options.data, **nowhere, **limits, unknown_labels="wrong")
    resume = resume_options(folder).get("resume_from_checkpoint")
    steps = {"do_predict": True, "promise": None, "folds": None, "push_to_hub": False, "resume_from_checkpoint": resume}
    training = _changed(options.training, output_dir=str(folder), **steps)
    train_once(name, TaskOptions(data, copy(options.model), training), None, splits)


def _answer(rows: Folded, fold: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the model of the other folds answers to the rows of this one, with the scores of all labels, or of each token."""
    predictor = replace(load(str(folder)), threshold=0.0)
    chosen = np.flatnonzero(rows.folds == fold)
    answers = predictor.predict([rows.texts[row] for row in chosen], all_scores=True)
    has_tags = predictor.decoder.kind == "tags"
    more = _tag_scores(predictor, rows, chosen) if has_tags else ({} for _ in answers)
    for row, answer, scores in zip(chosen.tolist(), answers, more, strict=True):
        yield {"index": int(rows.kept[row]), "fold": fold + 1, "given": rows.given[row], **answer, **scores}


def _tag_scores(predictor: Predictor, rows: Folded, chosen: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield for the tokens of each sentence the scores of the tags that are answered, and of those that are given."""
    ids = {label: index for index, label in enumerate(predictor.decoder.labels)}
    for start in range(0, len(chosen), BATCH):
        part = chosen[start : start + BATCH].tolist()
        for row, logits in zip(part, predictor.decoder.logits([rows.texts[row] for row in part]), strict=True):
            probabilities = logits.softmax(-1).numpy()
            # a tag of this fold alone is none of the model's
            given = [float(each[ids[tag]]) if tag in ids else 0.0 for each, tag in zip(probabilities, rows.given[row], strict=True)]
            yield {"scores": probabilities.max(-1, initial=0.0).tolist(), "given_scores": given}


def _answers(rows: Folded, folder: Path, told: str) -> list[dict[str, Any]]:
    """Return the answers to all rows in the order of the data."""
    lines = [line for path in folder.glob(f"fold-*-{told}/{DONE}") for line in path.read_text(encoding="utf-8").split("\n") if line]
    return sorted(map(json.loads, lines), key=lambda row: row["index"])


def _summarize(scores: list[dict[str, float]], folder: Path) -> dict[str, float]:
    """Write the scores of folds, tell their means and standard deviations, and return these by name."""
    first = distinct({name: value for name, value in scores[0].items() if name.startswith("test_") and not name.endswith(NO_SCORES)})
    names = [name for name, value in first.items() if isinstance(value, float) and all(name in each for each in scores)]
    found: dict[str, float] = {}
    told = []
    for name in names:
        values, short = [each[name] for each in scores], name.removeprefix("test_")
        found |= {f"folds_{short}": float(np.mean(values)), f"folds_{short}_std": float(np.std(values, ddof=1))}
        told.append(f"{short} {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}")
    write_whole(
        folder / RESULTS, json.dumps({"folds": [{name: each[name] for name in names} for each in scores], **found}, indent=4) + "\n"
    )
    print(visible(f"{len(scores)} folds    " + "  ".join(told)))
    print(f"Answers to each fold by a model of the others: {folder / ANSWERS}")
    return found
