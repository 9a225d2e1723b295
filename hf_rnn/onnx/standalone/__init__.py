"""A runtime without torch: one file that lies beside an exported model and runs it with NumPy, onnxruntime and tokenizers.

`predictor.py` imports nothing of this package, as it is copied into the folders of exported models.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ...models.tags import guess_scheme
from ...tasks.decoding import promised_threshold, task_of
from .predictor import SETTINGS_FILE, Settings

# a tokenizer without a limit has this one, or a larger one
NO_LIMIT = 10**20
COPIED = ("predictor.py", "requirements.txt")


def write_predictor(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> list[str]:
    """Write into the folder of an exported classifier or tagger what runs it anywhere.

    Args:
        config (`PreTrainedConfig`): That of the model.
        tokenizer (`PreTrainedTokenizerBase`): A fast tokenizer, which is saved there by its `save_pretrained`.
        folder (`str`): Where its graph is.

    Returns:
        `list`: Names of the files.

    Raises:
        ValueError: The model has another head, or its tokenizer is not a fast one.
    """
    settings = predictor_settings(config, tokenizer)
    folder = Path(folder)
    (folder / SETTINGS_FILE).write_text(json.dumps(asdict(settings), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name in COPIED:
        shutil.copyfile(Path(__file__).parent / name, folder / name)
    return [SETTINGS_FILE, *COPIED]


def predictor_settings(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> Settings:
    """Return what a predictor has to know of a model beside its graph and its tokenizer.

    Raises:
        ValueError: The model has another head, or its tokenizer is not a fast one.
    """
    head = (config.architectures or [""])[0]
    task = task_of(head)
    if task is None:
        raise ValueError(f"Only classifiers and taggers answer texts, got {head or 'a model of unknown kind'}. Export one of those.")
    if not tokenizer.is_fast:
        raise ValueError(f"The tokenizer must be a fast one, got {type(tokenizer).__name__}. Train the model with a tokenizer.json.")
    labels = [config.id2label[index] for index in range(config.num_labels)]
    has_units = getattr(config, "units", None) == "raw"
    return Settings(
        task="span-labelling" if has_units else task,
        labels=labels,
        problem=config.problem_type,
        scheme=guess_scheme(labels) if task == "token-classification" else None,
        intents=list(getattr(config, "intents", None) or ()),
        pad_id=tokenizer.pad_token_id or 0,
        unknown=tokenizer.unk_token,
        max_length=tokenizer.model_max_length if tokenizer.model_max_length < NO_LIMIT else None,
        truncation_side=tokenizer.truncation_side,
        threshold=promised_threshold(config),
        outside=getattr(config, "outside", None) is not None,
        long_texts=getattr(config, "long_texts", None),
    )
