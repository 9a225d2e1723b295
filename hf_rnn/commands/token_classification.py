"""Train, evaluate and apply a tagger: parts of speech, entities, slots.

Example:
    hf-rnn token-classification --train_file train.conllu --do_train --do_eval --output_dir outputs/pos
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import evaluate
import numpy as np
from seqeval.metrics import classification_report as span_report
from sklearn.metrics import classification_report
from transformers import AutoModelForTokenClassification, EvalPrediction, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput

from ..data.files.readers import DataError
from ..data.loading import load_config
from ..data.rows.encoding import encode_tokens, map_splits
from ..data.rows.labels import collect_labels, feature_names
from ..data.rows.splits import TAG_COLUMNS, TOKEN_COLUMNS, Splits, choose_column, column_names, iterate_cells
from ..models.tags import first_violation, guess_scheme
from ..reports.plots import plot_confusion_matrix
from ..tasks.metrics import SpanMetric, TokenMetric, load_metric
from ..training.defaults import Size, student_defaults, tagger_defaults
from . import steps
from .span_labelling import SpanLabelling, reads_raw_text
from .word_labelling import WordTask


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return the metrics of all splits."""
    return make_task(argv, __doc__).run()


def make_task(argv: list[str] | None, description: str | None, *more: type) -> WordTask:
    """Return what the options ask for: a tagger of tokens, or of raw text if the rows are such; see `WordTask`."""
    task = TokenClassification(argv, description, *more)
    return SpanLabelling(argv, description, *more) if reads_raw_text(task.data) else task


def _best(logits: Any, labels: Any) -> Any:
    """Keep the best tag id of each position, and the best intent of each row, rather than all logits in memory."""
    return tuple(part.argmax(-1) for part in logits) if isinstance(logits, tuple) else logits.argmax(-1)


class TokenClassification(WordTask):
    """Tags of tokens, with classes of whole sentences beside them if there is an intent column."""

    task = "token-classification"
    auto_class = AutoModelForTokenClassification
    unused: ClassVar[dict[str, str]] = {"problem_type": "Every word has one tag: leave --problem_type out."}
    # sentences are never cut: pipelines must not cut them either
    max_length = 1_000_000
    stratify_by = None
    shrink_logits = staticmethod(_best)

    def defaults(self, size: Size) -> dict[str, Any]:
        """Return those of a tagger; what goes on from a checkpoint has no linear model."""
        has_teacher = bool(self.distillation.teacher_name_or_path)
        chosen = student_defaults(size, is_tagger=True) if has_teacher else tagger_defaults(size)
        return {**chosen, "wide_size": 0} if self.goes_on or self.data.streaming else chosen

    def choose_columns(self, splits: Splits, first: str) -> None:
        """Set both columns; every split needs them, as unlabelled sentences are for `hf-rnn predict`."""
        self.text_column = choose_column(splits[first], first, self.data.text_column_name, TOKEN_COLUMNS, "text_column_name")
        usual = list(TAG_COLUMNS)
        if self.data.label_column_name is None and (columns := [c for c in column_names(splits[first]) if c.startswith("column_")]):
            # the tag of CoNLL columns is the last
            usual = [columns[-1]]
        self.label_column = choose_column(splits[first], first, self.data.label_column_name, usual, "label_column_name")
        for split in splits:
            choose_column(splits[split], split, self.label_column, (), "label_column_name")

    def choose_labels(self, splits: Splits) -> None:
        """Set `labels`, their scheme, and `intents` if there is a column of them."""
        self.names = {split: feature_names(splits[split], self.label_column) for split in splits}
        known = steps.known_labels(self.model_args)
        if known is not None and not self.training.do_train:
            self.labels = known
        else:
            found = collect_labels(splits, self.label_column, self.names, self.data.unknown_labels == "wrong")
            self.labels = steps.keep_order(known, found)
        self.scheme = guess_scheme(self.labels)
        if self.model_args.crf_constraints and "train" in splits:
            self._check_scheme(splits["train"], self.model_args.crf_constraints)
        if self.data.intent_column_name is not None:
            self.intents = self._intents(splits, self.data.intent_column_name)
            self.training.label_names = ["labels", "intents"]

    def _check_scheme(self, train: Any, scheme: str) -> None:
        """Raise a DataError at the first training row that a constrained CRF could not learn."""
        names = self.names["train"]
        for row, tags in enumerate(train[self.label_column]):
            tags = [names[tag] for tag in tags] if names else tags
            index = first_violation(tags, scheme)
            if index is not None:
                raise DataError(
                    f"train row {row}, column {self.label_column!r}: tag {tags[index]!r} at position {index} breaks the {scheme.upper()} "
                    f"scheme after {tags[max(index - 1, 0)]!r}. Correct the row, or leave --crf_constraints out."
                )

    def _intents(self, splits: Splits, column: str) -> list[str]:
        """Return the classes of whole sentences."""
        for split in splits:
            choose_column(splits[split], split, column, (), "intent_column_name")
        name = self.model_args.model_name_or_path
        known = load_config(name, self.model_args.trust_remote_code).intents if name else None
        if known and not self.training.do_train:
            return list(known)
        return steps.keep_order(known, collect_labels(splits, column, dict.fromkeys(splits), self.data.unknown_labels == "wrong"))

    @property
    def metric(self) -> tuple[str, bool]:
        """Return F1 over spans where labels are of a scheme, else the accuracy over words."""
        return ("f1" if self.scheme else "accuracy"), True

    @property
    def metric_names(self) -> list[str]:
        """Return what the metric gives for one word, and what there is to say of sentences."""
        names = list(self._scorer.compute(predictions=[["O"]], references=[["O"]]))
        return names if self.intents is None else [*names, "intent_accuracy", "exact_match"]

    @property
    def config_fields(self) -> dict[str, Any]:
        """Return the classes of whole sentences, and for spans a CRF, unless the options say otherwise."""
        fields: dict[str, Any] = {} if self.intents is None else {"intents": self.intents}
        if self.has_chain:
            fields["use_crf"] = True
        return fields

    @property
    def has_chain(self) -> bool:
        """Return whether a new model ends in a CRF because its labels are those of spans."""
        is_free = self.model_args.use_crf is None and not self.training.label_smoothing_factor
        return is_free and self.scheme is not None and not self.goes_on

    def iterate_words(self, rows: Any, encoded: Any) -> Iterable[list[str]]:
        """Return the tokens of each training row."""
        return iterate_cells(rows, self.text_column)

    @property
    def goes_on(self) -> bool:
        """Return whether the model comes from elsewhere."""
        return bool(self.model_args.model_name_or_path or self.model_args.config_name)

    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase) -> Splits:
        """Tokenise sentences and align their tags with first pieces."""
        return map_splits(
            splits,
            encode_tokens,
            self.names,
            self.data.preprocessing_num_workers,
            tokenizer=tokenizer,
            token_column=self.text_column,
            tag_column=self.label_column,
            label2id={label: index for index, label in enumerate(self.labels)},
            max_length=self.data.max_length,
            intent_column=self.data.intent_column_name,
            intent2id={intent: index for index, intent in enumerate(self.intents or ())},
        )

    @cached_property
    def _scorer(self) -> evaluate.Metric:
        return load_metric(SpanMetric if self.scheme else TokenMetric)

    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return the metric from best tags and labels, both (N, T); with intents also their accuracy, and the share of rows all right."""
        tags, references = _tags_of(prediction.predictions), _tags_of(prediction.label_ids)
        named = name_tags(tags, references, self.labels), name_tags(references, references, self.labels)
        results = self._scorer.compute(predictions=named[0], references=named[1])
        if isinstance(prediction.predictions, tuple):
            right = prediction.predictions[1] == prediction.label_ids[1]
            whole = [a == b for a, b in zip(*named, strict=True)]
            results |= {"intent_accuracy": float(right.mean()), "exact_match": float((right & whole).mean())}
        return results

    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the tags of words."""
        answers, given = _tags_of(output.predictions), _tags_of(output.label_ids)
        return answers[given != -100].tolist(), given[given != -100].tolist()

    def write_results(self, folder: Path, split: str, output: PredictionOutput, rows: Any) -> None:
        """Write predictions in data-set order, the per-label report and the confusion matrix over words."""
        answers, given = _tags_of(output.predictions), _tags_of(output.label_ids)
        references, predictions = name_tags(given, given, self.labels), name_tags(answers, given, self.labels)
        sentences = zip(iterate_cells(rows, self.text_column), references, predictions, strict=True)
        written = [{"index": i, "tokens": tokens, "tags": tags, "predictions": best} for i, (tokens, tags, best) in enumerate(sentences)]
        if self.intents is not None:
            for row, intent, best in zip(written, output.label_ids[1], output.predictions[1], strict=True):
                row |= {"intent": self.intents[intent], "predicted_intent": self.intents[best]}
        steps.write_jsonl(folder / "predictions.jsonl", written)
        flat = [[tag for tags in sentences for tag in tags] for sentences in (references, predictions)]
        with steps.optional("The report"):
            if self.scheme:
                report = span_report(references, predictions, digits=4, zero_division=0)
            else:
                report = classification_report(*flat, labels=self.labels, digits=4, zero_division=0)
            (folder / "report.txt").write_text(f"{split}\n\n{report}", encoding="utf-8")
        with steps.optional("The confusion matrix"):
            counted = given != -100
            plot_confusion_matrix(given[counted], answers[counted], self.labels, folder / "confusion_matrix.png")


def name_tags(ids: np.ndarray, label_ids: np.ndarray, labels: list[str]) -> list[list[str]]:
    """Turn tag ids (N, T) into names, at the positions that have a label."""
    return [[labels[tag] for tag in row[mask]] for row, mask in zip(ids, label_ids != -100, strict=True)]


def _tags_of(values: Any) -> np.ndarray:
    """Return the tags of a pair of tags and intents, or the tags that come alone."""
    return values[0] if isinstance(values, tuple) else values
