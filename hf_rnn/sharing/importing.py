"""Turn the weights of a PyTorch classifier or tagger (embedding, `nn.LSTM`, `nn.GRU` or `nn.RNN`, linear) into a checkpoint."""

import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..models.cells import CELLS, cell_of
from ..models.configuration_rnn import RnnConfig
from ..tasks.decoding import HEADS


def read_weights(path: str) -> dict[str, Tensor]:
    """Read a state dict without running anything that a file could hold.

    Raises:
        ValueError: There is no such file, or it holds something else.
    """
    if not Path(path).is_file():
        raise ValueError(f"`weights_file` {path!r} is no file. Pass --weights_file.")
    _check_archive(path)
    try:
        state = load_file(path) if path.endswith(".safetensors") else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"`weights_file` {path!r} is no state dict of tensors: {reason}") from error
    if not isinstance(state, dict) or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise ValueError(f"`weights_file` {path!r} must hold a state dict, names with tensors. Save model.state_dict().")
    size = Path(path).stat().st_size
    for name, value in state.items():
        if value.layout != torch.strided or not value.is_floating_point():
            raise ValueError(
                f"`weights_file` {path!r}: {name!r} must hold plain floating-point numbers, got {value.dtype}, {value.layout}."
            )
        if value.numel() * value.element_size() > size:
            raise ValueError(f"`weights_file` {path!r}: {name!r} claims {value.numel():.1e} numbers, more than the file holds.")
    return state


def _check_archive(path: str) -> None:
    """Raise a ValueError if a file would be larger unpacked: PyTorch packs its files without compression."""
    if path.endswith(".safetensors") or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > Path(path).stat().st_size:
            raise ValueError(f"`weights_file` {path!r} is compressed, which torch.save does not do. Save the state dict again.")


def import_state(
    state: dict[str, Tensor],
    task: str = "text-classification",
    labels: list[str] | None = None,
    embedding: str = "embedding",
    rnn: str = "rnn",
    linear: str = "linear",
    pooling: str = "last",
    pad_token_id: int | None = None,
) -> PreTrainedModel:
    """Build the model that a state dict describes, in evaluation mode, and check that it computes the same.

    Args:
        state (`dict`): Weights of an `nn.Embedding`, an `nn.LSTM`, `nn.GRU` or `nn.RNN` of any number of layers, and an `nn.Linear`.
        task (`str`): `"text-classification"` or `"token-classification"`.
        labels (`list`, *optional*): Names of the linear layer's outputs.
        embedding, rnn, linear (`str`): What the three are called in the state dict.
        pooling (`str`): How a row becomes a vector: `"last"` (final h of each direction, side by side), `"mean"` or `"max"`.
        pad_token_id (`int`, *optional*): Id of padding.

    An `nn.RNN` counts as one of tanh: weights do not tell it from one of ReLU.

    Raises:
        ValueError: A part is missing, shapes do not fit together, or something is left over.
    """
    parts = {name: _part(state, prefix, name) for name, prefix in (("embedding", embedding), ("rnn", rnn), ("linear", linear))}
    used = {f"{prefix}.{key}" for prefix, part in zip((embedding, rnn, linear), parts.values(), strict=True) for key in part}
    if set(state) - used:
        raise ValueError(
            f"The state dict holds more than embedding, rnn and linear: {sorted(set(state) - used)}. Leave them out to ignore them."
        )
    config = _describe(parts, labels, pooling, pad_token_id)
    model = HEADS[task].from_config(config).eval()
    reference = _rebuild(parts, config)
    with torch.no_grad():
        model.model.embeddings.word_embeddings.weight.copy_(reference[0].weight)
        model.classifier.weight.copy_(reference[2].weight)
        model.classifier.bias.copy_(reference[2].bias)
        for index, layer in enumerate(model.model.layers):
            for name, parameter in layer.recurrence.named_parameters():
                parameter.copy_(getattr(reference[1], name.replace("_l0", f"_l{index}")))
    _verify(model, reference, task, pooling)
    return model


def _part(state: dict[str, Tensor], prefix: str, name: str) -> dict[str, Tensor]:
    part = {key.removeprefix(f"{prefix}."): value for key, value in state.items() if key.startswith(f"{prefix}.")}
    if not part:
        groups = sorted({key.rpartition(".")[0] for key in state})
        raise ValueError(f"The state dict has no {name} called {prefix!r}; there are {groups}. Pass --{name}.")
    return part


def _describe(parts: dict[str, dict[str, Tensor]], labels: list[str] | None, pooling: str, pad_token_id: int | None) -> RnnConfig:
    """Return the config of a state dict from the shapes of its tensors."""
    rnn, linear = parts["rnn"], parts["linear"]
    if any(key.startswith("weight_hr") for key in rnn):
        raise ValueError("The recurrent layer has projections (proj_size), which these models do not.")
    layers = 1 + max((int(match[1]) for match in map(re.compile(r"weight_hh_l(\d+)$").match, rnn) if match), default=-1)
    if not layers or "weight" not in parts["embedding"] or "weight" not in linear:
        raise ValueError(
            f"The state dict needs embedding.weight, rnn.weight_hh_l0 and linear.weight; got { {k: list(v) for k, v in parts.items()} }."
        )
    for name, tensor in (("embedding", parts["embedding"]["weight"]), ("rnn", rnn.get("weight_hh_l0")), ("linear", linear["weight"])):
        if tensor is None or tensor.dim() != 2 or 0 in tensor.shape:
            shape = None if tensor is None else list(tensor.shape)
            raise ValueError(f"The weights of `{name}` must be a matrix, got {shape}. Pass the name of the right part as --{name}.")
    gates, size = rnn["weight_hh_l0"].shape
    # by the number of blocks in the weights; of several cells with as many, the first
    cells = {len(cell.gates): cell for cell in reversed(CELLS.values()) if cell.torch_layer}
    if gates // size not in cells or gates % size:
        known = " or ".join(f"{count} ({cell.name.upper()})" for count, cell in sorted(cells.items(), reverse=True))
        raise ValueError(f"`rnn.weight_hh_l0` must have {known} times as many rows as columns, got {(gates, size)}.")
    directions = 2 if "weight_hh_l0_reverse" in rnn else 1
    vocab_size, embedding_size = parts["embedding"]["weight"].shape
    num_labels, width = linear["weight"].shape
    if width != directions * size:
        raise ValueError(f"`linear` must take {directions} x {size} = {directions * size} features of the recurrent layer, got {width}.")
    labels = labels or [f"LABEL_{index}" for index in range(num_labels)]
    if len(labels) != num_labels:
        raise ValueError(f"`labels` must name the {num_labels} outputs of the linear layer, got {len(labels)}: {labels}.")
    dropouts = dict.fromkeys(("embedding_dropout", "input_dropout", "hidden_dropout", "classifier_dropout"), 0.0)
    return RnnConfig(
        vocab_size=vocab_size,
        embedding_size=embedding_size,
        hidden_size=width,
        num_hidden_layers=layers,
        cell_type=cells[gates // size].name,
        bidirectional=directions == 2,
        pooling=pooling,
        pad_token_id=pad_token_id,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        **dropouts,
    )


def _rebuild(parts: dict[str, dict[str, Tensor]], config: RnnConfig) -> tuple[nn.Embedding, nn.RNNBase, nn.Linear]:
    """Return PyTorch's own layers with the weights; biases that are missing are zero."""
    embedding = nn.Embedding(config.vocab_size, config.embedding_size)
    kind: Any = cell_of(config.cell_type).torch_layer
    rnn = kind.layer(
        config.embedding_size,
        config.hidden_size // config.num_directions,
        config.num_hidden_layers,
        bidirectional=config.bidirectional,
        batch_first=True,
    )
    linear = nn.Linear(config.hidden_size, config.num_labels)
    for layer, part in zip((embedding, rnn, linear), parts.values(), strict=True):
        zeros = {name: torch.zeros_like(value) for name, value in layer.state_dict().items() if name.startswith("bias")}
        try:
            layer.load_state_dict({**zeros, **part})
        except RuntimeError as error:
            raise ValueError(
                f"The weights do not make a {type(layer).__name__}: {' '.join(str(error).partition(':')[2].split())}"
            ) from error
    return embedding, rnn, linear


def _verify(model: Any, reference: tuple[nn.Embedding, nn.RNNBase, nn.Linear], task: str, pooling: str) -> None:
    """Compare the model with PyTorch's layers on rows of several lengths; raise a ValueError if they differ."""
    embedding, rnn, linear = reference
    generator = torch.Generator().manual_seed(0)
    for length in (1, 2, 7, 30):
        ids = torch.randint(model.config.vocab_size, (1, length), generator=generator)
        with torch.no_grad():
            hidden, final = rnn(embedding(ids))
            if task == "text-classification" and pooling == "last":
                h = final[0] if isinstance(final, tuple) else final
                hidden = torch.cat(list(h[-model.config.num_directions :]), dim=1)
            elif task == "text-classification":
                hidden = hidden.mean(1) if pooling == "mean" else hidden.amax(1)
            difference = (model(ids).logits - linear(hidden)).abs().max().item()
        if not difference < 1e-4:
            raise ValueError(f"The imported model differs by {difference:.2g} on a row of {length} tokens: are there NaN weights?")
