"""Run exported models with ONNX Runtime where transformers expects a model."""

import math
import os
from collections.abc import Iterator
from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import cached_file

from ..data.loading import EXPORTED
from ..models.configuration_rnn import RnnConfig
from ..models.embeddings import check_inputs
from ..models.pretrained import RnnHeadOutput, RnnModelOutput

MODEL_FILE, QUANTIZED_FILE = "model.onnx", "model_quantized.onnx"
OUTPUTS = {"last_hidden_state", "logits", "intent_logits", "outside"}
# rows times their length that a graph computes at once
GROUP_POSITIONS = 8192


class OnnxRnnConfig(RnnConfig):
    """The config of an exported model: that of the model it comes from."""

    model_type = EXPORTED

    def validate_cell_type(self) -> None:
        """Take any name: a graph holds what its cell does."""


class OnnxRnnModel(PreTrainedModel):
    """An exported encoder; the base of the exported heads.

    Args:
        config (`OnnxRnnConfig`): Describes the model.
        path (`str`): The ONNX file.
    """

    config_class = OnnxRnnConfig

    def __init__(self, config: OnnxRnnConfig, path: str) -> None:
        super().__init__(config)
        self.path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = _open(path, options)
        self.eval()

    @classmethod
    def from_pretrained(cls, name: str, *args: Any, config: Any = None, file_name: str = MODEL_FILE, **kwargs: Any) -> Any:
        """Load an exported model.

        Args:
            name (`str`): Folder, or repository on the Hub.
            config (`OnnxRnnConfig`, *optional*): That of the folder by default.
            file_name (`str`): `"model.onnx"`, or `"model_quantized.onnx"`.
            kwargs: `revision`, `token`, `cache_dir` and the like; what concerns weights has no meaning here.

        Raises:
            OSError: There is no such file.
        """
        hub = {key: kwargs[key] for key in ("revision", "token", "cache_dir", "local_files_only", "subfolder") if key in kwargs}
        config = config or OnnxRnnConfig.from_pretrained(name, **hub)
        model = cls(config, cached_file(name, file_name, **hub))
        return (model, {"missing_keys": set()}) if kwargs.get("output_loading_info") else model

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Return the number of weights in the graph; the arguments have no meaning here."""
        # running a graph does not need it
        import onnx

        # other types are those of ids and shapes
        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
        return sum(math.prod(tensor.dims) for tensor in onnx.load(self.path).graph.initializer if tensor.data_type in kinds)

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Return the size of the file in bytes."""
        return os.path.getsize(self.path)

    @property
    def device(self) -> torch.device:
        """Return the device of inputs and outputs."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of outputs."""
        return torch.float32

    @torch.no_grad()
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, return_dict: bool | None = None) -> Any:
        """Run the graph on ids (B, T) and a mask (B, T).

        Raises:
            ValueError: A mask of another shape.
        """
        mask = check_inputs(input_ids, None, attention_mask).long()
        names = [output.name for output in self.session.get_outputs()]
        values: list[Tensor] = []
        for rows, width in _groups(mask):
            parts = self._run(input_ids[rows, :width], mask[rows, :width])
            if not values:
                values = [part.new_empty(len(mask), *mask.shape[1:][: part.dim() - 2], part.shape[-1]) for part in parts]
            for value, part in zip(values, parts, strict=True):
                if part.dim() == 3:
                    value[rows, :width] = part
                    # the last position of a group that is cut short is padding, and so is what was cut
                    value[rows, width:] = part[:, -1:]
                else:
                    value[rows] = part
        kind = RnnModelOutput if "last_hidden_state" in names else RnnHeadOutput
        output = kind(**dict(zip(names, values, strict=True)))
        return output if return_dict or return_dict is None else output.to_tuple()

    def _run(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the outputs of the graph for a group of rows."""
        batch_size, length = ids.shape
        # the runtime wants a row and a position
        missing = (0, int(length == 0), 0, int(batch_size == 0))
        feeds = {"input_ids": nn.functional.pad(ids, missing).numpy(), "attention_mask": nn.functional.pad(mask, missing).numpy()}
        values = [torch.from_numpy(value)[:batch_size] for value in self.session.run(None, feeds)]
        return [value[:, :length] if value.dim() == 3 else value for value in values]


def _open(path: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """Return a session of a graph that takes ids and a mask.

    Raises:
        ValueError: The file is no such graph.
    """
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # the library raises nothing narrower
        raise ValueError(f"{path} is no whole ONNX file: {' '.join(str(error).split())[:200]}. Export or download it again.") from error
    inputs, outputs = ([value.name for value in values] for values in (session.get_inputs(), session.get_outputs()))
    if set(inputs) != {"input_ids", "attention_mask"} or not set(outputs) <= OUTPUTS:
        raise ValueError(f"{path} is no graph of `hf-rnn export`: it makes {outputs} of {inputs}. Export the model again.")
    return session


def _groups(mask: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Yield the rows of a mask (B, T) in groups, each with the width it needs and one position of padding, if there is one.

    A batch of few positions is one group. Of larger ones rows of similar length go together, so that a long row does not make others
    as long.
    """
    batch_size, length = mask.shape
    if mask.numel() <= GROUP_POSITIONS:
        yield torch.arange(batch_size), length
        return
    # (B,)
    widths = ((mask * torch.arange(1, length + 1)).amax(1) + 1).clamp(max=length)
    order = widths.argsort(descending=True, stable=True)
    start = 0
    while start < batch_size:
        width = int(widths[order[start]])
        end = start + max(1, GROUP_POSITIONS // width)
        yield order[start:end], width
        start = end


class OnnxRnnForSequenceClassification(OnnxRnnModel):
    """An exported classifier."""


class OnnxRnnForTokenClassification(OnnxRnnModel):
    """An exported tagger."""


class OnnxRnnForMaskedLM(OnnxRnnModel):
    """An exported masked language model."""


class OnnxRnnForCausalLM(OnnxRnnModel):
    """An exported causal language model, which reads whole rows."""


AutoConfig.register(OnnxRnnConfig.model_type, OnnxRnnConfig, exist_ok=True)
AutoModel.register(OnnxRnnConfig, OnnxRnnModel, exist_ok=True)
AutoModelForSequenceClassification.register(OnnxRnnConfig, OnnxRnnForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(OnnxRnnConfig, OnnxRnnForTokenClassification, exist_ok=True)
AutoModelForMaskedLM.register(OnnxRnnConfig, OnnxRnnForMaskedLM, exist_ok=True)
AutoModelForCausalLM.register(OnnxRnnConfig, OnnxRnnForCausalLM, exist_ok=True)
