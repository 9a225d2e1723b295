"""What Hugging Face's inference endpoints run: `EndpointHandler(path)(data)`. Written by hf_rnn, which it does not need."""

from typing import Any

from transformers import AutoConfig, pipeline

# tasks of pipelines, by the heads of models
TASKS = {
    "SequenceClassification": "text-classification",
    "TokenClassification": "token-classification",
    "MaskedLM": "fill-mask",
    "CausalLM": "text-generation",
}


class EndpointHandler:
    """A model that answers requests.

    Args:
        path (`str`): Its folder, which this file lies in.
    """

    def __init__(self, path: str = "") -> None:
        config = AutoConfig.from_pretrained(path, trust_remote_code=True)
        task = TASKS.get((config.architectures or [""])[0].rpartition("For")[2], "feature-extraction")
        self.usual: dict[str, Any] = {}
        if task == "text-classification":
            # all labels, and of a long text what `predict` reads
            self.usual = {"top_k": None, "truncation": getattr(config, "long_texts", None) != "whole"}
        elif task == "token-classification":
            self.usual = {"aggregation_strategy": "simple" if getattr(config, "units", None) == "raw" else "first"}
        self.pipeline = pipeline(task, model=path, tokenizer=path, trust_remote_code=True)

    def __call__(self, data: dict[str, Any]) -> Any:
        """Answer a request.

        Args:
            data (`dict`): `inputs`, a text or a list of texts, and `parameters`, what the pipeline of the task takes.

        Returns:
            `list`: Labels with scores, the likeliest first, or spans; a list of them for each of several texts.

        Raises:
            ValueError: `inputs` are no texts, or `parameters` no object.
        """
        inputs, parameters = data.get("inputs"), data.get("parameters") or {}
        if not isinstance(inputs, str) and not (isinstance(inputs, list) and all(isinstance(text, str) for text in inputs)):
            raise ValueError(f'`inputs` must be a text or a list of texts, got {type(inputs).__name__}. Send {{"inputs": "a text"}}.')
        if not isinstance(parameters, dict):
            raise ValueError(f"`parameters` must be an object, got {type(parameters).__name__}. Leave it out.")
        return _plain(self.pipeline(inputs, **{**self.usual, **parameters})) if inputs != [] else []


def _plain(value: Any) -> Any:
    """Return numbers of NumPy, and what holds them, as JSON has them."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value
