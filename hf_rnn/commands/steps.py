"""Steps that the commands share: set-up, splits, tokenizer, model, and the run with all that it writes."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset, disable_progress_bars
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    set_seed,
)
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..data.files.locations import Places
from ..data.files.readers import DataError, check_file
from ..data.loading import check_source, load_config, load_tokenizer
from ..data.rows.encoding import encode_words
from ..data.rows.splits import AnyDataset, Splits, draw_validation, first_rows, iterate_cells, load_splits
from ..data.tokenizers.encoder_vectors import borrow_vectors, borrow_word_vectors, list_words, load_source_tokenizer
from ..data.tokenizers.training import train_tokenizer
from ..data.tokenizers.vectors import load_vectors
from ..data.tokenizers.vocabulary import CUT_SIZE, cut_vocabulary
from ..data.writing import check_output_dir, written_whole
from ..linear.classifier import LinearFit
from ..models.configuration_rnn import RnnConfig
from ..sharing.cards import write_card
from ..training.arguments import CardArguments, DataArguments, ModelArguments, RnnTrainingArguments
from ..training.defaults import validation_share
from ..training.trainer import RnnTrainer
from .progress import ProgressLines, line_of, summary
from .quiet import hide_library_bars

logger = logging.get_logger(__name__)

# of the training arguments, those that a card shows
SETTINGS = (
    "learning_rate",
    "lr_scheduler_type",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "num_train_epochs",
    "max_grad_norm",
    "weight_decay",
    "label_smoothing_factor",
    "adversarial_epsilon",
    "seed",
    "bf16",
)
# files of a run that are no part of the model, and that data may be called
WRITTEN = ("predictions.jsonl", "report.txt", "report.html")
# names under which data sets on the Hub keep their validation split
VALIDATION_NAMES = ("validation", "valid", "dev")


def set_up(training: RnnTrainingArguments, model: ModelArguments, *inputs: str | None) -> None:
    """Seed everything, and let logs say what the options ask for, without bars where nobody watches; check what the run starts from.

    Args:
        training (`RnnTrainingArguments`): What is asked for.
        model (`ModelArguments`): Names other models and files.
        inputs: Files of data and folders of teachers.

    Raises:
        ValueError: There is no such model or file, or the run would write over it.
    """
    transformers.utils.logging.set_verbosity(training.get_process_log_level())
    names = (model.model_name_or_path, model.config_name, model.tokenizer_name, model.embeddings_from)
    # a model may be evaluated where it is
    read = (*inputs, *names) if training.do_train else inputs
    check_output_dir(training.output_dir, "output_dir", *read, written=WRITTEN)
    for name in filter(None, names):
        check_source(name, is_config=name == model.config_name)
    if model.vectors_file:
        check_file(model.vectors_file)
    set_seed(training.seed)
    hide_library_bars()
    if not sys.stderr.isatty():
        disable_progress_bars()
    if training.device.type == "cpu":
        training.dataloader_pin_memory = False


def choose_metric(training: RnnTrainingArguments, metric: str, greater_is_better: bool, known: Iterable[str]) -> None:
    """Let a metric choose the best epoch, unless the options name one.

    Raises:
        ValueError: They name one that is not known.
    """
    wanted, names = str(training.metric_for_best_model).removeprefix("eval_"), ["loss", *known]
    if training.do_eval and wanted not in ("auto", *names):
        raise ValueError(f"`metric_for_best_model` must be one of {names}, got {wanted!r}. Pass another --metric_for_best_model.")
    if training.metric_for_best_model == "auto":
        training.metric_for_best_model, training.greater_is_better = metric, greater_is_better


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


def add_validation(splits: Splits, column: str | None, data: DataArguments, training: RnnTrainingArguments, places: Places) -> Splits:
    """Carve a validation split from the training rows if the run evaluates and has none, stratified by a column of labels.

    Args:
        splits: Raw splits.
        column (`str`, *optional*): Column of labels.
        data, training (`DataArguments`, `RnnTrainingArguments`): What is asked for.
        places (`Places`): Takes note of which rows are held out.
    """
    if not training.do_eval or "validation" in splits:
        return splits
    if not isinstance(splits["train"], Dataset):
        raise DataError("A stream has no validation split to carve. Pass --validation_file or leave --do_eval out.")
    labels = splits["train"][column] if column else None
    share = validation_share(len(splits["train"])) if data.validation_share is None else data.validation_share
    held_out = draw_validation(len(splits["train"]), labels, share, data.split_seed)
    places.carve(held_out)
    train, validation = (splits["train"].select(np.flatnonzero(rows)) for rows in (~held_out, held_out))
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
        return load_tokenizer(name, model.trust_remote_code)
    if model.embeddings_from and texts is not None:
        size = model.vocab_size or CUT_SIZE
        tokenizer = cut_vocabulary(load_source_tokenizer(model.embeddings_from), texts, size, model_max_length=max_length)
        logger.warning(f"The tokenizer of {model.embeddings_from}, cut to {len(tokenizer):,} pieces.")
        return tokenizer
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


def foreign_width(model: ModelArguments) -> int | None:
    """Return the width of the states of a model to go on from that is none of ours, such as a pretrained transformer; else None."""
    if model.model_name_or_path is None:
        return None
    config = load_config(model.model_name_or_path, model.trust_remote_code)
    return None if isinstance(config, RnnConfig) else getattr(config, "hidden_size", 768)


def known_labels(model: ModelArguments) -> list[str] | None:
    """Return the label names of the checkpoint to go on from, or None if it has only placeholders or there is none."""
    if not model.model_name_or_path:
        return None
    config = load_config(model.model_name_or_path, model.trust_remote_code)
    labels = [config.id2label[index] for index in range(config.num_labels)]
    return None if all(label == f"LABEL_{index}" for index, label in enumerate(labels)) else labels


def keep_order(known: list[str] | None, found: list[str]) -> list[str]:
    """Return the labels found, in the order of a checkpoint for the same ones, which keeps its output layer."""
    return list(known) if known is not None and set(known) == set(found) else found


def build_model(
    auto_class: Any,
    model: ModelArguments,
    tokenizer: PreTrainedTokenizerBase,
    labels: list[str] | None,
    defaults: dict[str, Any],
    train: AnyDataset | None,
    fields: dict[str, Any] | None = None,
) -> PreTrainedModel:
    """Load the model that the options name, with a fresh output layer where labels differ, or build one from config fields.

    `fields` are those of the config that follow from the data. A new model with `word_vocab_size` takes its words from the encoded
    training rows.
    """
    wanted = {name: getattr(model, name) for name in RnnConfig.__dataclass_fields__ if getattr(model, name, None) is not None}
    wanted = {name: None if value == "none" else value for name, value in wanted.items() if name not in ("vocab_size", "wide_size")}
    if "word_pooling" in wanted and wanted["word_pooling"] is None:
        # without words there is no vocabulary of words
        wanted = {"word_vocab_size": 0, "ngram_vocab_size": 0, **wanted}
    maps = dict(fields or {})
    if labels is not None:
        maps |= {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    if model.model_name_or_path:
        config = load_config(model.model_name_or_path, model.trust_remote_code, **maps, **wanted)
        built = auto_class.from_pretrained(
            model.model_name_or_path, config=config, trust_remote_code=model.trust_remote_code, ignore_mismatched_sizes=True
        )
    else:
        vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        if model.config_name:
            config = load_config(model.config_name, is_config=True, **maps, **vocabulary, **wanted)
        else:
            usual = {name: value for name, value in defaults.items() if name in RnnConfig.__dataclass_fields__ and name != "wide_size"}
            config = RnnConfig(**{**usual, **wanted, **vocabulary, **maps})
        built = auto_class.from_config(config)
        if isinstance(config, RnnConfig):
            built.set_piece_types(tokenizer)
            if (config.word_vocab_size or config.ngram_vocab_size) and train is not None:
                built.set_word_vocabulary(iterate_cells(train, "input_ids"))
        if model.embeddings_from:
            vectors = borrow_vectors(model.embeddings_from, tokenizer, config.embedding_size)
            with torch.no_grad():
                built.get_input_embeddings().weight.copy_(vectors)
    if model.vectors_file:
        coverage = load_vectors(model.vectors_file, tokenizer, built.get_input_embeddings())
        logger.warning(f"Vectors of {model.vectors_file} cover {coverage} of the vocabulary.")
    return built


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


def _with_labels(rows: Dataset) -> Dataset:
    """Return the rows that are not for a teacher alone."""
    has_labels = [not np.all(np.equal(labels, -100)) for labels in rows["labels"]]
    return rows if all(has_labels) else rows.select(np.flatnonzero(has_labels))


def make_trainer(training: RnnTrainingArguments, encoded: Splits, kind: type[RnnTrainer] = RnnTrainer, **options: Any) -> RnnTrainer:
    """Return a trainer of some kind, with early stopping when there is an evaluation to stop by; `options` have the model."""
    stopping = training.load_best_model_at_end and training.early_stopping_patience
    trainer = kind(
        args=training,
        train_dataset=encoded.get("train"),
        eval_dataset=encoded.get("validation"),
        callbacks=[EarlyStoppingCallback(training.early_stopping_patience)] if stopping else None,
        **options,
    )
    for usual in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(usual)
    trainer.add_callback(ProgressLines())
    return trainer


def run(
    trainer: RnnTrainer,
    training: RnnTrainingArguments,
    encoded: Splits,
    resume: str | None,
    wide: LinearFit | None = None,
    is_carved: bool = False,
) -> dict[str, PredictionOutput]:
    """Train, from a checkpoint or the start, evaluate and predict as asked; write model, state and metrics.

    Args:
        trainer (`RnnTrainer`): Holds the model.
        training (`RnnTrainingArguments`): What is asked for.
        encoded: Splits.
        resume (`str`, *optional*): Checkpoint to start from.
        wide (`LinearFit`, *optional*): Puts a linear model beside the trained one.
        is_carved (`bool`): Whether validation rows are training rows held out: once the model is chosen and its metrics are written,
            the linear model learns from them too.

    Returns:
        `dict`: The predictions on validation and test, as far as asked for.
    """
    if training.do_train:
        result = trainer.train(resume_from_checkpoint=resume)
        # at once, so that nothing after it can lose it; to the Hub it goes last, with card and curves
        trainer.save_model(_internal_call=True)
        if wide is not None:
            wide.fit(_with_labels(encoded["train"]), encoded.get("validation"))
            trainer.save_model(_internal_call=True)
        trainer.save_metrics("train", result.metrics)
        trainer.save_state()
    outputs = {}
    for split, prefix, is_wanted in (("validation", "eval", training.do_eval), ("test", "test", training.do_predict)):
        if is_wanted:
            outputs[split] = trainer.predict(encoded[split], metric_key_prefix=prefix)
            if trainer.is_world_process_zero():
                print(line_of(outputs[split].metrics or {}))
            trainer.save_metrics(prefix, outputs[split].metrics)
        if split == "validation" and is_wanted and is_carved and wide is not None:
            wide.refit(_with_labels(encoded["train"]), encoded["validation"])
            trainer.save_model(_internal_call=True)
    return outputs


def finish(
    trainer: RnnTrainer,
    card: CardArguments,
    example: str,
    data: tuple[str, str],
    outputs: dict[str, PredictionOutput],
    *,
    task: str,
    metric: str,
    vectors_from: str | None = None,
) -> None:
    """Write the card, push what the folder holds if the run is to, and say what there is; `data` is what `describe_data` returns."""
    folder = Path(trainer.args.output_dir)
    if trainer.is_world_process_zero():
        with optional("The card"):
            write_card(
                trainer.model,
                folder,
                name=trainer.args.hub_model_id or folder.resolve().name,
                metrics={split: output.metrics or {} for split, output in outputs.items()},
                example=example,
                dataset=data[0],
                data=data[1],
                settings={name: getattr(trainer.args, name, None) for name in SETTINGS},
                task=task,
                metric=metric,
                vectors_from=vectors_from,
                **asdict(card),
            )
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    if trainer.args.do_train and trainer.is_world_process_zero():
        print("\n" + summary(trainer, outputs, task, example))


def choose_example(texts: Iterable[Any]) -> str:
    """Return the first short text without markup."""
    plain = (" ".join(text) if isinstance(text, list) else str(text) for text in islice(texts, 100))
    return next((text for text in plain if 8 <= len(text) <= 80 and text.isprintable() and "`" not in text), "")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    with written_whole(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Let what adorns a trained model fail with a warning: the model and its predictions are worth more."""
    try:
        yield
    except Exception as error:
        logger.warning(f"{what} could not be written, and the run goes on: {type(error).__name__}: {error}")
