"""Write the model card of a run: what the model is, what it learnt from, how it was trained, what it scores, how to use it."""

import html
import platform
import re
from pathlib import Path
from typing import Any

import datasets
import tokenizers
import torch
import transformers
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from transformers import Trainer
from transformers.trainer_utils import PredictionOutput

from .arguments import DataArguments

TEMPLATE = """---
{{ card_data }}
---

# {{ name }}

A {{ description }} for {{ task }}, trained from scratch with [hf_rnn](https://pypi.org/project/hf-rnn/): {{ parameters }} parameters.

## Use

```python
import hf_rnn
from transformers import pipeline

print(pipeline("{{ task }}", model="{{ name }}")({{ example }}))
```
{% if task == "token-classification" %}
The tagger works on tokens separated by spaces, as it was trained on tokens; punctuation that is attached to a word is part of it.
{% endif %}
## Labels

{% for label in labels %}{{ label }}{{ ", " if not loop.last }}{% endfor %}

## Data

{{ data }}

## Results
{% for split, rows in results.items() %}
### {{ split }}

| metric | value |
| --- | --- |
{% for name, value in rows %}| {{ name }} | {{ value }} |
{% endfor %}{% endfor %}
{% if has_curves %}![Loss and metric by epoch](curves.png)
{% endif %}{% if has_matrix %}
![Confusion matrix](confusion_matrix.png)
{% endif %}
## Training

| setting | value |
| --- | --- |
{% for name, value in settings %}| {{ name }} | {{ value }} |
{% endfor %}
## Limits

The model knows only what its training text shows: other domains, dialects and times lower its accuracy, and it repeats the biases of that
text and of those who labelled it. Its scores are not calibrated probabilities.
"""

SETTINGS = (
    "learning_rate",
    "lr_scheduler_type",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_grad_norm",
    "weight_decay",
    "seed",
    "bf16",
)
FIELDS = (
    "cell_type",
    "bidirectional",
    "num_hidden_layers",
    "hidden_size",
    "embedding_size",
    "pooling",
    "word_pooling",
    "use_crf",
    "embedding_dropout",
    "input_dropout",
    "hidden_dropout",
    "weight_dropout",
    "classifier_dropout",
)


def escape(text: Any) -> str:
    """Make text that comes from data inert in a Markdown table: no markup, no column borders, no line breaks."""
    plain = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_{}\[\]|#!~])", r"\\\1", plain)


def write_card(
    trainer: Trainer, data: DataArguments, outputs: dict[str, PredictionOutput], task: str, metric: str, source: str | None = None
) -> None:
    """Write `README.md` into the output folder of a run.

    Args:
        trainer (`Trainer`): Holds model, arguments and state.
        data (`DataArguments`): Where the data came from.
        outputs (`dict`): Predictions with metrics by split name.
        task (`str`): "text-classification" or "token-classification".
        metric (`str`): Name of the main metric, without prefix.
        source (`str`, *optional*): Words about the data; the names of files or of the Hub's data set by default.
    """
    config, folder = trainer.model.config, Path(trainer.args.output_dir)
    name = folder.name or "model"
    dataset = data.dataset_name or Path(data.train_file or data.validation_file or data.test_file or "data").name
    metrics = {split: output.metrics or {} for split, output in outputs.items()}
    card_data = ModelCardData(
        library_name="transformers",
        pipeline_tag=task,
        tags=["hf_rnn", config.model_type, getattr(config, "cell_type", "")],
        model_name=name,
        eval_results=_eval_results(metrics, task, dataset, metric) or None,
    )
    card = ModelCard.from_template(
        card_data,
        template_str=TEMPLATE,
        name=name,
        task=task,
        description=_describe(config),
        parameters=f"{sum(parameter.numel() for parameter in trainer.model.parameters()):,}",
        example='"This film is a joy to watch ."',
        labels=[escape(config.id2label[index]) for index in range(config.num_labels)],
        data=source or _describe_data(data),
        results={split: _rows(values) for split, values in metrics.items()},
        settings=_settings(trainer),
        has_curves=(folder / "curves.png").is_file(),
        has_matrix=(folder / "confusion_matrix.png").is_file(),
    )
    card.save(folder / "README.md")


def _eval_results(metrics: dict[str, dict[str, float]], task: str, dataset: str, metric: str) -> list[EvalResult]:
    results = []
    for split, values in metrics.items():
        for key, value in values.items():
            if key.partition("_")[2] == metric:
                common = {"task_type": task, "dataset_type": dataset, "dataset_name": dataset, "dataset_split": split}
                results.append(EvalResult(**common, metric_type=metric, metric_value=round(value, 5)))
    return results


def _describe(config: Any) -> str:
    cell = getattr(config, "cell_type", config.model_type).upper()
    layers = getattr(config, "num_hidden_layers", 0)
    direction = "bidirectional " if getattr(config, "bidirectional", False) else ""
    return f"{layers}-layer {direction}{cell}{' with a CRF' if getattr(config, 'use_crf', False) else ''}"


def _describe_data(data: DataArguments) -> str:
    if data.dataset_name:
        return f"Data set `{escape(data.dataset_name)}` of the Hub."
    files = {"training": data.train_file, "validation": data.validation_file, "test": data.test_file}
    lines = [f"- {split}: `{Path(path).name}`" for split, path in files.items() if path]
    if data.train_file and not data.validation_file:
        lines.append(f"- validation: {data.validation_share:.0%} of the training rows, drawn with seed {data.split_seed}")
    return "\n".join(lines)


def _rows(metrics: dict[str, float]) -> list[tuple[str, str]]:
    """Return the scores among the metrics; not their timings."""
    names = [name for name in metrics if not name.endswith(("runtime", "per_second", "preparation_time"))]
    return [(escape(name), f"{metrics[name]:.4f}") for name in names]


def _settings(trainer: Trainer) -> list[tuple[str, str]]:
    fields = [(name, getattr(trainer.model.config, name, None)) for name in FIELDS]
    arguments = [(name, getattr(trainer.args, name)) for name in SETTINGS]
    versions = {"torch": torch, "transformers": transformers, "datasets": datasets, "tokenizers": tokenizers}
    environment = ", ".join([f"Python {platform.python_version()}", *(f"{name} {module.__version__}" for name, module in versions.items())])
    shown = [(name, getattr(value, "value", value)) for name, value in (*fields, *arguments)]
    return [(escape(name), escape(value)) for name, value in (*shown, ("environment", environment)) if value is not None]
