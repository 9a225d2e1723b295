"""Pretrain a body on text without labels, as a masked or a causal language model.

Example:
    hf-rnn language-model --train_files texts.txt.gz more.csv --do_train --do_eval --output_dir outputs/body
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import exp
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset, DatasetDict, IterableDatasetDict, concatenate_datasets
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    EvalPrediction,
    PreTrainedTokenizerBase,
)
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils import logging

from ..arguments import CONFIG_DEFAULTS, TEXT_READING, CardArguments, DataArguments, ModelArguments, RnnTrainingArguments, text_reading
from ..data.files.cells import as_text, place
from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.collator import RnnCollator
from ..data.rows.splits import (
    AnyDataset,
    Splits,
    carve_validation,
    choose_column,
    first_rows,
    iterate_cells,
    iterate_texts,
    load_splits,
)
from ..data.tokenizers.training import begin_texts, train_tokenizer
from ..options import again, option, parse_arguments, pick
from ..reports.plots import plot_curves
from ..reports.writing import optional
from ..sharing.cards import code
from ..training.building import build_model, loaded_tokenizer, resumed_tokenizer
from ..training.checkpoints import resume_point
from ..training.finishing import choose_example, finish
from ..training.outputs import writing_to
from ..training.running import choose_metric, make_trainer, run, set_up
from ..training.trainer import RnnTrainer

logger = logging.get_logger(__name__)

DEFAULTS: dict[str, Any] = {
    "tokenizer_type": "unigram",
    "vocab_size": 16000,
    "embedding_dropout": 0.0,
    "input_dropout": 0.1,
    "hidden_dropout": 0.1,
}


@dataclass
class TextArguments:
    """Which texts to learn from, and what to hide of them."""

    train_files: list[str] | None = option(  # noqa: RUF009
        "Files of texts: txt (a text a line), csv, tsv, json, jsonl, conll, conllu, each also as .gz, or parquet.",
        essential=True,
    )
    objective: str = option("masked or causal.", "masked", choices=["masked", "causal"], essential=True)
    mlm_probability: float = option("Share of the pieces to predict, if masked.", 0.2, within="(0, 1)")
    validation_rows: int | None = option(
        "Rows held out for --do_eval, drawn with --split_seed; by default 5000, or a tenth where there are fewer than 50,000.",
        within="[1, inf)",
    )


@dataclass
class PretrainingArguments(RnnTrainingArguments):
    """Defaults that suit pretraining."""

    per_device_train_batch_size: int = again(RnnTrainingArguments, "per_device_train_batch_size", 128)
    per_device_eval_batch_size: int = again(RnnTrainingArguments, "per_device_eval_batch_size", 64)
    num_train_epochs: float = again(RnnTrainingArguments, "num_train_epochs", 10.0)
    early_stopping_patience: int | None = again(RnnTrainingArguments, "early_stopping_patience", None)


# options of models that a language model makes nothing of
WITHOUT = {
    **dict.fromkeys(("use_crf", "crf_constraints"), "A CRF tags words: pass it when a tagger starts from the body."),
    "lookahead": "It is of taggers: pass it when one starts from the body.",
    **dict.fromkeys(("word_pooling", "word_vocab_size", "ngram_vocab_size"), "A language model predicts pieces, not words."),
    **dict.fromkeys(("pooling", "classifier_dropout", "linear_size"), "It is of classifiers: pass it when one starts from the body."),
}
READ = ("dataset_name", "dataset_config_name", "max_train_samples", "streaming", "preprocessing_num_workers", "split_seed", *TEXT_READING)
KINDS = (TextArguments, pick(DataArguments, *READ, max_length=256), ModelArguments, PretrainingArguments, CardArguments)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics."""
    own, read, model_args, training, card = parse_arguments(argv, __doc__, *KINDS, defaults=CONFIG_DEFAULTS | DEFAULTS, without=WITHOUT)
    texts_args = SimpleNamespace(**vars(own), **vars(read))
    if not training.do_train:
        raise ValueError("Nothing to do: pass --do_train.")
    set_up(training, model_args, *(texts_args.train_files or ()))
    with writing_to(training.output_dir):
        return _run(texts_args, model_args, training, card)


def _run(texts_args: SimpleNamespace, model_args: ModelArguments, training: PretrainingArguments, card: CardArguments) -> dict[str, float]:
    """Train as the options ask; return the metrics."""
    objective = OBJECTIVES[texts_args.objective]
    choose_metric(training, "loss", False, ["accuracy"])
    texts = load_texts(texts_args, training)
    held_out = count_held_out(texts, texts_args.validation_rows) if training.do_eval else 0
    resume = resume_point(training)
    tokenizer = _make_tokenizer(texts, model_args, texts_args.max_length, resume)
    objective.prepare(tokenizer)
    encode = partial(objective.encode, tokenizer=tokenizer, max_length=texts_args.max_length)
    encoded = _encode(texts, encode, texts_args, held_out)
    defaults = {**DEFAULTS, **objective.defaults}
    model = build_model(objective.auto_class, model_args, tokenizer, objective.config_fields(tokenizer), defaults)
    trainer = make_trainer(
        training,
        encoded,
        PretrainingTrainer,
        model=model,
        processing_class=tokenizer,
        data_collator=objective.collator(tokenizer, texts_args.mlm_probability),
        compute_metrics=objective.compute_metrics,
        preprocess_logits_for_metrics=_best_piece,
    )
    outputs = run(trainer, training, encoded, resume)
    if trainer.is_world_process_zero() and trainer.state.log_history:
        with optional("The curves"):
            plot_curves(trainer.state.log_history, Path(training.output_dir) / "curves.png", "accuracy")
    metrics = {name: value for output in outputs.values() for name, value in (output.metrics or {}).items()}
    if "eval_loss" in metrics:
        metrics["eval_perplexity"] = exp(min(metrics["eval_loss"], 100.0))
        trainer.save_metrics("eval", metrics)
        logger.warning(f"Perplexity of pieces: {metrics['eval_perplexity']:.2f}")
    example = objective.example(choose_example(iterate_cells(texts, "text")), tokenizer)
    finish(trainer, card, example, _describe_texts(texts_args, encoded), outputs, task=objective.task, metric="accuracy")
    return metrics


def _make_tokenizer(texts: AnyDataset, model: ModelArguments, max_length: int, resume: str | None) -> PreTrainedTokenizerBase:
    """Load the tokenizer that the options name, or train one; a checkpoint to resume from keeps its own."""
    tokenizer = loaded_tokenizer(model, iterate_texts(texts, "text"), max_length)
    if tokenizer is not None:
        return tokenizer
    kind, size = model.tokenizer_type or DEFAULTS["tokenizer_type"], model.vocab_size or DEFAULTS["vocab_size"]
    cases = model.lowercase, model.split_punctuation, model.decompose
    return resumed_tokenizer(
        lambda: train_tokenizer(iterate_texts(texts, "text"), kind, size, *cases, model_max_length=max_length), size, max_length, resume
    )


class PretrainingTrainer(RnnTrainer):
    """`RnnTrainer` whose evaluations all hide the same pieces: epochs are told apart by what was learnt, not by what was drawn."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate as it would be at the start; training draws on as if nothing had been."""
        with torch.random.fork_rng():
            torch.manual_seed(self.args.seed)
            return super().evaluation_loop(*args, **kwargs)


class MaskedObjective:
    """Pieces are hidden and predicted from both sides (Devlin et al. 2019)."""

    task = "fill-mask"
    auto_class = AutoModelForMaskedLM
    defaults: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def prepare(tokenizer: PreTrainedTokenizerBase) -> None:
        """Raise a ValueError if the tokenizer has nothing to hide pieces by."""
        if tokenizer.mask_token is None:
            raise ValueError(f"The tokenizer {tokenizer.name_or_path!r} has no mask token. Train one with `hf-rnn train-tokenizer`.")

    @staticmethod
    def encode(batch: dict[str, list], *, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list]:
        """Tokenise a batch of texts into `input_ids`, one row for every `max_length` tokens of a text."""
        options = {"truncation": True, "max_length": max_length, "return_overflowing_tokens": True, "return_attention_mask": False}
        return {"input_ids": tokenizer(batch["text"], **options)["input_ids"]}

    @staticmethod
    def config_fields(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Return fields of the config that follow from the tokenizer."""
        return {}

    @staticmethod
    def collator(tokenizer: PreTrainedTokenizerBase, probability: float) -> Any:
        """Return what hides pieces of a batch."""
        return DataCollatorForLanguageModeling(tokenizer, mlm_probability=probability)

    @staticmethod
    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        """Return the share of masked pieces that are found, from best pieces and labels, both (N, T)."""
        return _accuracy(prediction.predictions, prediction.label_ids)

    @staticmethod
    def example(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
        """Put the mask token in place of the word in the middle of a text."""
        words = text.split() or [""]
        words[len(words) // 2] = tokenizer.mask_token
        return " ".join(words)


class CausalObjective:
    """Each piece is predicted from those before it (Mikolov et al. 2010)."""

    task = "text-generation"
    auto_class = AutoModelForCausalLM
    defaults: ClassVar[dict[str, Any]] = {"bidirectional": False}

    @staticmethod
    def prepare(tokenizer: PreTrainedTokenizerBase) -> None:
        """Let texts begin with a token, which also ends them, if the tokenizer has none yet."""
        if tokenizer.eos_token_id is None:
            begin_texts(tokenizer)

    @staticmethod
    def encode(batch: dict[str, list], *, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, list]:
        """Tokenise a batch of texts into `input_ids` and equal `labels`, one row for every `max_length` tokens of a text."""
        ids = tokenizer(batch["text"], add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
        whole = [[first, *row, tokenizer.eos_token_id] for row in ids]
        rows = [row[start : start + max_length] for row in whole for start in range(0, len(row), max_length)]
        return {"input_ids": rows, "labels": rows}

    @staticmethod
    def config_fields(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        """Return the tokens that begin and end a text."""
        return {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}

    @staticmethod
    def collator(tokenizer: PreTrainedTokenizerBase, probability: float) -> Any:
        """Return what pads a batch."""
        return RnnCollator(tokenizer.pad_token_id)

    @staticmethod
    def compute_metrics(prediction: EvalPrediction) -> dict[str, float]:
        """Return the share of next pieces that are found, from best pieces and labels, both (N, T)."""
        return _accuracy(prediction.predictions[:, :-1], prediction.label_ids[:, 1:])

    @staticmethod
    def example(text: str, tokenizer: PreTrainedTokenizerBase) -> str:
        """Return how a text begins."""
        words = text.split()
        return " ".join(words[: max(1, len(words) // 2)])


OBJECTIVES: dict[str, Any] = {"masked": MaskedObjective, "causal": CausalObjective}


def _accuracy(best: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {"accuracy": float((best == labels)[labels != -100].mean())}


def _describe_texts(arguments: SimpleNamespace, encoded: Splits) -> tuple[str, str]:
    """Return a name for the texts and Markdown about them."""
    names = [arguments.dataset_name] if arguments.dataset_name else [Path(path).name for path in arguments.train_files or ()]
    counts = [f"{len(rows):,} rows for {split}" for split, rows in encoded.items() if isinstance(rows, Dataset)]
    listed = ", ".join(code(name) for name in names)
    return ", ".join(names), f"Texts without labels: {listed}{'; ' if counts else ''}{', '.join(counts)}."


def load_texts(arguments: SimpleNamespace, training: RnnTrainingArguments) -> AnyDataset:
    """Load all texts into one data set with the column "text".

    Raises:
        DataError: A file cannot be read or has no text.
        ValueError: A stream without a number of steps.
    """
    if arguments.streaming and (training.max_steps <= 0 or training.do_eval):
        raise ValueError("`streaming` needs --max_steps, as a stream has no length, and cannot hold rows out: leave --do_eval out.")
    sources: list[dict[str, str] | None] = [{"train": path} for path in arguments.train_files or ()] or [None]
    parts, reading = [], text_reading(arguments)
    for files in sources:
        splits = load_splits(arguments.dataset_name, arguments.dataset_config_name, files, arguments.streaming, reading)
        if "train" not in splits:
            raise DataError(f"{arguments.dataset_name!r} has no train split; it has {list(splits)}.")
        column = choose_column(splits["train"], "train", arguments.text_column_name, (*TEXT_COLUMNS, *TOKEN_COLUMNS), "text_column_name")
        options = {"batched": True, "with_indices": True, "fn_kwargs": {"column": column}, "remove_columns": column}
        with Places(files or {}).named():
            parts.append(splits["train"].select_columns(column).map(_as_texts, **options))
    return first_rows(concatenate_datasets(parts), arguments.max_train_samples)


def _as_texts(batch: dict[str, list], rows: list[int], column: str) -> dict[str, list[str]]:
    """Keep the texts that have a character, tokens joined by spaces."""
    texts = (as_text(cell, place("train", row, column)) for cell, row in zip(batch[column], rows, strict=True))
    return {"text": [text for text in texts if text.strip()]}


def count_held_out(texts: AnyDataset, wanted: int | None) -> int:
    """Return how many texts are for validation; raise a DataError if none would be left to train on."""
    held_out = wanted or max(1, min(5000, len(texts) // 10))
    if held_out >= len(texts):
        raise DataError(f"`validation_rows` must be fewer than the {len(texts)} texts, got {held_out}. Pass a smaller --validation_rows.")
    return held_out


def _encode(texts: AnyDataset, encode: Callable[..., dict[str, list]], arguments: SimpleNamespace, held_out: int) -> Splits:
    """Hold rows out and tokenise the splits."""
    splits: Splits = IterableDatasetDict(train=texts)
    if isinstance(texts, Dataset):
        splits = DatasetDict(train=texts)
        if held_out:
            train, validation = carve_validation(texts, None, held_out / len(texts), arguments.split_seed)
            splits = DatasetDict(train=train, validation=validation)
    # a tokenizer changes its own state, hence its fingerprint, when it is first used
    encode({"text": ["settle"]})
    workers = {"num_proc": arguments.preprocessing_num_workers} if isinstance(texts, Dataset) else {}
    return splits.map(encode, batched=True, remove_columns=["text"], **workers)


def _best_piece(logits: Tensor, labels: Tensor) -> Tensor:
    """Keep the best piece of each position rather than all logits in memory."""
    return logits.argmax(-1)
