"""What a run starts from: its tokenizer and its model, loaded or made."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from ..arguments import ModelArguments
from ..data.loading import load_config, load_tokenizer
from ..data.rows.splits import AnyDataset, iterate_cells, iterate_texts
from ..data.tokenizers.encoder_vectors import borrow_vectors, borrow_word_vectors, list_words, load_source_tokenizer
from ..data.tokenizers.vectors import load_vectors
from ..data.tokenizers.vocabulary import CUT_SIZE, cut_vocabulary
from ..data.tokenizers.words import encode_words
from ..models.configuration_rnn import RnnConfig
from ..tasks.task import Task, TaskOptions

logger = logging.get_logger(__name__)

# options of tokenizers and linear models that configs have too, under the same names
NOT_BUILT = ("vocab_size", "linear_size")


def loaded_tokenizer(
    model: ModelArguments, texts: Iterable[str] | None, max_length: int, is_cut: bool = True
) -> PreTrainedTokenizerBase | None:
    """Return the tokenizer that the options name, or None if one is to be trained.

    Args:
        model (`ModelArguments`): What to start from.
        texts (`Iterable`, *optional*): Training texts.
        max_length (`int`): Pieces to which it truncates.
        is_cut (`bool`): Whether the tokenizer of an encoder whose vectors are borrowed is taken, cut to the pieces of the texts.

    Raises:
        ValueError: There is neither a tokenizer nor a training split.
    """
    name = model.tokenizer_name or model.model_name_or_path
    if name:
        return load_tokenizer(name, model.trust_remote_code)
    if texts is None:
        raise ValueError("There is no tokenizer: pass --model_name_or_path or --tokenizer_name, or --do_train to train one.")
    if model.embeddings_from and is_cut:
        size = model.vocab_size or CUT_SIZE
        tokenizer = cut_vocabulary(load_source_tokenizer(model.embeddings_from), texts, size, model_max_length=max_length)
        logger.warning(f"The tokenizer of {model.embeddings_from}, cut to {len(tokenizer):,} pieces.")
        return tokenizer
    return None


def make_tokenizer(
    task: Task, rows: AnyDataset | None, options: TaskOptions, defaults: dict[str, Any], resume: str | None = None
) -> PreTrainedTokenizerBase:
    """Load the tokenizer that the options name, or train one on the training rows; a checkpoint to resume from keeps its own."""
    texts = iterate_texts(rows, task.columns.text) if rows is not None else None
    tokenizer = loaded_tokenizer(options.model, texts, task.max_length, not (task.has_tags and options.borrows_words))
    if tokenizer is not None:
        if task.max_length < tokenizer.model_max_length:
            # what is cut in training is cut when the model answers
            tokenizer.model_max_length = task.max_length
        return tokenizer
    assert rows is not None
    size = options.model.vocab_size or defaults["vocab_size"]
    return resumed_tokenizer(lambda: task.train_tokenizer(rows, options, defaults), size, task.max_length, resume)


def resumed_tokenizer(
    train: Callable[[], PreTrainedTokenizerBase], size: int, max_length: int, checkpoint: str | None
) -> PreTrainedTokenizerBase:
    """Return the tokenizer that the weights of a checkpoint have learnt with, or a new one if there is no checkpoint.

    Args:
        train (`Callable`): Trains one on the rows at hand, which takes minutes where they are many.
        size (`int`): Pieces that it has at most.
        max_length (`int`): Pieces to which it truncates.
        checkpoint (`str`, *optional*): Folder to resume from.
    """
    kept = None if checkpoint is None or not (Path(checkpoint) / "tokenizer.json").exists() else load_tokenizer(checkpoint)
    if kept is None or len(kept) != size:
        logger.warning("Training the tokenizer on the training split.")
        trained = train()
        # another size is another model, which is refused with the option that differs
        if kept is None or len(kept) != len(trained) or kept.get_vocab() == trained.get_vocab():
            return trained
    logger.warning("The tokenizer is that of the checkpoint.")
    kept.model_max_length = max_length
    return kept


def foreign_width(model: ModelArguments) -> int | None:
    """Return the width of the states of a model to go on from that is none of ours, such as a pretrained transformer; else None."""
    if model.model_name_or_path is None:
        return None
    config = load_config(model.model_name_or_path, model.trust_remote_code)
    return None if isinstance(config, RnnConfig) else getattr(config, "hidden_size", 768)


def build_task_model(
    task: Task,
    options: TaskOptions,
    tokenizer: PreTrainedTokenizerBase,
    defaults: dict[str, Any],
    rows: AnyDataset | None,
    encoded: AnyDataset | None,
) -> PreTrainedModel:
    """Load the model that the options name, or build one; `rows` and `encoded` are the training rows, if there are any."""
    has_words, model = task.has_tags and options.borrows_words, options.model
    built = build_model(task.auto_class, model, tokenizer, task.config_fields(options), defaults, encoded, borrows_pieces=not has_words)
    if has_words and rows is not None:
        borrow_words(built, str(model.embeddings_from), tokenizer, task.words(rows, encoded) or ())
    elif not (model.model_name_or_path or model.vectors_file or model.embeddings_from):
        task.initialize(built, tokenizer)
    return built


def build_model(
    auto_class: Any,
    model: ModelArguments,
    tokenizer: PreTrainedTokenizerBase,
    fields: dict[str, Any],
    defaults: dict[str, Any],
    train: AnyDataset | None = None,
    borrows_pieces: bool = True,
) -> PreTrainedModel:
    """Load the model that the options name, with a fresh output layer where labels differ, or build one from config fields.

    Args:
        auto_class (`Any`): Loads or builds it.
        model (`ModelArguments`): What to start from, and config fields.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        fields (`dict`): Config fields that follow from the data.
        defaults (`dict`): Config fields of a new model where the options say nothing.
        train (*optional*): Encoded training rows, of which a new model with `word_vocab_size` takes its words.
        borrows_pieces (`bool`): Whether pieces get the vectors of the encoder that options name.
    """
    wanted = _wanted(model)
    if model.model_name_or_path:
        built = _load_model(auto_class, model, {**fields, **wanted})
    else:
        vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        if model.config_name:
            config = load_config(model.config_name, is_config=True, **fields, **vocabulary, **wanted)
        else:
            usual = {name: value for name, value in defaults.items() if name in RnnConfig.__dataclass_fields__ and name not in NOT_BUILT}
            config = RnnConfig(**{**usual, **wanted, **vocabulary, **fields})
        built = auto_class.from_config(config)
        if isinstance(config, RnnConfig):
            built.set_piece_types(tokenizer)
            if (config.word_vocab_size or config.ngram_vocab_size) and train is not None:
                built.set_word_vocabulary(iterate_cells(train, "input_ids"))
        if model.embeddings_from and borrows_pieces:
            with torch.no_grad():
                built.get_input_embeddings().weight.copy_(_borrowed(model.embeddings_from, tokenizer, config.embedding_size))
    if model.vectors_file:
        coverage = load_vectors(model.vectors_file, tokenizer, built.get_input_embeddings())
        logger.warning(f"Vectors of {model.vectors_file} cover {coverage} of the vocabulary.")
    return built


@lru_cache(maxsize=1)
def _borrowed(name: str, tokenizer: PreTrainedTokenizerBase, width: int) -> torch.Tensor:
    """Return vectors of an encoder for the pieces of a tokenizer; a study of many models asks for the same ones again and again."""
    return borrow_vectors(name, tokenizer, width)


def _wanted(model: ModelArguments) -> dict[str, Any]:
    """Return the config fields that the options set."""
    names = [name for name in RnnConfig.__dataclass_fields__ if name not in NOT_BUILT]
    given = {name: getattr(model, name) for name in names if getattr(model, name, None) is not None}
    wanted = {name: None if value == "none" else value for name, value in given.items()}
    if "word_pooling" in wanted and wanted["word_pooling"] is None:
        # without words there is no vocabulary of words
        wanted = {"word_vocab_size": 0, "ngram_vocab_size": 0, **wanted}
    return wanted


def _load_model(auto_class: Any, model: ModelArguments, fields: dict[str, Any]) -> PreTrainedModel:
    """Load a checkpoint, with config fields of its own for those given; it keeps what it knows of labels that stay."""
    name, trust = str(model.model_name_or_path), model.trust_remote_code
    config = load_config(name, trust, **fields)
    # what a config of another architecture does not declare is kept too
    config.columns = fields.get("columns", getattr(config, "columns", None))
    built = auto_class.from_pretrained(name, config=config, trust_remote_code=trust, ignore_mismatched_sizes=True)
    before = load_config(name, trust)
    names = {part: (_names(before, part), _names(config, part)) for part in ("id2label", "intents")}
    if any(old and set(old) & set(new) and old != new for old, new in names.values()):
        told = {"id2label": "labels", "intents": "intents"}
        for part, (old, new) in names.items():
            if added := [label for label in new if label not in old]:
                logger.warning(f"New {told[part]} {added[:20]} join the {len(old)} of {name}.")
        keep_known(built, auto_class.from_pretrained(name, config=before, trust_remote_code=trust), names)
    return built


def _names(config: Any, part: str) -> list[str]:
    """Return the names of labels, or of intents, in the order of logits."""
    if part == "intents":
        return list(getattr(config, "intents", None) or ())
    return [config.id2label[index] for index in range(config.num_labels)]


def _of_labels(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return the tensors that may have an axis of labels, by name: parameters, and what a linear model holds in buffers."""
    return {**dict(model.named_parameters()), **{name: each for name, each in model.named_buffers() if name.startswith("linear.")}}


@torch.no_grad()
def keep_known(model: PreTrainedModel, before: PreTrainedModel, names: dict[str, tuple[list[str], list[str]]]) -> None:
    """Copy what a model knew of labels into one that has these and others: of output layers, linear models and transitions.

    Args:
        model (`PreTrainedModel`): Has other labels, and is the same elsewhere.
        before (`PreTrainedModel`): The model before.
        names (`dict`): Names before and now, of labels under `"id2label"`, of intents under `"intents"`.
    """
    parameters = _of_labels(before)
    for name, parameter in _of_labels(model).items():
        old, new = names["intents" if "intent" in name else "id2label"]
        known = parameters.get(name)
        if known is None or known.dim() != parameter.dim() or len(old) not in known.shape or set(old).isdisjoint(new):
            continue
        kept = [label for label in old if label in new]
        # on each axis of labels the places before and now, on others all
        pairs = [
            ([old.index(label) for label in kept], [new.index(label) for label in kept])
            if (size, wanted) == (len(old), len(new))
            else (list(range(size)), list(range(wanted)))
            for size, wanted in zip(known.shape, parameter.shape, strict=True)
        ]
        if any(len(source) != len(target) for source, target in pairs):
            continue
        sources, targets = (torch.meshgrid(*map(torch.tensor, places), indexing="ij") for places in zip(*pairs, strict=True))
        parameter[targets] = known[sources].to(parameter)


def borrow_words(model: PreTrainedModel, name: str, tokenizer: PreTrainedTokenizerBase, rows: Iterable[list[str]]) -> None:
    """Give whole words the vectors of an encoder: those of the training rows, the most frequent first, then those that it knows itself."""
    counts = Counter(word for row in rows for word in row)
    own = [word for word, count in counts.most_common() if count >= 2]
    words = list(dict.fromkeys([*own, *list_words(name)]))
    rows_of = dict(zip(words, encode_words(tokenizer, [[word] for word in words])["input_ids"], strict=True))
    # words with an unknown piece cannot be told apart
    words = [word for word in words if tokenizer.unk_token_id not in rows_of[word]][: model.config.word_vocab_size]
    special = set(tokenizer.all_special_ids)
    ids = [[index for index in rows_of[word] if index not in special] for word in words]
    taken = model.set_word_vectors(ids, borrow_word_vectors(name, words, model.config.embedding_size))
    logger.warning(f"{taken:,} words have vectors of {name}, {len({*own} & {*words}):,} of them from the training rows.")
