"""Look for options that suit the data better than the defaults do, on validation rows, and write the best ones as a recipe.

Any option of the training command may be given too, and is fixed then. Test rows are never read.

Example:
    hf-rnn tune --train_file reviews.csv --runs 20 --output_dir outputs/tune
"""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from transformers import PreTrainedModel
from transformers.utils import logging

from ..arguments import RunArguments
from ..data.files.locations import Places
from ..data.fingerprints import contents
from ..data.writing import write_whole, written_whole
from ..distillation.training import GROUPS, task_options
from ..options import given_options, option, parse_arguments, pick
from ..reports.plots import plot_study
from ..reports.tables import to_markdown
from ..reports.writing import optional
from ..tasks.task import TaskOptions
from ..training.building import build_task_model
from ..training.outputs import SAME_COMMAND, writing_to
from ..training.progress import ProgressLines
from ..training.running import set_up
from ..training.train import Teacher, encode_rows, make_task_trainer, read_rows
from ..training.trainer import RnnTrainer
from ..tuning.search_space import BUILT, SHARED, Candidates, default_space, read_candidates, spread
from .training import DEFAULTS

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


@dataclass
class TuneArguments:
    """What to try, and for how long. All options of the training command may be given too: they are fixed."""

    runs: int = option("Trainings in all, those of an earlier call with the same folder included.", 20, essential=True, within="[1, inf)")
    timeout: float | None = option("Seconds after which no training starts.", essential=True, within="(0, inf)")
    # option() returns a field
    search: list[str] | None = option(  # noqa: RUF009
        "Options to try in place of the usual ones, or beside them: NAME=LOW:HIGH or NAME=VALUE,VALUE,...", essential=True
    )
    search_default: bool = option("Whether the usual ones are tried beside those of --search.", True)
    pruner: str = option(
        "What stops trainings that fall behind: median, hyperband or none.",
        "median",
        choices=["median", "hyperband", "none"],
        essential=True,
    )


class RunBar(ProgressLines):
    """A bar, and no lines: a run is told of when it is over."""

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing."""


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the command; return the best options."""
    argv = sys.argv[1:] if argv is None else argv
    own, run, *_ = parse_arguments(argv, __doc__, TuneArguments, pick(RunArguments, "task"), *GROUPS, defaults=DEFAULTS, hidden=FIXED)
    arguments, given = SimpleNamespace(**vars(own), **vars(run)), given_options(argv, *GROUPS)
    options, _, teacher = task_options({**given, **FIXED})
    data, training = options.data, options.training
    if training.world_size > 1 or data.streaming:
        raise ValueError("`hf-rnn tune` runs as one process and reads rows whole. Start it without accelerate, and without --streaming.")
    tuning = Tuning(arguments, options, given, teacher)
    with writing_to(training.output_dir, SAME_COMMAND):
        return tuning.run()


class Tuning:
    """A study: what is fixed, what is tried, and what becomes of it.

    Args:
        arguments (`SimpleNamespace`): What to try.
        options (`TaskOptions`): What is learnt from which rows.
        given (`dict`): Options of the training command that are not left out.
        teacher (`Teacher`, *optional*): Answers rows too.
    """

    def __init__(self, arguments: SimpleNamespace, options: TaskOptions, given: dict[str, Any], teacher: Teacher | None = None) -> None:
        self.arguments, self.options, self.given, self.teacher = arguments, options, given, teacher
        self.asked = dict(map(self._candidates, arguments.search or ()))
        twice = sorted(given.keys() & spread(self.asked).keys())
        if twice:
            raise ValueError(f"`{twice[0]}` is fixed by --{twice[0]} and tried by --search at once. Leave one of them out.")
        self.folder = Path(options.training.output_dir)

    def _candidates(self, text: str) -> tuple[str, Any]:
        """Return an option of --search and its candidates, read and checked as the training command does."""
        name, parts, is_range = read_candidates(text)
        option_name = SHARED.get(name, (name,))[0]
        values = []
        for part in parts:
            read = parse_arguments([f"--{option_name}={part}", "--output_dir", "x"], None, *GROUPS)
            values.append(next(getattr(each, option_name) for each in read if hasattr(each, option_name)))
        if is_range and not (all(isinstance(value, (int, float)) for value in values) and values[0] < values[1]):
            raise ValueError(f"`search` must name a range from a lower to a higher number, got {text!r}. Pass another --search.")
        return name, Candidates(tuple(values), is_range)

    def run(self) -> dict[str, Any]:
        """Run what is not run yet; write recipe, table and picture."""
        # what needs optuna is not needed for a help text
        from ..tuning import tuning

        options, training = self.options, self.options.training
        files = {"train": options.data.train_file, "validation": options.data.validation_file}
        set_up(training, options.model, *files.values(), *(self.teacher.names if self.teacher else ()))
        places = Places(files)
        with places.named():
            rows = read_rows(self.arguments.task, options, places, teacher=self.teacher)
            splits, encoded, tokenizer = encode_rows(rows, options, self.teacher)
        self.task, self.defaults = rows.task, rows.defaults
        usual = default_space(self.defaults, {*self.given, *spread(self.asked)}) if self.arguments.search_default else {}
        self.space = {**usual, **self.asked}
        if not self.space:
            raise ValueError("Nothing is left to try: every option is fixed. Leave some out, or pass --search.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.study = tuning.open_study(self.folder, self._describe_run(), bool(training.greater_is_better))
        if not self.study.trials:
            # nothing that is found is worse than the defaults
            known = {name: self._default(name) for name in self.space}
            self.study.enqueue_trial({name: value for name, value in known.items() if value is not None and value in self.space[name]})
        build = partial(self._build, tokenizer, splits["train"], encoded["train"])
        own: dict[str, Any] = {"kind": tuning.tuning_trainer(self.teacher.trainer_class if self.teacher else RnnTrainer)}
        trainer = make_task_trainer(self.task, training, encoded, tokenizer, self.teacher, model_init=build, tell=self._tell, **own)
        trainer.remove_callback(ProgressLines)
        trainer.add_callback(RunBar())
        if training.early_stopping_patience:
            trainer.add_callback(tuning.RunStopping(training.early_stopping_patience))
        tuning.search(trainer, self.study, self.folder, self._training_options, epochs=self._most_epochs, **self._limits)
        return self._finish(tuning.importances_of(self.study))

    @property
    def _limits(self) -> dict[str, Any]:
        return {"runs": self.arguments.runs, "pruner": self.arguments.pruner, "timeout": self.arguments.timeout}

    @property
    def _most_epochs(self) -> int:
        epochs = self.space.get("num_train_epochs")
        return max(1, round(max(epochs.values) if epochs else self.options.training.num_train_epochs))

    def _describe_run(self) -> dict[str, Any]:
        fixed = {name: value for name, value in self.given.items() if name not in BESIDE}
        # the same names may stand for other rows
        held = {f"contents of {name}": told for name, told in contents(fixed).items()}
        return {"task": self.arguments.task, **fixed, **held, **{f"search {name}": str(each) for name, each in self.space.items()}}

    def _default(self, name: str) -> Any:
        option_name = SHARED.get(name, (name,))[0]
        return self.defaults.get(option_name, DEFAULTS.get(option_name, getattr(self.options.training, option_name, None)))

    def _chosen(self, trial: Any, is_built: bool) -> dict[str, Any]:
        """Return what a trial chooses of the options by which a model is built, or of the others."""
        names = [name for name in self.space if (name in (*SHARED, *BUILT)) == is_built]
        return {name: self.space[name].suggest(trial, name) for name in names}

    def _training_options(self, trial: Any) -> dict[str, Any]:
        return self._chosen(trial, is_built=False)

    def _build(self, tokenizer: Any, rows: Any, encoded: Any, trial: Any = None) -> PreTrainedModel:
        """Return a new model with what a trial chooses."""
        chosen = replace(self.options.model, **spread(self._chosen(trial, is_built=True) if trial else {}))
        model = build_task_model(self.task, replace(self.options, model=chosen), tokenizer, self.defaults, rows, encoded)
        if hasattr(model, "set_linear_path"):
            # the linear model of a checkpoint has no part in this
            model.set_linear_path(None)
        return model

    def _tell(self, trial: Any, score: float | None, best: float | None, epochs: float, seconds: float, end: str) -> None:
        """Say in a line how a run ended, and keep what the table has to say."""
        trial.set_user_attr("epoch", best)
        trial.set_user_attr("seconds", round(seconds, 1))
        number = f"run {trial.number + 1}"
        options = ", ".join(f"{name} {value}" for name, value in self._options_of(trial).items())
        result = (
            f"failed after {epochs or 0:.3g} epochs" if score is None else f"{self._metric} {score:.4f} at epoch {best:.3g} of {epochs:.3g}"
        )
        logger.warning(f"{number}: {result}{' (stopped, behind others)' if end == 'pruned' else ''}, {seconds:.0f} s; {options}")

    @property
    def _metric(self) -> str:
        return str(self.options.training.metric_for_best_model).removeprefix("eval_")

    def _options_of(self, trial: Any) -> dict[str, Any]:
        """Return what a run chose, as it was trained with."""
        return {name: each.used(trial.params[name]) for name, each in self.space.items() if name in trial.params}

    def _finish(self, importances: dict[str, float]) -> dict[str, Any]:
        """Write and print what was found; return the best options."""
        complete = [trial for trial in self.study.trials if trial.state.name == "COMPLETE"]
        if not complete:
            raise ValueError("No training was completed. Pass more --runs or a longer --timeout, or other ranges of --search.")
        best = self.study.best_trial
        options = spread(self._options_of(best))
        table = self._table()
        write_whole(self.folder / TABLE, table)
        path = self.folder / RECIPE
        # what was broken off was done again
        runs = sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in self.study.trials)
        score = f"{self._metric} {best.value:.4f} on validation rows, the best of {runs} runs of hf-rnn tune"
        with written_whole(path) as file:
            file.write(f"# {score}\n{yaml.safe_dump(self._recipe(options), allow_unicode=True, sort_keys=False)}")
        with optional("The picture"):
            runs = [(trial.number + 1, trial.value, trial.state.name == "PRUNED") for trial in self.study.trials]
            greater = bool(self.options.training.greater_is_better)
            plot_study(runs, importances, self.folder / PICTURE, self._metric, greater)
        where = shlex.quote(str(path))
        print(f"\n{table}\nScore:  {score}\nRecipe: {where} (all runs in {TABLE} and {PICTURE})")
        print(f"Next:   hf-rnn {self.arguments.task} {where} --output_dir outputs/best")
        return options

    def _table(self) -> str:
        """Return the best runs as a table."""
        sign = -1 if self.options.training.greater_is_better else 1
        ended = [trial for trial in self.study.trials if trial.value is not None and trial.state.name in ("COMPLETE", "PRUNED")]
        order = sorted(ended, key=lambda trial: (trial.state.name == "PRUNED", sign * (trial.value or 0.0)))
        rows = []
        for trial in order[:SHOWN]:
            shown, attributes = self._options_of(trial), trial.user_attrs
            epoch = "stopped" if trial.state.name == "PRUNED" else f"{attributes.get('epoch') or 0:.3g}"
            cells = [f"{trial.value:.4f}", epoch, f"{attributes.get('seconds', 0):.0f}"]
            rows.append([str(trial.number + 1), *cells, *(str(shown.get(name, "")) for name in self.space)])
        return to_markdown(["run", self._metric, "best epoch", "seconds", *self.space], rows)

    def _recipe(self, best: Mapping[str, Any]) -> dict[str, Any]:
        """Return all options of the best run: those found, those given, and what the others were by default."""
        has_tokenizer = any(getattr(self.options.model, name) for name in ("model_name_or_path", "tokenizer_name", "embeddings_from"))
        left_out = {*TOKENIZER} if has_tokenizer or self.defaults.get("tokenizer_type") == "units" else set()
        defaults = {name: value for name, value in self.defaults.items() if name not in left_out}
        if self.options.model.model_name_or_path or self.options.model.config_name:
            defaults = {name: value for name, value in defaults.items() if name in TRAINING}
        given = {name: getattr(value, "value", value) for name, value in self.given.items() if name not in BESIDE - {"test_file"}}
        # runs are measured by their best epoch
        return {**defaults, **given, **best, "do_train": True, "do_eval": True, "load_best_model_at_end": True}
