"""Write a model as ONNX, check it against PyTorch, and quantise it."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from google.protobuf.message import Message
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxscript.optimizer import fold_constants
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel
from transformers.utils.logging import get_logger

from ..data.writing import replacing, staged
from ..models.cells import CELLS
from ..models.pretrained import RnnPreTrainedModel
from .operators import TRANSLATIONS
from .runtime import MODEL_FILE, QUANTIZED_FILE, OnnxRnnConfig, OnnxRnnModel
from .scan import OPSET

logger = get_logger(__name__)

# larger than any tensor: all that depends on weights alone is computed once
NO_LIMIT = 2**40
TOLERANCE = 1e-5
# what makes a folder one of an exported model
GRAPHS = (MODEL_FILE, QUANTIZED_FILE)
AXES = {0: Dim("batch", min=1, max=2**31), 1: Dim("time", min=1, max=2**31)}
# some recurrences magnify rounding, in PyTorch too: times its own distance from fp64 that a graph may be off
ROUNDING = 10


class _Outputs(nn.Module):
    """Some outputs of a model, from ids and mask."""

    def __init__(self, model: PreTrainedModel, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        output = self.model(input_ids, attention_mask, return_dict=True)
        return [output[name] for name in self.names]


def export_onnx(model: RnnPreTrainedModel, folder: str | Path) -> float:
    """Write `model.onnx`, with batch and time free, and the config that `runtime` loads it by; check it against PyTorch.

    The file tells nothing of the machine that wrote it. Both appear once they are whole and checked; a quantised graph of an earlier
    model goes.

    Args:
        model (`RnnPreTrainedModel`): Any head; exported in fp32.
        folder (`str`): Folder to write to.

    Returns:
        `float`: Largest difference from PyTorch, relative to the largest value, on rows of 0 to 300 tokens.

    Raises:
        ValueError: The model is none of ours, or the graph computes something else.
    """
    if not isinstance(model, PreTrainedModel) or model.config.model_type != "hf_rnn":
        raise ValueError(f"Only models of this package can be exported, got {type(model).__name__}. Use optimum for others.")
    model = copy.deepcopy(model).cpu().float().eval()
    with staged(folder, GRAPHS) as stage:
        return _export_checked(model, stage)


def _export_checked(model: RnnPreTrainedModel, folder: Path) -> float:
    """Write graph and config of a model in fp32; return how far they are from it."""
    more = {"intent_logits": model.config.intents, "outside": model.config.outside}
    names = ["last_hidden_state"] if model.base_model is model else ["logits", *(name for name, is_there in more.items() if is_there)]
    ids = torch.zeros(2, 3, dtype=torch.long)
    path = folder / MODEL_FILE
    write_graph(_Outputs(model, names), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, (AXES, AXES), names, path)
    fields = {key: value for key, value in model.config.to_diff_dict().items() if key not in ("model_type", "auto_map")}
    config = OnnxRnnConfig.from_dict(fields)
    config.architectures = [f"Onnx{type(model).__name__}"]
    config.save_pretrained(folder)
    difference = largest_difference(model, OnnxRnnModel(config, str(path)), names)
    if difference > TOLERANCE and not difference < ROUNDING * largest_difference(model, copy.deepcopy(model).double(), names):
        raise ValueError(
            f"{path.name}: the graph differs from PyTorch by {difference:.2g}, more than {TOLERANCE}: are there NaN weights? "
            "Otherwise please report it with the config."
        )
    return difference


def _forget_origin(path: Path) -> None:
    """Take out of an ONNX file where each node comes from: paths and source lines of the machine that exported it."""
    # weights of more than 2 GB lie beside it
    model = onnx.load(path, load_external_data=False)
    _clear_notes(model)
    path.write_bytes(model.SerializeToString())


def _clear_notes(message: Message) -> None:
    """Clear what is noted for people, in all parts of a message."""
    for field, value in message.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            message.ClearField(field.name)
        elif isinstance(value, Message):
            _clear_notes(value)
        elif field.message_type is not None:
            for part in value:
                _clear_notes(part)


def write_graph(module: nn.Module, inputs: dict[str, Tensor], axes: tuple[dict, ...], outputs: list[str], path: Path) -> None:
    """Write a module as ONNX.

    Args:
        module (`Module`): In evaluation mode.
        inputs (`dict`): Example of each input, by name.
        axes (`tuple`): Those of each input that are free.
        outputs (`list`): Names of the outputs.
        path (`Path`): File to write.
    """
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            dynamic_shapes=axes,
            input_names=list(inputs),
            output_names=outputs,
            custom_translation_table=TRANSLATIONS,
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    fold_constants(program.model, input_size_limit=NO_LIMIT, output_size_limit=NO_LIMIT)
    program.save(path)
    _forget_origin(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporter and quantiser say about packages that are not needed here."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _probes(vocab_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ids and masks of rows of 0 to 300 tokens, padded on the right and, every other batch, anywhere."""
    generator = torch.Generator().manual_seed(0)
    for index, start in enumerate(range(0, 301, 14)):
        lengths = torch.arange(start, min(start + 14, 301))
        width = max(int(lengths.max()), 1)
        mask = torch.arange(width) < lengths[:, None]
        if index % 2:
            mask = mask[:, torch.randperm(width, generator=generator)]
        yield torch.randint(vocab_size, mask.shape, generator=generator), mask.long()


@torch.no_grad()
def largest_difference(model: PreTrainedModel, exported: OnnxRnnModel, names: list[str]) -> float:
    """Return by how much outputs of an exported model differ from PyTorch's, relative to their largest value; infinite for NaN."""
    worst = 0.0
    for ids, mask in _probes(model.config.vocab_size):
        expected, found = model(ids, mask, return_dict=True), exported(ids, mask)
        for name in names:
            ratio = (expected[name] - found[name]).abs().max() / expected[name].abs().max().clamp(min=1e-30)
            worst = max(worst, float(ratio.nan_to_num(nan=torch.inf)))
    return worst


def quantize(folder: str | Path) -> None:
    """Write `model_quantized.onnx` beside `model.onnx`: weights in int8, activations quantised as they come.

    ONNX Runtime has kernels for int8 LSTMs; other cells stay as they are, with a warning.
    """
    folder = Path(folder)
    cell = CELLS.get(OnnxRnnConfig.from_pretrained(folder).cell_type)
    operator = cell.onnx if cell else None
    if operator is None or not operator.has_int8:
        name = "loop" if operator is None else operator.name
        logger.warning(f"ONNX Runtime has no int8 {name}: only embeddings and products of matrices are quantised.")
    model = onnx.load(folder / MODEL_FILE)
    # the quantiser transposes weights and stumbles over the shapes that were noted before
    model.graph.ClearField("value_info")
    _unshare_weights(model)
    with _quiet(), replacing(folder / QUANTIZED_FILE) as path:
        quantize_dynamic(model, path, weight_type=QuantType.QInt8)
        _share_weights(path)
        _forget_origin(path)


def _unshare_weights(model: onnx.ModelProto) -> None:
    """Give every LSTM weights of its own: the quantiser transposes those that several share once for each of them."""
    weights = {each.name: each for each in model.graph.initializer}
    taken = set()
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if node.op_type == "LSTM" and name in weights:
                if name in taken:
                    copied = model.graph.initializer.add()
                    copied.CopyFrom(weights[name])
                    copied.name = node.input[place] = f"{name} of {node.name}"
                taken.add(name)


def _share_weights(path: Path) -> None:
    """Keep one of equal weights in an ONNX file."""
    model = onnx.load(path)
    kept: dict[bytes, str] = {}
    names = {}
    for weight in list(model.graph.initializer):
        name, weight.name = weight.name, ""
        names[name] = kept.setdefault(weight.SerializeToString(deterministic=True), name)
        weight.name = name
        if names[name] != name:
            model.graph.initializer.remove(weight)
    for node in _nodes(model.graph):
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.save(model, path)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the bodies of its loops, which read its weights by their names."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g)
