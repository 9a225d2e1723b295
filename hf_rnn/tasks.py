"""Steps that the commands share: set-up, splits, tokenizer, model, and the run with all that it writes."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoTokenizer,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from .arguments import CardArguments, DataArguments, ModelArguments, RnnTrainingArguments
from .configuration_rnn import RnnConfig
from .data import AnyDataset, Splits, carve_validation, load_splits
from .model_card import write_card
from .readers import DataError
from .tokenization import piece_types, train_tokenizer
from .training import RnnTrainer, checkpoint_problem, last_complete_checkpoint
from .vectors import load_vectors

logger = logging.get_logger(__name__)

# names under which data sets on the Hub keep their validation split
VALIDATION_NAMES = ("validation", "valid", "dev")


def set_up(training: RnnTrainingArguments, metric: str, greater_is_better: bool) -> None:
    """Seed everything, and choose the metric of the best epoch."""
    transformers.utils.logging.set_verbosity(training.get_process_log_level())
    set_seed(training.seed)
    if training.metric_for_best_model == "auto":
        training.metric_for_best_model, training.greater_is_better = metric, greater_is_better
    if training.device.type == "cpu":
        training.dataloader_pin_memory = False


def resume_point(training: RnnTrainingArguments) -> str | None:
    """Return the checkpoint to resume from: the one named by `--resume_from_checkpoint`, or with "last" the newest whole one.

    Raises:
        ValueError: The named checkpoint is not whole, or the output folder holds another run that would be overwritten.
    """
    wanted = training.resume_from_checkpoint
    if wanted in (None, "false", "False"):
        if any(Path(training.output_dir).glob("checkpoint-*")):
            raise ValueError(
                f"`output_dir` {training.output_dir!r} holds checkpoints of an earlier run. Pass --resume_from_checkpoint last to go on "
                "with it, or another --output_dir."
            )
        return None
    if wanted not in ("last", "true", "True"):
        problem = checkpoint_problem(Path(wanted), training.world_size)
        if problem:
            raise ValueError(f"`resume_from_checkpoint` {wanted!r} is not a whole checkpoint: {problem}. Pass 'last' to find one that is.")
        return wanted
    found = last_complete_checkpoint(training.output_dir, training.world_size)
    if found is None:
        logger.warning(f"There is no whole checkpoint in {training.output_dir}: training starts at the beginning.")
    return found


def load_task_splits(data: DataArguments, training: RnnTrainingArguments) -> Splits:
    """Load the splits that the run needs, under the names "train", "validation" and "test", cut to the numbers of samples asked for.

    Raises:
        DataError: A split that the run needs is missing.
    """
    if not (training.do_train or training.do_eval or training.do_predict):
        raise ValueError("Nothing to do: pass at least one of --do_train, --do_eval and --do_predict.")
    if data.streaming and training.do_train and training.max_steps <= 0:
        raise ValueError(
            f"`streaming` needs the number of steps, as a stream has no length; got max_steps={training.max_steps}. Pass --max_steps."
        )
    files = {"train": data.train_file, "validation": data.validation_file, "test": data.test_file}
    files["test"] = data.test_file if training.do_predict else None
    splits = load_splits(data.dataset_name, data.dataset_config_name, {k: v for k, v in files.items() if v}, data.streaming)
    validation = next((name for name in VALIDATION_NAMES if name in splits), None)
    needed = {
        "train": ("train", data.max_train_samples, training.do_train or (training.do_eval and validation is None)),
        "validation": (validation, data.max_eval_samples, training.do_eval),
        "test": ("test", data.max_predict_samples, training.do_predict),
    }
    chosen = {}
    for split, (name, limit, is_needed) in needed.items():
        if is_needed and name in splits:
            chosen[split] = first_rows(splits[name], limit)
        elif is_needed and split != "validation":
            raise DataError(f"The run needs a {split} split; there is {list(splits)}. Pass --{split}_file.")
    return type(splits)(chosen)


def first_rows(dataset: AnyDataset, limit: int | None) -> AnyDataset:
    """Return the first rows of a data set or stream, or all if there is no limit."""
    if limit is None:
        return dataset
    return dataset.select(range(min(limit, len(dataset)))) if isinstance(dataset, Dataset) else dataset.take(limit)


def add_validation(splits: Splits, column: str | None, data: DataArguments, training: RnnTrainingArguments) -> Splits:
    """Carve a validation split from the training rows if the run evaluates and has none, stratified by a column of labels."""
    if not training.do_eval or "validation" in splits:
        return splits
    if not isinstance(splits["train"], Dataset):
        raise DataError("A stream has no validation split to carve. Pass --validation_file or leave --do_eval out.")
    labels = splits["train"][column] if column else None
    train, validation = carve_validation(splits["train"], labels, data.validation_share, data.split_seed)
    logger.warning(
        f"No validation split given: {len(validation)} of {len(splits['train'])} training rows are held out (seed {data.split_seed})."
    )
    kept = {"train": train} if training.do_train else {}
    if data.max_eval_samples is not None:
        validation = first_rows(validation, data.max_eval_samples)
    return type(splits)({**kept, "validation": validation, **{name: splits[name] for name in splits if name == "test"}})


def get_tokenizer(model: ModelArguments, texts: Iterable[str] | None, defaults: dict[str, Any], max_length: int) -> PreTrainedTokenizerBase:
    """Load the tokenizer that the options name, or train one on the texts.

    Raises:
        ValueError: There is neither a tokenizer nor a training split.
    """
    name = model.tokenizer_name or model.model_name_or_path
    if name:
        return AutoTokenizer.from_pretrained(name, trust_remote_code=model.trust_remote_code)
    if texts is None:
        raise ValueError("There is no tokenizer: pass --model_name_or_path or --tokenizer_name, or --do_train to train one.")
    logger.warning("Training the tokenizer on the training split.")
    return train_tokenizer(
        texts,
        model.tokenizer_type or defaults["tokenizer_type"],
        model.vocab_size or defaults["vocab_size"],
        model.lowercase,
        model.split_punctuation,
        model.decompose,
        model_max_length=max_length,
    )


def iterate_texts(dataset: AnyDataset, column: str) -> Iterator[str]:
    """Yield the texts of a column one by one, tokens joined by spaces; what is neither is left to the encoder to report."""
    for cell in iterate_cells(dataset, column):
        if isinstance(cell, str):
            yield cell
        elif isinstance(cell, list) and all(isinstance(token, str) for token in cell):
            yield " ".join(cell)


def iterate_cells(dataset: AnyDataset, column: str) -> Iterator[Any]:
    """Yield the cells of a column in order."""
    for batch in dataset.select_columns(column).iter(batch_size=1000):
        yield from batch[column]


def known_labels(model: ModelArguments) -> list[str] | None:
    """Return the label names of the checkpoint to go on from, or None if it has only placeholders or there is none."""
    if not model.model_name_or_path:
        return None
    config = AutoConfig.from_pretrained(model.model_name_or_path, trust_remote_code=model.trust_remote_code)
    labels = [config.id2label[index] for index in range(config.num_labels)]
    return None if all(label == f"LABEL_{index}" for index, label in enumerate(labels)) else labels


def build_model(
    auto_class: Any,
    model: ModelArguments,
    tokenizer: PreTrainedTokenizerBase,
    labels: list[str] | None,
    defaults: dict[str, Any],
    train: AnyDataset | None,
    intents: list[str] | None = None,
) -> PreTrainedModel:
    """Load the model that the options name, with a fresh output layer where labels differ, or build one from config fields.

    A new model with `word_vocab_size` takes its words from the encoded training rows.
    """
    wanted = {name: getattr(model, name) for name in RnnConfig.__dataclass_fields__ if getattr(model, name, None) is not None}
    wanted = {name: None if value == "none" else value for name, value in wanted.items() if name != "vocab_size"}
    if "word_pooling" in wanted and wanted["word_pooling"] is None:
        # without words there is no vocabulary of words
        wanted.setdefault("word_vocab_size", 0)
    maps: dict[str, Any] = {}
    if labels is not None:
        maps = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    if intents is not None:
        maps["intents"] = intents
    if model.model_name_or_path:
        config = AutoConfig.from_pretrained(model.model_name_or_path, trust_remote_code=model.trust_remote_code, **maps, **wanted)
        if defaults.get("problem_type"):
            config.problem_type = defaults["problem_type"]
        built = auto_class.from_pretrained(
            model.model_name_or_path, config=config, trust_remote_code=model.trust_remote_code, ignore_mismatched_sizes=True
        )
    else:
        vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        if model.config_name:
            config = AutoConfig.from_pretrained(model.config_name, **maps, **vocabulary, **wanted)
        else:
            fields = {name: value for name, value in defaults.items() if name in RnnConfig.__dataclass_fields__ or name == "problem_type"}
            config = RnnConfig(**{**fields, **wanted, **vocabulary, **maps})
        built = auto_class.from_config(config)
        if isinstance(config, RnnConfig):
            built.set_piece_types(piece_types(tokenizer))
            if config.word_vocab_size and train is not None:
                built.set_word_vocabulary(iterate_cells(train, "input_ids"))
    if model.vectors_file:
        coverage = load_vectors(model.vectors_file, tokenizer, built.get_input_embeddings())
        logger.warning(f"Vectors of {model.vectors_file} cover {coverage} of the vocabulary.")
    return built


def make_trainer(model: PreTrainedModel, training: RnnTrainingArguments, encoded: Splits, **options: Any) -> RnnTrainer:
    """Return the trainer, with early stopping when there is an evaluation to stop by."""
    stopping = training.load_best_model_at_end and training.early_stopping_patience
    return RnnTrainer(
        model=model,
        args=training,
        train_dataset=encoded.get("train"),
        eval_dataset=encoded.get("validation"),
        callbacks=[EarlyStoppingCallback(training.early_stopping_patience)] if stopping else None,
        **options,
    )


def run(trainer: RnnTrainer, training: RnnTrainingArguments, encoded: Splits, resume: str | None) -> dict[str, PredictionOutput]:
    """Train, from a checkpoint or the start, evaluate and predict as asked; write model, state and metrics.

    Returns:
        `dict`: The predictions on validation and test, as far as asked for.
    """
    if training.do_train:
        result = trainer.train(resume_from_checkpoint=resume)
        # to the Hub it goes last, with card and curves
        trainer.save_model(_internal_call=True)
        trainer.log_metrics("train", result.metrics)
        trainer.save_metrics("train", result.metrics)
        trainer.save_state()
    outputs = {}
    for split, prefix, is_wanted in (("validation", "eval", training.do_eval), ("test", "test", training.do_predict)):
        if is_wanted:
            outputs[split] = trainer.predict(encoded[split], metric_key_prefix=prefix)
            trainer.log_metrics(prefix, outputs[split].metrics)
            trainer.save_metrics(prefix, outputs[split].metrics)
    return outputs


def add_unseen(trainer: RnnTrainer, outputs: dict[str, PredictionOutput], splits: Splits, column: str, metric: str) -> None:
    """Where rows of a predicted split are also in the training split, add the metric of the others, and their number, as `unseen_...`."""
    if not outputs or not isinstance(splits.get("train"), Dataset):
        return
    known = {_key(cell) for cell in iterate_cells(splits["train"], column)}
    for split, output in outputs.items():
        unseen = np.array([_key(cell) not in known for cell in iterate_cells(splits[split], column)], dtype=bool)
        if output.label_ids is None or output.metrics is None or unseen.all() or not unseen.any():
            continue
        prefix = "eval" if split == "validation" else split
        predictions, references = (_take(values, unseen) for values in (output.predictions, output.label_ids))
        score = trainer.compute_metrics(EvalPrediction(predictions, references))[metric]
        output.metrics.update({f"{prefix}_unseen_{metric}": float(score), f"{prefix}_unseen_samples": int(unseen.sum())})
        trainer.save_metrics(prefix, output.metrics)
        seen = f"{len(unseen) - unseen.sum()} of {len(unseen)} {split} rows are also in the training split"
        logger.warning(f"{seen}; on the others {metric} is {score:.4f}.")


def _key(cell: Any) -> Any:
    return tuple(cell) if isinstance(cell, list) else cell


def _take(values: Any, rows: np.ndarray) -> Any:
    """Return some rows of an array, or of each of several."""
    return tuple(part[rows] for part in values) if isinstance(values, tuple) else values[rows]


def finish(trainer: RnnTrainer, card: CardArguments, example: str, data: tuple[str, str], **options: Any) -> None:
    """Write the card and push what the folder holds if the run is to; `data` is what `describe_data` returns."""
    if trainer.is_world_process_zero():
        write_card(trainer, card, *data, example=example, **options)
    if trainer.args.push_to_hub:
        trainer.push_to_hub()


def choose_example(texts: Iterable[Any]) -> str:
    """Return the first short text without markup."""
    plain = (" ".join(text) if isinstance(text, list) else str(text) for text in islice(texts, 100))
    return next((text for text in plain if 8 <= len(text) <= 80 and text.isprintable() and "`" not in text), "")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
