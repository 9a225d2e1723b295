"""Write the card of a model: what the model is, what it learnt from, how it was trained, what it scores, how to use it."""

import copy
import html
import json
import platform
import re
import statistics
import time
from pathlib import Path
from typing import Any

import datasets
import tokenizers
import torch
import transformers
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import PreTrainedModel

from ..data.files.json_files import whole_text
from ..data.visible import visible
from ..data.writing import written_whole
from ..version import __version__

TEMPLATE = Path(__file__).parent / "card_template.md"
TIMINGS = ("runtime", "per_second", "preparation_time")
NO_SCORES = (*TIMINGS, "loss", "perplexity", "unseen_samples")
FIELDS = (
    "cell_type",
    "bidirectional",
    "num_hidden_layers",
    "hidden_size",
    "embedding_size",
    "pooling",
    "word_pooling",
    "ngram_vocab_size",
    "units",
    "use_crf",
    "embedding_dropout",
    "input_dropout",
    "hidden_dropout",
    "weight_dropout",
    "classifier_dropout",
)


def escape(text: Any) -> str:
    """Make text that comes from data inert in a Markdown table: no markup, no column borders, no line breaks."""
    plain = html.escape(visible(" ".join(str(text).split())), quote=False)
    return re.sub(r"([\\`*_{}\[\]|#!~])", r"\\\1", plain)


def code(text: str) -> str:
    """Return a span of code of Markdown, in which nothing but a backtick or a line break means anything."""
    plain = visible(" ".join(text.split())).replace("`", "'")
    return f"`{plain}`"


def distinct(metrics: dict[str, float]) -> dict[str, float]:
    """Leave out micro averages that say the same as the accuracy, as those of one label a row do."""
    accuracies = {name.removesuffix("accuracy"): value for name, value in metrics.items() if name.endswith("accuracy")}
    micro = re.compile(r"(.*?)(precision|recall|f1)_micro")
    found = {name: micro.fullmatch(name) for name in metrics}
    return {name: value for name, value in metrics.items() if not ((m := found[name]) and accuracies.get(m[1]) == value)}


def write_card(
    model: PreTrainedModel,
    folder: str | Path,
    *,
    name: str,
    task: str,
    metric: str,
    metrics: dict[str, dict[str, float]],
    example: str,
    dataset: str,
    data: str,
    settings: dict[str, Any],
    vectors_from: str | None = None,
    title: str | None = None,
    language: list[str] | None = None,
    license: str | None = None,
    dataset_title: str | None = None,
    dataset_license: str | None = None,
) -> None:
    """Write `README.md` into the folder of a trained model, whose pictures it shows.

    Args:
        model (`PreTrainedModel`): The model.
        folder (`str`): Its folder.
        name (`str`): What the examples load it by.
        task (`str`): "text-classification", "token-classification", "fill-mask" or "text-generation".
        metric (`str`): Name of the main metric, without prefix.
        metrics (`dict`): Scores by split name.
        example (`str`): A text to show the use with.
        dataset (`str`): Name of the data set.
        data (`str`): Markdown about it.
        settings (`dict`): How it was trained.
        vectors_from (`str`, *optional*): Encoder whose vectors it started with.
        title (`str`, *optional*): Title; `name` by default.
        language (`list`, *optional*): Languages of the texts.
        license (`str`, *optional*): Licence of the model.
        dataset_title, dataset_license (`str`, *optional*): Name and licence of the data set.
    """
    folder, config = Path(folder), model.config
    # names of files and folders may hold what no text can
    name, title, dataset, data = map(whole_text, (name, title or name, dataset_title or dataset, data))
    card_data = ModelCardData(
        language=language,
        license=license,
        library_name="transformers",
        pipeline_tag=task,
        tags=["hf_rnn", config.model_type, getattr(config, "cell_type", "")],
        metrics=[metric],
        model_name=title,
        eval_results=_eval_results(metrics, task, dataset, metric) or None,
    )
    is_head = task.endswith("-classification")
    card = ModelCard.from_template(
        card_data,
        template_path=str(TEMPLATE),
        title=escape(title),
        name=json.dumps(name, ensure_ascii=False),
        task=task,
        description=_describe(config, task),
        origin=_describe_origin(getattr(config, "_name_or_path", ""), vectors_from),
        parameters=f"{count_weights(model):,}",
        size=_size(folder),
        example=_quote(example),
        strategy=', aggregation_strategy="simple"' if getattr(config, "units", None) == "raw" else "",
        intents=[escape(intent) for intent in getattr(config, "intents", None) or ()],
        labels=[escape(config.id2label[index]) for index in range(config.num_labels)] if is_head else [],
        data=f"{data}\n\n{_describe_licence('The data', dataset_license)}",
        results={split: _rows(values) for split, values in metrics.items()},
        speed=_describe_speed(model),
        settings=_settings(config, settings),
        has_curves=(folder / "curves.png").is_file(),
        has_reliability=(folder / "reliability.png").is_file() and is_head,
        promise=getattr(config, "promise", None) if is_head else None,
        outside=getattr(config, "outside", None) if is_head else None,
        has_matrix=(folder / "confusion_matrix.png").is_file() and is_head,
        licence=_describe_licence("The model", license),
    )
    with written_whole(folder / "README.md") as file:
        file.write(card.content)


def count_weights(model: PreTrainedModel) -> int:
    """Return the number of weights that a model answers by: its parameters, and those of a linear model beside the recurrence."""
    linear = getattr(model, "linear", None)
    fitted = sum(buffer.numel() for buffer in linear.buffers() if buffer.is_floating_point()) if linear is not None else 0
    return model.num_parameters() + fitted


def _describe_origin(start: str, vectors_from: str | None) -> str:
    """Return what a model was trained from: a checkpoint, vectors of an encoder, or nothing."""
    if start:
        return f"from {code(Path(start).name)}"
    return f"from the vectors of {code(Path(vectors_from).name)}" if vectors_from else "from scratch"


def _quote(text: str) -> str:
    """Return a text as a Python string that fits into a code block of Markdown."""
    plain = " ".join(text.split())[:80].strip()
    return repr(plain if plain and "`" not in plain else "This film is a joy to watch .")


def _size(folder: Path) -> str:
    total = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return f"{total / 2**20:.1f} MiB"


def _describe_licence(what: str, licence: str | None) -> str:
    return f"{what}: {escape(licence)}." if licence else f"{what}: no licence was stated; ask its authors."


def _describe_speed(model: PreTrainedModel) -> str:
    """Measure the model on the CPU: rows of 20 tokens, one by one and in batches of 32, the median of several."""
    model = copy.deepcopy(model).cpu().eval()
    rates = {}
    for rows in (1, 32):
        ids = torch.full((rows, 20), model.config.vocab_size - 1)
        times = []
        with torch.inference_mode():
            for _ in range(12):
                start = time.perf_counter()
                model(ids)
                times.append(time.perf_counter() - start)
        rates[rows] = rows / statistics.median(times)
    threads = torch.get_num_threads()
    machine = f"{threads} CPU thread{'s' if threads > 1 else ''} ({platform.machine()})"
    return f"Texts of 20 tokens, {machine}, model alone: {rates[1]:,.0f} a second one by one, {rates[32]:,.0f} in batches of 32."


def _eval_results(metrics: dict[str, dict[str, float]], task: str, dataset: str, metric: str) -> list[EvalResult]:
    results = []
    # an identifier, as the Hub wants it
    kind = re.sub(r"[^\w./-]+", "-", dataset).strip("-")
    for split, values in metrics.items():
        common = {"task_type": task, "dataset_type": kind, "dataset_name": dataset, "dataset_split": split}
        scores = [(key.partition("_")[2], value) for key, value in values.items() if not key.endswith(NO_SCORES)]
        # the main one first: the Hub shows it
        for name, value in sorted(scores, key=lambda score: score[0] != metric):
            results.append(EvalResult(**common, metric_type=name, metric_value=round(value, 5)))
    return results


def _describe(config: Any, task: str) -> str:
    cell = getattr(config, "cell_type", config.model_type).upper()
    layers = getattr(config, "num_hidden_layers", 0)
    direction = "bidirectional " if getattr(config, "bidirectional", False) else ""
    head = f"with a {'CRF for ' if getattr(config, 'use_crf', False) else 'head for '}{task}"
    return f"A {layers}-layer {direction}{cell} {head}"


def _rows(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Return the scores among the metrics; not their timings."""
    metrics = distinct(metrics)
    names = [name for name in metrics if not name.endswith(TIMINGS)]
    return [(escape(name), f"{metrics[name]:{'d' if isinstance(metrics[name], int) else '.4f'}}") for name in names]


def versions() -> dict[str, str]:
    """Return the versions of what a run depends on, by name."""
    modules = {"torch": torch, "transformers": transformers, "datasets": datasets, "tokenizers": tokenizers}
    return {"Python": platform.python_version(), **{name: module.__version__ for name, module in modules.items()}, "hf_rnn": __version__}


def _settings(config: Any, settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of the config, the settings of the training and the versions of libraries, as far as there are any."""
    fields = {name: getattr(config, name, None) for name in FIELDS} | {"lookahead": getattr(config, "lookahead", 0) or None}
    environment = ", ".join(f"{name} {version}" for name, version in versions().items() if name != "hf_rnn")
    shown = {**fields, **settings, "environment": environment}
    return [(escape(name), escape(getattr(value, "value", value))) for name, value in shown.items() if value is not None]
