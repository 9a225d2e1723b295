"""LSTM and GRU models for the Hugging Face ecosystem."""

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoModelForTokenClassification

from .configuration_rnn import RnnConfig
from .modeling_rnn import RnnForMaskedLM, RnnForSequenceClassification, RnnForTokenClassification, RnnModel, RnnPreTrainedModel
from .version import __version__

__all__ = [
    "RnnConfig",
    "RnnForMaskedLM",
    "RnnForSequenceClassification",
    "RnnForTokenClassification",
    "RnnModel",
    "RnnPreTrainedModel",
    "__version__",
]

AutoConfig.register(RnnConfig.model_type, RnnConfig, exist_ok=True)
AutoModel.register(RnnConfig, RnnModel, exist_ok=True)
AutoModelForSequenceClassification.register(RnnConfig, RnnForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(RnnConfig, RnnForTokenClassification, exist_ok=True)
AutoModelForMaskedLM.register(RnnConfig, RnnForMaskedLM, exist_ok=True)
