"""LSTM and GRU models for the Hugging Face ecosystem."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from .models.cells import register_cell
from .models.configuration_rnn import RnnConfig
from .models.modeling_rnn import (
    RnnForCausalLM,
    RnnForMaskedLM,
    RnnForSequenceClassification,
    RnnForTokenClassification,
    RnnModel,
    RnnPreTrainedModel,
)
from .version import __version__

if TYPE_CHECKING:
    from .arguments import RnnTrainingArguments
    from .data.rows.collator import RnnCollator
    from .data.tokenizers.training import train_tokenizer
    from .distillation.distill import distill
    from .evaluation.compare import compare
    from .inference.loading import load
    from .training.train import train
    from .training.trainer import RnnTrainer
    from .tuning.tune import tune

__all__ = [
    "RnnCollator",
    "RnnConfig",
    "RnnForCausalLM",
    "RnnForMaskedLM",
    "RnnForSequenceClassification",
    "RnnForTokenClassification",
    "RnnModel",
    "RnnPreTrainedModel",
    "RnnTrainer",
    "RnnTrainingArguments",
    "__version__",
    "compare",
    "distill",
    "load",
    "register_cell",
    "train",
    "train_tokenizer",
    "tune",
]

# names whose modules are loaded on first use: they need what running a model does not
_LAZY = {
    "RnnCollator": "data.rows.collator",
    "RnnTrainer": "training.trainer",
    "RnnTrainingArguments": "arguments",
    "compare": "evaluation.compare",
    "distill": "distillation.distill",
    "load": "inference.loading",
    "train": "training.train",
    "train_tokenizer": "data.tokenizers.training",
    "tune": "tuning.tune",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LAZY[name]}", __name__), name)


AutoConfig.register(RnnConfig.model_type, RnnConfig, exist_ok=True)
AutoModel.register(RnnConfig, RnnModel, exist_ok=True)
AutoModelForSequenceClassification.register(RnnConfig, RnnForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(RnnConfig, RnnForTokenClassification, exist_ok=True)
AutoModelForMaskedLM.register(RnnConfig, RnnForMaskedLM, exist_ok=True)
AutoModelForCausalLM.register(RnnConfig, RnnForCausalLM, exist_ok=True)
