"""One-way models chunk by chunk: a graph that takes the state it gave and goes on."""

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..data.writing import staged
from ..models.configuration_rnn import RnnConfig
from ..tasks.decoding import task_of
from .export import AXES, TOLERANCE, write_graph

STEP_FILE = "model_step.onnx"
# steps of the check, and of one of its chunks
CHECKED, CHUNK = 60, 7


class _Step(nn.Module):
    """What a model makes of a chunk and of what came before."""

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, input_ids: Tensor, state: Tensor) -> list[Tensor]:
        output = self.model(input_ids, torch.ones_like(input_ids), state=state, return_dict=True)
        return [output[self.name], output["state"]]


class Stepper:
    """A graph that `export_step` wrote.

    Args:
        folder (`str`): Where it is.
        threads (`int`): Threads of one step.
    """

    def __init__(self, folder: str | Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(Path(folder) / STEP_FILE), options, providers=["CPUExecutionProvider"])
        self._shape = self.session.get_inputs()[1].shape[1:]

    def step(self, state: np.ndarray | None, chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs of a chunk of ids (B, T), T at least 1, and the state behind it (B, layers, S).

        Args:
            state (`ndarray`, *optional*): What the step before returned; None at the beginning.
            chunk (`ndarray`): Ids that go on, without padding.

        Returns:
            `tuple`: Logits, (B, C) so far of a classifier, else (B, T, C), or states (B, T, H) of an encoder; and the state.
        """
        if state is None:
            state = np.zeros((len(chunk), *self._shape), dtype=np.float32)
        outputs, state = self.session.run(None, {"input_ids": chunk, "state": state})
        return outputs, state


def check_goes_along(config: RnnConfig, head: str) -> None:
    """Raise a ValueError that says why the outputs of a model cannot be had before a text has ended, if they cannot."""
    reasons = {
        "bidirectional": config.bidirectional,
        "word_pooling": config.word_pooling,
        "linear_size": config.linear_size,
        "use_crf": config.use_crf,
        "lookahead": config.lookahead,
        "intents": config.intents,
        "pooling": task_of(head) == "text-classification" and config.pooling != "last",
    }
    found = next((name for name, is_reason in reasons.items() if is_reason), None)
    if found is not None:
        raise ValueError(
            "A model that goes along chunk by chunk reads one way and looks at nothing that comes later, got "
            f"{found}={getattr(config, found)!r}. Train with --bidirectional false, without a CRF, a linear part and words, and a "
            "classifier with --pooling last."
        )


def export_step(model: PreTrainedModel, folder: str | Path) -> float:
    """Write `model_step.onnx`, which reads chunks and hands on its state; check it against PyTorch on whole rows.

    Args:
        model (`PreTrainedModel`): A one-way model of this package; exported in fp32.
        folder (`str`): Folder to write to.

    Returns:
        `float`: Largest difference from PyTorch, relative to the largest value, on rows that are read in chunks of 7.

    Raises:
        ValueError: The model cannot go along, or the graph computes something else.
    """
    check_goes_along(model.config, type(model).__name__)
    model = copy.deepcopy(model).cpu().float().eval()
    with staged(folder, (STEP_FILE,)) as stage:
        return _export_checked(model, stage)


def _export_checked(model: PreTrainedModel, folder: Path) -> float:
    """Write the graph of a model in fp32; return how far it is from it."""
    name = "last_hidden_state" if model.base_model is model else "logits"
    # (B, T)
    ids = torch.randint(model.config.vocab_size, (3, CHECKED), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model(ids, torch.ones_like(ids), return_dict=True)
    inputs = {"input_ids": ids[:, :CHUNK], "state": torch.zeros_like(whole.state)}
    write_graph(_Step(model, name), inputs, (AXES, {0: AXES[0]}), [name, "next_state"], folder / STEP_FILE)
    stepper, state, parts = Stepper(folder), None, []
    for start in range(0, CHECKED, CHUNK):
        part, state = stepper.step(state, ids[:, start : start + CHUNK].numpy())
        parts.append(torch.from_numpy(part))
    found = torch.cat(parts, 1) if parts[0].dim() == 3 else parts[-1]
    difference = float(((found - whole[name]).abs().max() / whole[name].abs().max().clamp(min=1e-30)).nan_to_num(nan=torch.inf))
    if difference > TOLERANCE:
        raise ValueError(f"{STEP_FILE}: the graph differs from PyTorch by {difference:.2g}, more than {TOLERANCE}. Please report it.")
    return difference
