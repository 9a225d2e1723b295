"""From rows to better options: what `hf-rnn tune` and `hf_rnn.tuning.tune` do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from transformers import PreTrainedModel
from transformers.utils import logging

from ..data.files.locations import Places
from ..data.fingerprints import contents
from ..data.writing import write_whole, written_whole
from ..distillation.training import DEFAULTS, task_options
from ..reports.plots import plot_study
from ..reports.tables import to_markdown
from ..reports.writing import optional
from ..tasks.task import Task, TaskOptions
from ..training.building import build_task_model
from ..training.outputs import SAME_COMMAND, writing_to
from ..training.progress import ProgressBar, ProgressLines
from ..training.rows import files_of
from ..training.running import set_up
from ..training.train import Teacher, encode_rows, make_task_trainer, read_rows
from ..training.trainer import RnnTrainer
from ..training.weights import add_weights, check_weights
from .search_space import BUILT, SHARED, Candidates, default_space, read_search, spread

if TYPE_CHECKING:
    import optuna

logger = logging.get_logger(__name__)

RECIPE, PICTURE, TABLE = "best.yaml", "tune.png", "tune.md"
SHOWN = 10
# runs learn and are measured, leave no checkpoint, and never see the test rows
FIXED = {"do_train": True, "do_eval": True, "do_predict": False, "save_strategy": "no", "push_to_hub": False}
# options that say nothing about what is learnt
BESIDE = {*FIXED, "output_dir", "test_file", "disable_tqdm", "log_level", "report_to", "load_best_model_at_end"}
# parts of the defaults that make a tokenizer, or a model
TOKENIZER = ("tokenizer_type", "vocab_size")
TRAINING = ("learning_rate", "per_device_train_batch_size", "num_train_epochs", "validation_share", "linear_size")


@dataclass(frozen=True)
class TuningResult:
    """What a search found.

    Attributes:
        options (`dict`): The options of the best run, of those that were tried.
        metric (`str`): Name of the score.
        score (`float`): That of the best run, at its best epoch, on validation rows.
        runs (`int`): How many trainings there were.
        folder (`Path`): Holds the recipe `best.yaml`, `tune.md`, `tune.png` and the study.
        table (`str`): The best runs, in Markdown.
    """

    options: dict[str, Any]
    metric: str
    score: float
    runs: int
    folder: Path
    table: str

    @property
    def recipe(self) -> Path:
        """Return the file that a training command takes."""
        return self.folder / RECIPE

    def __str__(self) -> str:
        return f"{self.metric} {self.score:.4f} on validation rows, the best of {self.runs} runs of hf-rnn tune"


def tune(
    task: str = "text-classification",
    *,
    train: Any,
    validation: Any = None,
    output_dir: str = "tune",
    runs: int = 20,
    timeout: float | None = None,
    search: Sequence[str] = (),
    search_default: bool = True,
    pruner: str = "median",
    **options: Any,
) -> TuningResult:
    """Look for options that suit the rows better than the defaults do, on validation rows (Optuna, Akiba et al. 2019).

    The defaults are tried first. Test rows are never read. A study that was broken off goes on with the same call.

    Args:
        task (`str`): "text-classification" or "token-classification".
        train (`Any`): Labelled rows, as `hf_rnn.train` takes them.
        validation (`Any`, *optional*): Rows to measure on; carved from the training rows by default.
        output_dir (`str`): Folder for recipe, table, picture and study.
        runs (`int`): Trainings in all, those of an earlier call with the same folder included.
        timeout (`float`, *optional*): Seconds after which no training starts.
        search (`Sequence`): Options to try in place of the usual ones, or beside them: "NAME=LOW:HIGH" or "NAME=VALUE,VALUE,...".
        search_default (`bool`): Whether the usual ones are tried beside those of `search`.
        pruner (`str`): What stops trainings that fall behind: "median", "hyperband" or "none".
        options: Options of the training by their names; they are fixed.

    Raises:
        ValueError: Rows, options or candidates are wrong, the folder holds another study, or no training was completed.
    """
    asked = read_search(search)
    twice = sorted(options.keys() & spread(asked).keys())
    if twice:
        raise ValueError(f"`{twice[0]}` is fixed by --{twice[0]} and tried by --search at once. Leave one of them out.")
    given = {"train": train, "validation": validation}
    with files_of(given) as files:
        in_memory = [f"{split}_file" for split, value in given.items() if f"{split}_file" in files and files[f"{split}_file"] != str(value)]
        values = {**options, **files}
        parts, _, teacher = task_options({**values, **FIXED, "output_dir": output_dir})
        if parts.training.world_size > 1 or parts.data.streaming:
            raise ValueError(
                "`hf-rnn tune` runs as one process and reads rows whole. Start it without accelerate, and without --streaming."
            )
        if getattr(parts.training, "folds", None):
            raise ValueError("`folds` are of a training, and runs of a search are measured on the same held-out rows. Leave --folds out.")
        study = _Search(task, values, parts, teacher, asked, search_default, Path(output_dir), tuple(in_memory))
        with writing_to(output_dir, SAME_COMMAND):
            return study.run(runs, timeout, pruner)


@dataclass(frozen=True)
class _Space:
    """What runs choose from.

    Args:
        tried (`dict`): Candidates by name.
        defaults (`dict`): What options are when they are left out.
    """

    tried: dict[str, Candidates]
    defaults: dict[str, Any]

    def choose(self, trial: Any, is_built: bool) -> dict[str, Any]:
        """Let a trial choose the options by which a model is built, or the others."""
        names = [name for name in self.tried if (name in (*SHARED, *BUILT)) == is_built]
        return {name: self.tried[name].suggest(trial, name) for name in names}

    def options_of(self, trial: Any) -> dict[str, Any]:
        """Return what a run chose, as it was trained with."""
        return {name: each.used(trial.params[name]) for name, each in self.tried.items() if name in trial.params}

    def usual(self, training: Any) -> dict[str, Any]:
        """Return the defaults, as far as they are among the candidates."""
        names = {name: SHARED.get(name, (name,))[0] for name in self.tried}
        known = {name: self.defaults.get(each, DEFAULTS.get(each, getattr(training, each, None))) for name, each in names.items()}
        return {name: value for name, value in known.items() if value is not None and value in self.tried[name]}

    @property
    def most_epochs(self) -> float | None:
        """Return the largest number of epochs that is tried, if several are."""
        epochs = self.tried.get("num_train_epochs")
        return max(epochs.values) if epochs else None


@dataclass(frozen=True)
class _Search:
    """What is fixed, and what is tried.

    Args:
        task (`str`): What is learnt.
        given (`dict`): Options of the training that are not left out, files among them.
        options (`TaskOptions`): The same, read and checked.
        teacher (`Teacher`, *optional*): Answers rows too.
        asked (`dict`): Candidates that are asked for.
        has_usual (`bool`): Whether the usual ones are tried too.
        folder (`Path`): Where it is kept.
        in_memory (`tuple`): Names of options whose files stand for rows in memory.
    """

    task: str
    given: dict[str, Any]
    options: TaskOptions
    teacher: Teacher | None
    asked: dict[str, Candidates]
    has_usual: bool
    folder: Path
    in_memory: tuple[str, ...] = ()

    def run(self, runs: int, timeout: float | None, pruner: str) -> TuningResult:
        """Run what is not run yet; write recipe, table and picture."""
        # what needs optuna is not needed for a help text
        from . import study as studies

        options, teacher = self.options, self.teacher
        data, training = options.data, options.training
        files = {"train": data.train_file, "validation": data.validation_file}
        set_up(training, options.model, *files.values(), *(teacher.names if teacher else ()))
        places = Places(files)
        with places.named():
            rows = read_rows(self.task, options, places, teacher=teacher)
            check_weights(rows.task, options)
            splits, encoded, tokenizer = encode_rows(rows, options, teacher)
            encoded = add_weights(rows.task, splits, encoded, options)
        usual = default_space(rows.defaults, {*self.given, *spread(self.asked)}) if self.has_usual else {}
        space = _Space({**usual, **self.asked}, rows.defaults)
        if not space.tried:
            raise ValueError("Nothing is left to try: every option is fixed. Leave some out, or pass --search.")
        study = studies.open_study(self.folder, self._describe(space), bool(training.greater_is_better))
        if not study.trials:
            # nothing that is found is worse than the defaults
            study.enqueue_trial(space.usual(training))

        def build(trial: Any = None) -> PreTrainedModel:
            chosen = spread(space.choose(trial, is_built=True)) if trial else {}
            return _build(rows.task, options, chosen, tokenizer, rows.defaults, splits["train"], encoded["train"])

        trainer = make_task_trainer(
            rows.task,
            training,
            encoded,
            tokenizer,
            teacher,
            model_init=build,
            kind=studies.tuning_trainer(teacher.trainer_class if teacher else RnnTrainer),
            tell=lambda trial, *how: _tell(trial, space.options_of(trial), _metric(options), *how),
        )
        trainer.remove_callback(ProgressLines)
        trainer.add_callback(ProgressBar())
        if training.early_stopping_patience:
            trainer.add_callback(studies.RunStopping(training.early_stopping_patience))
        epochs = max(1, round(space.most_epochs or training.num_train_epochs))
        choose = lambda trial: space.choose(trial, is_built=False)  # noqa: E731
        studies.search(trainer, study, self.folder, choose, runs=runs, epochs=epochs, pruner=pruner, timeout=timeout)
        return self._finish(space, study, studies.importances_of(study))

    def _describe(self, space: _Space) -> dict[str, Any]:
        """Return what the runs of a study share."""
        fixed = {name: value for name, value in self.given.items() if name not in BESIDE}
        # the same names may stand for other rows
        held = {f"contents of {name}": told for name, told in contents(fixed).items()}
        fixed |= dict.fromkeys(self.in_memory, "rows in memory")
        return {"task": self.task, **fixed, **held, **{f"search {name}": str(each) for name, each in space.tried.items()}}

    def _finish(self, space: _Space, study: "optuna.Study", importances: dict[str, float]) -> TuningResult:
        """Write what was found, and return it."""
        if not any(trial.state.name == "COMPLETE" for trial in study.trials):
            raise ValueError("No training was completed. Pass more --runs or a longer --timeout, or other ranges of --search.")
        metric, greater = _metric(self.options), bool(self.options.training.greater_is_better)
        best = spread(space.options_of(study.best_trial))
        table = _table(study, space, metric, greater)
        # what was broken off was done again
        ended = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials)
        result = TuningResult(best, metric, study.best_value, ended, self.folder, table)
        write_whole(self.folder / TABLE, table)
        with written_whole(result.recipe) as file:
            recipe = yaml.safe_dump(self._recipe(space.defaults, best), allow_unicode=True, sort_keys=False)
            file.write(f"# {result}\n{recipe}")
        with optional("The picture"):
            runs = [(trial.number + 1, trial.value, trial.state.name == "PRUNED") for trial in study.trials]
            plot_study(runs, importances, self.folder / PICTURE, metric, greater)
        return result

    def _recipe(self, defaults: Mapping[str, Any], best: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of the best run: those found, those given, and what the others were by default."""
        has_tokenizer = any(getattr(self.options.model, name) for name in ("model_name_or_path", "tokenizer_name", "embeddings_from"))
        left_out = {*TOKENIZER} if has_tokenizer or defaults.get("tokenizer_type") == "units" else set()
        defaults = {name: value for name, value in defaults.items() if name not in left_out}
        if self.options.model.model_name_or_path or self.options.model.config_name:
            defaults = {name: value for name, value in defaults.items() if name in TRAINING}
        unknown = {*BESIDE, *self.in_memory} - {"test_file"}
        given = {name: getattr(value, "value", value) for name, value in self.given.items() if name not in unknown}
        # runs are measured by their best epoch
        return {**defaults, **given, **best, "do_train": True, "do_eval": True, "load_best_model_at_end": True}


def _build(
    task: Task, options: TaskOptions, chosen: Mapping[str, Any], tokenizer: Any, defaults: dict[str, Any], rows: Any, encoded: Any
) -> PreTrainedModel:
    """Return a new model with what a trial chose."""
    model = build_task_model(task, replace(options, model=replace(options.model, **chosen)), tokenizer, defaults, rows, encoded)
    if hasattr(model, "set_linear_path"):
        # the linear model of a checkpoint has no part in this
        model.set_linear_path(None)
    return model


def _metric(options: TaskOptions) -> str:
    return str(options.training.metric_for_best_model).removeprefix("eval_")


def _tell(
    trial: Any, chosen: Mapping[str, Any], metric: str, score: float | None, best: float | None, epochs: float, seconds: float, end: str
) -> None:
    """Say in a line how a run ended, and keep what the table has to say."""
    trial.set_user_attr("epoch", best)
    trial.set_user_attr("seconds", round(seconds, 1))
    result = f"failed after {epochs or 0:.3g} epochs" if score is None else f"{metric} {score:.4f} at epoch {best:.3g} of {epochs:.3g}"
    stopped = " (stopped, behind others)" if end == "pruned" else ""
    told = ", ".join(f"{name} {value}" for name, value in chosen.items())
    logger.warning(f"run {trial.number + 1}: {result}{stopped}, {seconds:.0f} s; {told}")


def _table(study: "optuna.Study", space: _Space, metric: str, greater_is_better: bool) -> str:
    """Return the best runs as a table."""
    sign = -1 if greater_is_better else 1
    ended = [trial for trial in study.trials if trial.value is not None and trial.state.name in ("COMPLETE", "PRUNED")]
    order = sorted(ended, key=lambda trial: (trial.state.name == "PRUNED", sign * (trial.value or 0.0)))
    rows = []
    for trial in order[:SHOWN]:
        shown, attributes = space.options_of(trial), trial.user_attrs
        epoch = "stopped" if trial.state.name == "PRUNED" else f"{attributes.get('epoch') or 0:.3g}"
        cells = [f"{trial.value:.4f}", epoch, f"{attributes.get('seconds', 0):.0f}"]
        rows.append([str(trial.number + 1), *cells, *(str(shown.get(name, "")) for name in space.tried)])
    return to_markdown(["run", metric, "best epoch", "seconds", *space.tried], rows)
