"""Train, evaluate and apply a tagger: parts of speech, entities, slots."""

from functools import partial
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
from seqeval.metrics import classification_report as span_report
from sklearn.metrics import classification_report, confusion_matrix
from transformers import AutoConfig, AutoModelForTokenClassification, EvalPrediction
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from . import tasks
from .arguments import CardArguments, DataArguments, ModelArguments, RnnTrainingArguments, parse_arguments
from .collator import RnnCollator
from .data import TAG_COLUMNS, TOKEN_COLUMNS, Splits, choose_column, collect_labels, column_names, encode_tokens, feature_names, map_splits
from .distillation import DistillationArguments, add_teacher
from .metrics import SpanMetric, TokenMetric, load_metric
from .model_card import describe_data
from .plots import plot_confusion_matrix, plot_curves
from .readers import DataError
from .tags import first_violation, guess_scheme

logger = logging.get_logger(__name__)

DEFAULTS: dict[str, Any] = {
    "tokenizer_type": "unigram",
    "vocab_size": 1000,
    "word_pooling": "rnn",
    "word_vocab_size": 12000,
    "embedding_dropout": 0.4,
    "input_dropout": 0.5,
    "hidden_dropout": 0.5,
    "classifier_dropout": 0.5,
}
# sentences are never cut: pipelines must not cut them either
UNLIMITED = 1_000_000


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics of all splits."""
    model_args, data, distillation, card, training = parse_arguments(
        argv, __doc__, ModelArguments, DataArguments, DistillationArguments, CardArguments, RnnTrainingArguments
    )
    # what is best is known once the labels are
    tasks.set_up(training, "accuracy", True)
    resume = tasks.resume_point(training) if training.do_train else None
    splits = tasks.load_task_splits(data, training)
    first = "train" if "train" in splits else next(iter(splits))
    token_column = choose_column(splits[first], first, data.text_column_name, TOKEN_COLUMNS, "text_column_name")
    tag_column = _tag_column(splits, first, data)
    for split in splits:
        # unlabelled sentences are for `hf-rnn predict`
        choose_column(splits[split], split, tag_column, (), "label_column_name")
    splits = tasks.add_validation(splits, None, data, training)
    names = {split: feature_names(splits[split], tag_column) for split in splits}
    labels = _labels(splits, tag_column, names, data, model_args, training.do_train)
    scheme = guess_scheme(labels)
    best = "f1" if scheme else "accuracy"
    if training.metric_for_best_model == "accuracy":
        training.metric_for_best_model = best
    if model_args.crf_constraints and "train" in splits:
        _check_scheme(splits["train"], tag_column, names["train"], model_args.crf_constraints)
    intents = _intents(splits, data, model_args, training.do_train)
    if intents is not None:
        training.label_names = ["labels", "intents"]
    texts = tasks.iterate_texts(splits["train"], token_column) if "train" in splits else None
    tokenizer = tasks.get_tokenizer(model_args, texts, DEFAULTS, UNLIMITED)
    splits = add_teacher(splits, distillation, token_column, tag_column, labels)
    encoded = map_splits(
        splits,
        encode_tokens,
        names,
        data.preprocessing_num_workers,
        tokenizer=tokenizer,
        token_column=token_column,
        tag_column=tag_column,
        label2id={label: index for index, label in enumerate(labels)},
        max_length=data.max_length,
        intent_column=data.intent_column_name,
        intent2id={intent: index for index, intent in enumerate(intents or ())},
    )
    model = tasks.build_model(AutoModelForTokenClassification, model_args, tokenizer, labels, DEFAULTS, encoded.get("train"), intents)
    trainer = tasks.make_trainer(
        model,
        training,
        encoded,
        distillation=distillation,
        processing_class=tokenizer,
        data_collator=RnnCollator(tokenizer.pad_token_id, tokenizer.padding_side),
        compute_metrics=partial(compute_metrics, labels=labels, metric=load_metric(SpanMetric if scheme else TokenMetric)),
        preprocess_logits_for_metrics=_best,
    )
    outputs = tasks.run(trainer, training, encoded, resume)
    tasks.add_unseen(trainer, outputs, splits, token_column, best)
    if trainer.is_world_process_zero():
        _write_results(Path(training.output_dir), trainer, outputs, splits, token_column, labels, best)
    example = tasks.choose_example(tasks.iterate_cells(splits[list(splits)[-1]], token_column))
    tasks.finish(trainer, card, example, describe_data(data, distillation), outputs=outputs, task="token-classification", metric=best)
    return {name: value for output in outputs.values() for name, value in (output.metrics or {}).items()}


def _tag_column(splits: Splits, first: str, data: DataArguments) -> str:
    usual: list[str] = list(TAG_COLUMNS)
    if data.label_column_name is None and (columns := [name for name in column_names(splits[first]) if name.startswith("column_")]):
        # the tag of CoNLL columns is the last
        usual = [columns[-1]]
    return choose_column(splits[first], first, data.label_column_name, usual, "label_column_name")


def _labels(splits: Splits, column: str, names: dict[str, Any], data: DataArguments, model: ModelArguments, is_training: bool) -> list[str]:
    known = tasks.known_labels(model)
    if known is not None and not is_training:
        return known
    labels = collect_labels(splits, column, names, data.unknown_labels == "wrong")
    return known if known is not None and set(known) == set(labels) else labels


def _check_scheme(train: Any, column: str, names: list[str] | None, scheme: str) -> None:
    """Raise a DataError at the first training row that a constrained CRF could not learn."""
    for row, tags in enumerate(train[column]):
        tags = [names[tag] for tag in tags] if names else tags
        index = first_violation(tags, scheme)
        if index is not None:
            raise DataError(
                f"train row {row}, column {column!r}: tag {tags[index]!r} at position {index} breaks the {scheme.upper()} scheme after "
                f"{tags[max(index - 1, 0)]!r}. Correct the row, or leave --crf_constraints out."
            )


def _intents(splits: Splits, data: DataArguments, model: ModelArguments, is_training: bool) -> list[str] | None:
    """Return the classes of whole sentences, or None if there are none to learn."""
    if data.intent_column_name is None:
        return None
    for split in splits:
        choose_column(splits[split], split, data.intent_column_name, (), "intent_column_name")
    known = AutoConfig.from_pretrained(model.model_name_or_path).intents if model.model_name_or_path else None
    if known and not is_training:
        return list(known)
    found = collect_labels(splits, data.intent_column_name, dict.fromkeys(splits), data.unknown_labels == "wrong")
    return list(known) if known and set(known) == set(found) else found


def _best(logits: Any, labels: Any) -> Any:
    """Keep the best tag id of each position, and the best intent of each row, rather than all logits in memory."""
    return tuple(part.argmax(-1) for part in logits) if isinstance(logits, tuple) else logits.argmax(-1)


def name_tags(ids: np.ndarray, label_ids: np.ndarray, labels: list[str]) -> list[list[str]]:
    """Turn tag ids (N, T) into names, at the positions that have a label."""
    return [[labels[tag] for tag in row[mask]] for row, mask in zip(ids, label_ids != -100, strict=True)]


def compute_metrics(prediction: EvalPrediction, labels: list[str], metric: evaluate.Metric) -> dict[str, float]:
    """Return the metric from best tags and labels, both (N, T); with intents also their accuracy, and the share of rows all right."""
    tags, references = _tags_of(prediction.predictions), _tags_of(prediction.label_ids)
    named = name_tags(tags, references, labels), name_tags(references, references, labels)
    results = metric.compute(predictions=named[0], references=named[1])
    if isinstance(prediction.predictions, tuple):
        right = prediction.predictions[1] == prediction.label_ids[1]
        whole = [a == b for a, b in zip(*named, strict=True)]
        results |= {"intent_accuracy": float(right.mean()), "exact_match": float((right & whole).mean())}
    return results


def _tags_of(values: Any) -> np.ndarray:
    """Return the tags of a pair of tags and intents, or the tags that come alone."""
    return values[0] if isinstance(values, tuple) else values


def _write_results(
    folder: Path, trainer: Any, outputs: dict[str, PredictionOutput], splits: Splits, token_column: str, labels: list[str], metric: str
) -> None:
    """Write curves, predictions in data-set order, the per-label report and the confusion matrix over words."""
    if trainer.state.log_history:
        plot_curves(trainer.state.log_history, folder / "curves.png", metric)
    if not outputs:
        return
    split, output = list(outputs.items())[-1]
    answers, given = _tags_of(output.predictions), _tags_of(output.label_ids)
    references, predictions = name_tags(given, given, labels), name_tags(answers, given, labels)
    sentences = tasks.iterate_cells(splits[split], token_column)
    rows = zip(sentences, references, predictions, strict=True)
    written = [{"index": i, "tokens": tokens, "tags": tags, "predictions": best} for i, (tokens, tags, best) in enumerate(rows)]
    if isinstance(output.predictions, tuple):
        for row, intent, best in zip(written, output.label_ids[1], output.predictions[1], strict=True):
            row |= {"intent": trainer.model.config.intents[intent], "predicted_intent": trainer.model.config.intents[best]}
    tasks.write_jsonl(folder / "predictions.jsonl", written)
    flat = [[tag for tags in sentences for tag in tags] for sentences in (references, predictions)]
    if guess_scheme(labels):
        report = span_report(references, predictions, digits=4, zero_division=0)
    else:
        report = classification_report(*flat, labels=labels, digits=4, zero_division=0)
    (folder / "report.txt").write_text(f"{split}\n\n{report}", encoding="utf-8")
    plot_confusion_matrix(confusion_matrix(*flat, labels=labels), labels, folder / "confusion_matrix.png")
