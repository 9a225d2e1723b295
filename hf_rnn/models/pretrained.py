"""What all models share: outputs, initialisation, loading, and the settings that are no part of a checkpoint."""

import filecmp
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import ModelOutput, cached_file, logging

from .backends import asked_backend, check_backend
from .configuration_rnn import RnnConfig
from .crf import LinearChainCRF
from .embeddings import RnnEmbeddings
from .features import KIND_BITS, KINDS
from .hashing import UNUSED_KEY
from .linear import LinearTable
from .pieces import WORD_START
from .pieces import piece_types as read_piece_types
from .recurrence import Recurrence, init_recurrence, is_loaded
from .tags import forbidden_moves

logger = logging.get_logger(__name__)

# which class each Auto class finds in the code that travels with a checkpoint, whichever of them was saved
AUTO_MAP = {
    "AutoConfig": "configuration_rnn.RnnConfig",
    "AutoModel": "modeling_rnn.RnnModel",
    "AutoModelForSequenceClassification": "modeling_rnn.RnnForSequenceClassification",
    "AutoModelForTokenClassification": "modeling_rnn.RnnForTokenClassification",
    "AutoModelForMaskedLM": "modeling_rnn.RnnForMaskedLM",
    "AutoModelForCausalLM": "modeling_rnn.RnnForCausalLM",
}

# special, start of a word, continuation, white space of raw text
MOST_PIECE_TYPE = 3
# a character of Unicode with all its flags, and buffers of sorted hashes
LAST_CHARACTER = (len(KINDS) << KIND_BITS) - 1
KEYS = ("word_keys", "ngram_keys", "keys")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
# what a training run writes beside a model
RUN_FILES = ("README.md", "curves.png", "confusion_matrix.png", "reliability.png", "report.txt", "eval_results.json", "test_results.json")


@dataclass
class RnnModelOutput(ModelOutput):
    """What the encoder returns.

    Args:
        last_hidden_state (`Tensor`): States of the last layer, (B, T, H), zero at masked positions. With `word_pooling` every
            piece carries the state of its word.
        state (`Tensor`): Final state of every layer and direction, (B, layers * directions, S): h of a GRU, or h and c of an LSTM
            side by side. Batch-first, so that every tool that takes a batch apart handles it; PyTorch's form is
            `h, c = state.transpose(0, 1).chunk(2, dim=-1)`.
        hidden_states (`tuple`, *optional*): The embeddings (B, T, E), then the output of each layer (B, T, H).
    """

    last_hidden_state: Tensor | None = None
    state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


@dataclass
class RnnHeadOutput(ModelOutput):
    """What a model with a head returns.

    Args:
        loss (`Tensor`, *optional*): Mean loss over labels, when there are labels.
        logits (`Tensor`, *optional*): (B, C) of a classifier, (B, T, C) of a tagger, (B, T, V) of a language model; their
            arg max is the answer.
        intent_logits (`Tensor`, *optional*): (B, I) of a tagger with `config.intents`.
        outside (`Tensor`, *optional*): (B, 1) of a classifier with `config.outside`: from 0.5 on a row belongs to none of the classes.
        state (`Tensor`): Final state, see `RnnModelOutput`.
        hidden_states (`tuple`, *optional*): See `RnnModelOutput`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    intent_logits: Tensor | None = None
    outside: Tensor | None = None
    state: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None


def wants_dict(return_dict: bool | None, config: RnnConfig) -> bool:
    """Return whether a forward pass returns a `ModelOutput` rather than a tuple."""
    return bool(config.return_dict if return_dict is None else return_dict)


def let_read(folder: str | Path) -> None:
    """Let whoever may read the config of a folder read its weights, which safetensors 0.8 writes for their owner alone."""
    config = Path(folder) / "config.json"
    if config.is_file():
        for weights in Path(folder).glob("*.safetensors"):
            shutil.copymode(config, weights)


class RnnPreTrainedModel(PreTrainedModel):
    """Initialisation, loading and saving shared by all models."""

    config_class = RnnConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True
    _no_split_modules = ["RnnLayer", "RnnEmbeddings"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        # torch.nn.init functions skip tensors that a checkpoint has filled; what is written otherwise must ask
        if isinstance(module, Recurrence):
            init_recurrence(module)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.embedding_initializer_range)
            if module.padding_idx is not None and not is_loaded(module.weight):
                module.weight[module.padding_idx].zero_()
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, LinearChainCRF):
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -0.1, 0.1)
            self._init_constraints(module)
        elif isinstance(module, RnnEmbeddings):
            nn.init.ones_(module.piece_types)
            if self.config.word_vocab_size:
                nn.init.constant_(module.word_keys, UNUSED_KEY)
                # an unknown word has no vector of its own; words that no gradient has reached are like it
                nn.init.zeros_(module.whole_word_embeddings.weight)
            if self.config.ngram_vocab_size:
                nn.init.constant_(module.ngram_keys, UNUSED_KEY)
                nn.init.zeros_(module.ngram_embeddings.weight)

        elif isinstance(module, LinearTable):
            for buffer in module.buffers():
                nn.init.constant_(buffer, UNUSED_KEY if buffer is module.keys else 0)

    def _init_constraints(self, crf: LinearChainCRF) -> None:
        if any(is_loaded(buffer) for buffer in crf.buffers()):
            return
        if self.config.crf_constraints is None:
            moves: tuple[list, list, list] = ([False], [False], [[False]])
        else:
            labels = [self.config.id2label[index] for index in range(self.config.num_labels)]
            moves = forbidden_moves(labels, self.config.crf_constraints)
        device = crf.transitions.device
        crf.forbid(*(torch.tensor(move, dtype=torch.bool, device=device) for move in moves))

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save weights and config as transformers does, with the code that `trust_remote_code=True` runs elsewhere."""
        self.config.auto_map = dict(AUTO_MAP)
        super().save_pretrained(save_directory, *args, **kwargs)
        let_read(save_directory)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load as transformers does, from safetensors alone, with every weight a number.

        Raises:
            ValueError: The index of a checkpoint in parts names files elsewhere, a weight is NaN or infinite, or what is known of words
                cannot be.
            OSError: There is no checkpoint, or it is a pickle.
        """
        kwargs.setdefault("use_safetensors", True)
        _check_index(Path(str(pretrained_model_name_or_path)) / "model.safetensors.index.json")
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for name, parameter in (*model.named_parameters(), *model.named_buffers()):
            if not parameter.is_meta and not parameter.isfinite().all():
                raise ValueError(
                    f"{pretrained_model_name_or_path}: weight {name!r} holds NaN or infinity. Download the checkpoint again, or train "
                    "again with a smaller --learning_rate."
                )
        _check_buffers(model, str(pretrained_model_name_or_path))
        return loaded

    def _upload_modified_files(self, working_dir: Any, repo_id: str, *args: Any, **kwargs: Any) -> Any:
        # what push_to_hub saved is joined by what belongs to it where the model came from
        wanted: tuple[str, ...] = TOKENIZER_FILES
        weights = self._file_of_origin("model.safetensors")
        if weights and filecmp.cmp(weights, Path(working_dir) / "model.safetensors", shallow=False):
            # the scores of other weights would be wrong
            wanted += RUN_FILES
        for name in wanted:
            path = self._file_of_origin(name)
            if path:
                shutil.copy(path, Path(working_dir) / name)
        name_in_card(Path(working_dir) / "README.md", repo_id)
        return super()._upload_modified_files(working_dir, repo_id, *args, **kwargs)

    def _file_of_origin(self, name: str) -> str | None:
        """Return the path of a file of the folder or repository that the model was loaded from, if there is one."""
        if not self.name_or_path:
            return None
        path = cached_file(
            self.name_or_path, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
        )
        return None if path and leads_out(Path(path), Path(self.name_or_path)) else path

    @property
    def recurrence_backend(self) -> str:
        """How the recurrence is computed: one of `BACKENDS`.

        - `"auto"`: by device, mode and shape, as measured; the environment variable `HF_RNN_BACKEND` replaces it
        - `"packed"`: our CPU kernel
        - `"dense"`: PyTorch's dense layer over stretches of steps in which the same rows run
        - `"stock"`: PyTorch's packed layer, cuDNN on a GPU
        - `"loop"`: the cell's step in plain PyTorch, one after the other, as cells run that have nothing faster
        - `"masked"`: the form that `torch.export` and `torch.compile` record
        """
        return next(module.backend for module in self.modules() if isinstance(module, Recurrence))

    @recurrence_backend.setter
    def recurrence_backend(self, backend: str) -> None:
        check_backend(backend)
        for module in self.modules():
            if isinstance(module, Recurrence):
                module.backend = backend

    @property
    def _is_masked(self) -> bool:
        """Whether to compute in the mask-only form: because a graph is being recorded, or as asked."""
        if torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling():
            # exporters to ONNX stop at operators that they do not know, with no word of what to do
            logger.warning_once(
                "The graph holds operators of hf_rnn. For ONNX call hf_rnn.onnx.export_onnx(model, folder), or pass "
                "custom_translation_table=hf_rnn.onnx.TRANSLATIONS to torch.onnx.export."
            )
        return torch.compiler.is_compiling() or asked_backend(self.recurrence_backend) == "masked"

    def get_input_embeddings(self) -> nn.Module:
        """Return the embedding of the vocabulary."""
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the embedding of the vocabulary."""
        self.base_model.embeddings.word_embeddings = value

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Resize the embedding as transformers does; a new token counts as the start of a word."""
        resized = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        self.base_model.embeddings.resize_piece_types(resized.num_embeddings)
        for module in self.modules():
            if isinstance(module, LinearTable):
                module.resize_vocabulary(resized.num_embeddings)
        return resized

    def set_word_vocabulary(self, rows: Iterable[list[int]], min_frequency: int = 2) -> int:
        """Choose the words with a vector of their own from the `input_ids` of a corpus; see `RnnEmbeddings.set_word_vocabulary`."""
        return self.base_model.embeddings.set_word_vocabulary(rows, min_frequency)

    def set_word_vectors(self, rows: Iterable[list[int]], vectors: Tensor) -> int:
        """Give words vectors that are known, by the `input_ids` of each word alone; see `RnnEmbeddings.set_word_vectors`."""
        return self.base_model.embeddings.set_word_vectors(rows, vectors)

    def set_linear_path(self, linear: LinearTable | None) -> None:
        """Put a linear model beside the recurrence of a head, in place of the one that is there, or take that away."""
        self.config.linear_size = 0 if linear is None else len(linear.keys)
        if linear is not None:
            self.linear = linear.to(self.device)
        elif hasattr(self, "linear"):
            del self.linear

    def set_piece_types(self, piece_types: list[int] | PreTrainedTokenizerBase) -> None:
        """Say of each piece of the vocabulary whether it starts a word.

        Args:
            piece_types (`list` or `PreTrainedTokenizerBase`): One of `SPECIAL` (0), `WORD_START` (1), `CONTINUATION` (2) for each
                of vocab_size ids, or a fast tokenizer to read them from; see `pieces.piece_types`.

        Raises:
            ValueError: Their number is not `vocab_size`, or the tokenizer is no fast one.
        """
        types = piece_types if isinstance(piece_types, list) else read_piece_types(piece_types)
        self.base_model.embeddings.set_piece_types(types)

    @property
    def needs_piece_types(self) -> bool:
        """Return whether the recurrence runs over words and nothing has said yet where they start."""
        embeddings = self.base_model.embeddings
        return embeddings.word_pooling is not None and bool((embeddings.piece_types == WORD_START).all())


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a file of a folder is a link to something that is not in it; in the Hub's cache, to another repository."""
    if not folder.is_dir():
        return False
    whole = folder.resolve()
    # the cache keeps the files of all revisions of a repository beside them
    root = whole.parents[1] if whole.parent.name == "snapshots" else whole
    return not path.resolve().is_relative_to(root)


def name_in_card(path: Path, repo_id: str) -> None:
    """Let the examples of a card load the model by its name on the Hub."""
    card = path.read_text(encoding="utf-8")
    named = re.sub(r'(pipeline\("[\w-]+", model=)"(?:[^"\\\n]|\\.)*"', rf'\1"{repo_id}"', card)
    if named != card:
        # a process that is killed while it writes leaves the old one
        beside = path.with_name(f"{path.name}.partial")
        beside.write_text(named, encoding="utf-8")
        beside.replace(path)


def _check_index(path: Path) -> None:
    """Raise a ValueError if an index of weights in parts is none, or names a file outside its folder."""
    if not path.is_file():
        return
    try:
        names = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(f"{path} is no index of weights. Download or save the checkpoint again.") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or leads_out(path.parent / name, path.parent):
            raise ValueError(
                f"{path} names {name!r}, a file outside the checkpoint. Download the checkpoint again from a source you trust."
            )


def _check_buffers(model: nn.Module, name: str) -> None:
    """Raise a ValueError if a piece is of no type or spells what is no character, or hashes of words or features are not in order."""
    largest = {"piece_types": MOST_PIECE_TYPE, "characters": LAST_CHARACTER}
    for path, buffer in model.named_buffers():
        kind = path.rpartition(".")[2]
        if buffer.is_meta or not buffer.numel():
            continue
        if kind in largest and not 0 <= int(buffer.min()) <= int(buffer.max()) <= largest[kind]:
            got = f"values from {int(buffer.min())} to {int(buffer.max())}"
            raise ValueError(f"{name}: `{path}` must be in [0, {largest[kind]}], got {got}. Download the checkpoint again.")
        # unused ones come last and are equal
        is_sorted = kind not in KEYS or ((buffer[1:] > buffer[:-1]) | (buffer[1:] == UNUSED_KEY)).all()
        if kind in KEYS and not (int(buffer[0]) >= 0 and is_sorted):
            raise ValueError(f"{name}: `{path}` must ascend from 0 on. Download the checkpoint again.")
