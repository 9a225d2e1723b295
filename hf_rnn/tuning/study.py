"""Many short trainings, each with other options: how they are run, cut short, kept and gone on with."""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from transformers import PreTrainedModel, set_seed
from transformers.trainer_utils import TrainOutput

from ..training.stopping import LOSS, Patience
from ..training.trainer import RnnTrainer, TrainingDivergedError

STUDY = "tune"
# runs that are compared with none, and those that are drawn at random before the sampler learns from them
STARTUP_RUNS = 5
# how a run may end that is done again, and what says of the others how they did
BROKEN_OFF, ENDED = "broken off", "ended"
# where the library keeps what a run in the queue is to try
QUEUED = "fixed_params"
PRUNERS: dict[str, Callable[[int], BasePruner]] = {
    "median": lambda epochs: MedianPruner(n_startup_trials=STARTUP_RUNS, n_warmup_steps=max(1, epochs // 5)),
    "hyperband": lambda epochs: HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs),
    "none": lambda epochs: NopPruner(),
}


class RunStopping(Patience):
    """Early stopping that starts anew with each run, and knows that no checkpoint is kept."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget the run before."""
        self.early_stopping_patience_counter = 0


class TuningTrainer(RnnTrainer):
    """`RnnTrainer` for `hyperparameter_search`: the score of a run is that of its best epoch, and runs are compared epoch by epoch.

    Args:
        tell (`Callable`): Called after each run with its trial, its best score and epoch, the epochs, seconds, and how it ended.
    """

    def __init__(self, *args: Any, tell: Callable[..., None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tell = tell

    def best(self) -> tuple[float, float]:
        """Return the best score of the run so far, of equal ones that with the least loss, and its epoch."""
        name = f"eval_{str(self.args.metric_for_best_model).removeprefix('eval_')}"
        sign = 1 if self.args.greater_is_better else -1
        entries = [entry for entry in self.state.log_history if name in entry]
        best = max(entries, key=lambda entry: (sign * entry[name], -entry.get(LOSS, 0.0)))
        return best[name], best["epoch"]

    def call_model_init(self, trial: Any = None) -> PreTrainedModel:
        """Build a model; seed again after it, as a trainer does that is given one, so that a training with the same options is the same."""
        model = super().call_model_init(trial)
        set_seed(self.args.seed)
        return model

    def _report_to_hp_search(self, trial: Any, step: int, metrics: dict[str, float]) -> None:
        # steps are others with other batches: epochs are the same
        super()._report_to_hp_search(trial, round(self.state.epoch), metrics)

    def train(self, resume_from_checkpoint: Any = None, trial: Any = None, ignore_keys_for_eval: list[str] | None = None) -> TrainOutput:
        """Train, and tell of the run however it ends."""
        start, end = time.perf_counter(), "failed"
        try:
            output = super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)
            end = "complete"
            return output
        except optuna.TrialPruned:
            end = "pruned"
            raise
        except (KeyboardInterrupt, SystemExit):
            # it is begun again, as one that was killed
            end = BROKEN_OFF
            raise
        finally:
            if end != BROKEN_OFF:
                score, epoch = self.best() if end != "failed" else (None, None)
                trial.set_user_attr(ENDED, end)
                self.tell(trial, score, epoch, self.state.epoch, time.perf_counter() - start, end)


class SteadySampler(optuna.samplers.BaseSampler):
    """Draw the options of a run by the runs that ended before it, whatever was broken off in between: done again, it draws the same.

    Args:
        seed (`int`): That of the study.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Begin anew."""
        ended = sum(ENDED in each.user_attrs for each in study.get_trials(deepcopy=False))
        self.sampler = optuna.samplers.TPESampler(seed=self.seed + ended, n_startup_trials=STARTUP_RUNS)
        self.sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        """Return what is drawn together."""
        return self.sampler.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, Any]) -> dict[str, Any]:
        """Return what is drawn together, of some space."""
        return self.sampler.sample_relative(study, trial, search_space)

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        """Return a value of one option."""
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)


def tuning_trainer(kind: type[RnnTrainer]) -> type[TuningTrainer]:
    """Return the trainer of a study whose runs train as another one does, by a teacher's answers for example."""
    return TuningTrainer if kind is RnnTrainer else type(f"Tuning{kind.__name__}", (TuningTrainer, kind), {})


def open_study(folder: Path, run: Mapping[str, Any], is_better_greater: bool) -> optuna.Study:
    """Return the study in a folder, a new one if there is none; runs that were broken off are done again.

    Args:
        folder (`Path`): Holds `study.db`.
        run (`Mapping`): What the runs share, as JSON has it; a study goes on with the same alone.
        is_better_greater (`bool`): Whether more of the score is better.

    Raises:
        ValueError: The study there is another one.
    """
    # a run that fails is told of in a line
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    direction = StudyDirection.MAXIMIZE if is_better_greater else StudyDirection.MINIMIZE
    study = optuna.create_study(storage=storage_of(folder), study_name=STUDY, direction=direction, load_if_exists=True)
    known, wanted = study.user_attrs.get("run"), json.loads(json.dumps(run))
    if known is None:
        study.set_user_attr("run", wanted)
    elif known != wanted:
        other = sorted(name for name in known.keys() | wanted.keys() if known.get(name) != wanted.get(name))
        raise ValueError(
            f"{folder / 'study.db'} is a study with other options: {', '.join(other)[:200]} differ. Pass the same ones to go on with "
            "it, or another --output_dir."
        )
    _queue_again(study)
    return study


def _queue_again(study: optuna.Study) -> None:
    """Put into the queue of a study again what was in it and did not end; all other runs are drawn again as they were."""
    broken_off = [each for each in study.trials if each.state in (TrialState.RUNNING, TrialState.FAIL) and ENDED not in each.user_attrs]
    for trial in broken_off:
        options = trial.system_attrs.get(QUEUED)
        # it stands there already where this was broken off too, or a call before did it
        if options is not None and not any(options == each.system_attrs.get(QUEUED) for each in study.trials[trial.number + 1 :]):
            study.enqueue_trial(options)
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)


def storage_of(folder: Path) -> optuna.storages.RDBStorage:
    """Return the storage of the study in a folder."""
    # opened by its path: in a URL, names of folders may mean something else
    connect = partial(sqlite3.connect, folder.resolve() / "study.db", check_same_thread=False)
    return optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})


def search(
    trainer: TuningTrainer,
    study: optuna.Study,
    folder: Path,
    training_space: Callable[[Any], dict[str, Any]],
    *,
    runs: int,
    epochs: int,
    pruner: str,
    timeout: float | None,
) -> None:
    """Run trainings until there are so many, or the time is over.

    Args:
        trainer (`TuningTrainer`): Builds a model for each.
        study (`Study`): Keeps them.
        folder (`Path`): Holds the study.
        training_space (`Callable`): Returns options of the trainer for a trial.
        runs (`int`): Runs in all, those of the study included; failed ones do not count.
        epochs (`int`): Most epochs of a run.
        pruner (`str`): Which one of `PRUNERS` cuts runs short.
        timeout (`float`, *optional*): Seconds after which none starts.
    """
    done = [trial for trial in study.trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    if len(done) >= runs:
        return
    trainer.hyperparameter_search(
        hp_space=training_space,
        compute_objective=lambda metrics: trainer.best()[0],
        n_trials=runs - len(done),
        direction=study.direction.name.lower(),
        backend="optuna",
        storage=storage_of(folder),
        study_name=STUDY,
        load_if_exists=True,
        sampler=SteadySampler(trainer.args.seed),
        pruner=PRUNERS[pruner](epochs),
        timeout=timeout,
        # other options may do better
        catch=(TrainingDivergedError,),
    )


def importances_of(study: optuna.Study) -> dict[str, float]:
    """Return how much of the scores' variance each option explains, the largest first; empty where too few runs tell."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if len(complete) < 2 * STARTUP_RUNS or len({trial.value for trial in complete}) < 2:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0))
