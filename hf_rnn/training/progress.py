"""What a run says: one bar where someone watches, plain lines everywhere, and at the end the score, the folder and what to do next."""

import shlex
import sys
from time import monotonic
from typing import Any

from tqdm.auto import tqdm
from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import PredictionOutput

from ..data.progress import SILENCE, time_left
from ..data.visible import visible
from ..sharing.cards import NO_SCORES, distinct

NAMES = {"eval": "validation", "test": "test"}


class ProgressBar(ProgressCallback):
    """One bar on a terminal: of the steps while training, else of the rows to predict."""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Open the bar."""
        if state.is_world_process_zero:
            self.training_bar = tqdm(total=state.max_steps, dynamic_ncols=True, leave=False, disable=args.disable_tqdm or None)
        self.current_step = 0

    def on_prediction_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Go on with a bar of its own, unless the run is training or nobody watches."""
        if self.training_bar is None and sys.stderr.isatty() and not args.disable_tqdm:
            super().on_prediction_step(args, state, control, **kwargs)

    def on_log(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing."""


class ProgressLines(ProgressBar):
    """The bar, and a line for whatever is logged.

    Where nobody watches, as in the log of a job, a minute of training without a line ends in one that says how long it still takes.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Open the bar, and look at the clock."""
        super().on_train_begin(args, state, control, **kwargs)
        self.first_step = state.global_step
        self.began = self.told = monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar on; where there is none, say from time to time how far training is."""
        super().on_step_end(args, state, control, **kwargs)
        now = monotonic()
        if not state.is_world_process_zero or not self.training_bar.disable or now < self.told + SILENCE:
            return
        left = time_left(now - self.began, state.global_step - self.first_step, state.max_steps - self.first_step)
        tqdm.write(f"epoch {state.epoch or 0:<5.3g} {state.global_step:,} of {state.max_steps:,} steps, {left}")
        self.told = now

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Write a line."""
        if not state.is_world_process_zero or not logs:
            return
        self.told = monotonic()
        if "train_runtime" in logs:
            rate = f"{logs['train_samples_per_second']:,.0f} rows a second"
            tqdm.write(f"Trained for {logs['train_runtime']:,.0f} s, {rate}.")
        else:
            tqdm.write(f"epoch {state.epoch or 0:<5.4g} {line_of(logs)}")


def line_of(metrics: dict[str, float]) -> str:
    """Return the scores of training, validation or test, whichever the names tell, in one line."""
    prefix = next((prefix for prefix in NAMES if any(name.startswith(f"{prefix}_") for name in metrics)), None)
    shown = {name: value for name, value in distinct(metrics).items() if name.endswith("loss") or not name.endswith(NO_SCORES)}
    if prefix is None:
        shown = {name: shown[name] for name in ("loss", "accuracy") if name in shown}
    scores = (
        f"{name.removeprefix(f'{prefix}_')} {value:.4f}" for name, value in shown.items() if isinstance(value, float) and name != "epoch"
    )
    # names of labels are part of them
    return f"{NAMES.get(prefix or '', 'training'):11}" + visible("  ".join(scores))


def summary(trainer: Trainer, outputs: dict[str, PredictionOutput], task: str, example: str) -> str:
    """Return three lines that end a training: the score and its epoch, where the model is, and the next command.

    Args:
        trainer (`Trainer`): After training.
        outputs (`dict`): Predictions by split, with their metrics.
        task (`str`): "text-classification", "token-classification", or that of a language model.
        example (`str`): A text of the data.
    """
    folder = shlex.quote(trainer.args.output_dir)
    if task.endswith("-classification"):
        following = f"hf-rnn predict --model_name_or_path {folder} --text {shlex.quote(example)}"
    elif task == "text-generation":
        call = f"pipeline({task!r}, {trainer.args.output_dir!r})({example!r})"
        code = f"import hf_rnn; from transformers import pipeline; print({call}[0]['generated_text'])"
        following = f"python -c {shlex.quote(code)}"
    else:
        following = f"hf-rnn text-classification --model_name_or_path {folder} --train_file FILE --do_train --do_eval"
    return f"Score: {_score(trainer, outputs)}\nModel: {folder} (card in README.md, curves in curves.png)\nNext:  {following}"


def _score(trainer: Trainer, outputs: dict[str, PredictionOutput]) -> str:
    state, metric = trainer.state, str(trainer.args.metric_for_best_model).removeprefix("eval_")
    prefixes = {"validation": "eval", "test": "test"}
    scores = {split: (output.metrics or {}).get(f"{prefixes[split]}_{metric}") for split, output in outputs.items()}
    told = [f"{metric} {score:.4f} on {split}" for split, score in scores.items() if score is not None]
    if not told:
        return f"none after {state.epoch:.4g} epochs; --do_eval measures on rows held out"
    epochs = (entry["epoch"] for entry in state.log_history if entry["step"] == state.best_global_step)
    best = next(epochs, None) if state.best_global_step and trainer.args.load_best_model_at_end else None
    when = f"the weights of epoch {best:.4g}, the best of {state.epoch:.4g}" if best else f"after {state.epoch:.4g} epochs"
    return f"{', '.join(told)} ({when})"
