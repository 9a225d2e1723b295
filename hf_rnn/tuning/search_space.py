"""Which options `hf-rnn tune` tries: a small space around the defaults, or what the options say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..arguments import CONFIG_DEFAULTS, LabelledTrainingArguments, ModelArguments
from ..distillation.training import GROUPS
from ..options import parse_arguments

# options that are tried together under one name
SHARED = {"dropout": ("input_dropout", "hidden_dropout", "classifier_dropout")}
# of the model's options, those by which one is built anew; tokenizer and linear model stay as they are
BUILT = tuple(name for name in ModelArguments.__dataclass_fields__ if name in CONFIG_DEFAULTS and name not in ("vocab_size", "linear_size"))
# ends of a range that are so many times apart are tried on a scale of logarithms
LOGARITHMIC = 10


@dataclass(frozen=True)
class Candidates:
    """Values of an option: some, or a range of numbers.

    Args:
        values (`tuple`): The values, or the two ends of the range.
        is_range (`bool`): Whether they are ends.
        step (`float`, *optional*): Distance of numbers in the range.
    """

    values: tuple[Any, ...]
    is_range: bool = False
    step: float | None = None

    def suggest(self, trial: Any, name: str) -> Any:
        """Let a trial of Optuna choose a value, which its study keeps under the name."""
        if not self.is_range:
            return trial.suggest_categorical(name, self.values)
        low, high = self.values
        is_wide = low > 0 and high / low >= LOGARITHMIC
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(name, low, high, log=is_wide)
        return self.used(trial.suggest_float(name, low, high, log=is_wide and self.step is None, step=self.step))

    def used(self, value: Any) -> Any:
        """Return what is used of a value that a study keeps: of fractions three digits, as many as matter."""
        return float(f"{value:.3g}") if self.is_range and isinstance(value, float) else value

    def __contains__(self, value: Any) -> bool:
        return self.values[0] <= value <= self.values[1] if self.is_range else value in self.values

    def __str__(self) -> str:
        return ("{} to {}" if self.is_range else ", ".join(["{}"] * len(self.values))).format(*self.values)


def default_space(defaults: Mapping[str, Any], given: Iterable[str]) -> dict[str, Candidates]:
    """Return what is tried by name, around the defaults for the rows at hand; what is given stays as it is.

    Args:
        defaults (`Mapping`): What the options are when they are left out.
        given (`Iterable`): Names of options that are not left out. With a checkpoint or config among them only learning rate and epochs
            are tried, as the model is there.
    """
    rate, epochs = defaults["learning_rate"], defaults["num_train_epochs"]
    space = {
        "learning_rate": Candidates((rate / 4, rate * 4), is_range=True),
        "num_train_epochs": Candidates(tuple(dict.fromkeys(float(max(1, round(epochs * factor))) for factor in (0.5, 1, 1.5)))),
    }
    given = set(given)
    if not given & {"model_name_or_path", "config_name"}:
        width, layers = defaults["hidden_size"], defaults["num_hidden_layers"]
        space |= {
            "dropout": Candidates((0.1, 0.7), is_range=True, step=0.05),
            "hidden_size": Candidates((width // 2, width, width * 3 // 2)),
            "num_hidden_layers": Candidates(tuple(sorted({1, 2, layers}))),
            "cell_type": Candidates(("lstm", "gru")),
        }
    return {name: candidates for name, candidates in space.items() if not given & {name, *SHARED.get(name, ())}}


def read_candidates(text: str) -> tuple[str, list[str], bool]:
    """Return the name of an option, its values or ends, and whether they are ends, of "NAME=LOW:HIGH" or "NAME=VALUE,VALUE,...".

    Raises:
        ValueError: It is neither, or the option is none that can be tried.
    """
    name, _, values = text.partition("=")
    is_range = ":" in values
    parts = values.split(":" if is_range else ",")
    if not all(parts) or len(parts) < 2 or (is_range and len(parts) != 2):
        raise ValueError(
            f"`search` must be NAME=LOW:HIGH or NAME=VALUE,VALUE,..., got {text!r}. Pass --search such as learning_rate=1e-4:1e-2."
        )
    if name not in (*SHARED, *BUILT, *LabelledTrainingArguments.__dataclass_fields__):
        raise ValueError(
            f"`search` takes {', '.join((*SHARED, *BUILT))} and what the trainer takes, such as learning_rate, got {name!r}. Pass other "
            "options as they are: they are fixed."
        )
    return name, parts, is_range


def read_search(texts: Iterable[str]) -> dict[str, Candidates]:
    """Return candidates by name, read and checked as the training command reads options; see `read_candidates`."""
    return dict(map(_read_option, texts))


def _read_option(text: str) -> tuple[str, Candidates]:
    name, parts, is_range = read_candidates(text)
    option_name = SHARED.get(name, (name,))[0]
    values = []
    for part in parts:
        read = parse_arguments([f"--{option_name}={part}", "--output_dir", "x"], None, *GROUPS)
        values.append(next(getattr(each, option_name) for each in read if hasattr(each, option_name)))
    if is_range and not (all(isinstance(value, (int, float)) for value in values) and values[0] < values[1]):
        raise ValueError(f"`search` must name a range from a lower to a higher number, got {text!r}. Pass another --search.")
    return name, Candidates(tuple(values), is_range)


def spread(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by their own names: those that are tried together under each of theirs."""
    return {name: value for key, value in chosen.items() for name in SHARED.get(key, (key,))}
