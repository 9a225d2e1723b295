"""Spans of characters of raw text: words with parts of speech, entities, slots."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import AutoModelForTokenClassification, EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..arguments import DataArguments
from ..data.files.errors import DataError
from ..data.files.locations import Places
from ..data.rows.annotated import annotated_texts
from ..data.rows.encoding import map_splits
from ..data.rows.labels import collect_labels
from ..data.rows.spans import encode_spans
from ..data.rows.splits import AnyDataset, Splits
from ..data.tokenizers.units import Cuts, find_cuts, share_scripts, train_unit_tokenizer
from ..models.pieces import piece_types
from ..models.tags import spans_of_tags, split_tag
from .defaults import Size, tagger_defaults
from .report import NO_ANSWERS, Confusion, Report, ScoredAnswers, SpanPairs
from .span_scores import Span, SpanCounts, scored_spans
from .task import Answering, Columns, Task, TaskOptions, keep_labels, known_labels
from .token_classification import NO_LIMIT, NO_SEVERAL

# n-grams of units with a vector of their own where characters are units
NGRAMS = 30000

logger = logging.get_logger(__name__)


def _best(logits: Any, labels: Any) -> Any:
    """Keep the best tag id of each position rather than all logits in memory."""
    return logits.argmax(-1)


@dataclass(frozen=True)
class SpanLabelling(Task):
    """Spans of characters, found as BIO tags of the units of raw text.

    Args:
        cuts (`Cuts`, *optional*): Where the spans of training rows begin and end in words, for the tokenizer to be trained.
    """

    name = "token-classification"
    auto_class = AutoModelForTokenClassification
    has_tags = True
    without: ClassVar[dict[str, str]] = {
        **NO_SEVERAL,
        **dict.fromkeys(
            ("streaming", "intent_column_name", "tokenizer_type"), "Raw text has no such thing: pass --from_text false for tokens."
        ),
    }
    counted = "spans"
    shrink_logits = staticmethod(_best)

    cuts: Cuts | None = None

    @classmethod
    def defaults(cls, size: Size, options: TaskOptions) -> dict[str, Any]:
        """Return those of a tagger, but for what docs/raw-text.md was measured with."""
        dropouts = {f"{name}_dropout": 0.3 for name in ("embedding", "input", "hidden", "classifier")}
        own = {"tokenizer_type": "units", "vocab_size": 2000, "num_hidden_layers": 1, "learning_rate": 4e-3, **dropouts}
        return {**tagger_defaults(size), **own}

    @classmethod
    def prepare(cls, splits: Splits, options: TaskOptions) -> Splits:
        """Turn rows into a `text`, `offsets` of spans and their `labels`, whatever they come as."""
        if options.has_teacher:
            raise ValueError(
                "`teacher_name_or_path` is there for texts and tokens, and these rows are spans of raw text. "
                "Pass --from_text false for tokens."
            )
        return type(splits)({split: _read(splits[split], split, options.data) for split in splits})

    @classmethod
    def choose_columns(cls, splits: Splits, data: DataArguments) -> Columns:
        """Return the columns that `prepare` made."""
        return Columns("text", "labels")

    @classmethod
    def read_labels(cls, splits: Splits, columns: Columns, options: TaskOptions, places: Places) -> Splits:
        """Return the splits as `prepare` made them."""
        return splits

    @classmethod
    def given(cls, rows: AnyDataset, columns: Columns) -> list[Any]:
        """Return the spans of each text."""
        return [_named(spans) for spans in _gold(rows)]

    @classmethod
    def of_rows(cls, splits: Splits, columns: Columns, options: TaskOptions) -> "SpanLabelling":
        """Return the task that rows pose: its labels are "O" and the two tags of each label of a span."""
        known = known_labels(options.model)
        if known is not None and not options.training.do_train:
            return cls(tuple(known), columns, NO_LIMIT)
        before = {tag.partition("-")[2] for tag in known or ()}
        kinds = collect_labels(splits, columns.labels, dict.fromkeys(splits), options.data.unknown_labels == "wrong", before)
        if not kinds:
            raise DataError("No training row has a span, so that there is nothing to learn. Is it the --label_column_name?")
        labels = keep_labels(known, ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")])
        model = options.model
        is_borrowed = model.embeddings_from and not options.borrows_words
        has_tokenizer = model.tokenizer_name or model.model_name_or_path or is_borrowed
        return cls(labels, columns, NO_LIMIT, None if has_tokenizer or "train" not in splits else _find_cuts(splits["train"]))

    @property
    def metric(self) -> tuple[str, bool]:
        """Return F1 over spans."""
        return "f1", True

    @property
    def metric_names(self) -> list[str]:
        """Return the scores of spans."""
        return list(SpanCounts().metrics())

    def config_fields(self, options: TaskOptions) -> dict[str, Any]:
        """Return for a model to be trained that texts are raw, the CRF that keeps tags spans, and n-grams of characters."""
        fields = super().config_fields(options)
        if not options.training.do_train:
            return fields
        has_crf = options.model.use_crf in (None, True)
        fields |= {"units": "raw", "use_crf": has_crf, "crf_constraints": "bio" if has_crf else None, "span_scores": has_crf}
        if options.model.ngram_vocab_size is not None or options.model.model_name_or_path:
            return fields
        # words of several letters tell more by themselves than characters do
        return {**fields, "ngram_vocab_size": NGRAMS if self.cuts is not None and self.cuts.scripts else 0}

    def train_tokenizer(self, rows: AnyDataset, options: TaskOptions, defaults: dict[str, Any]) -> PreTrainedTokenizerBase:
        """Train a tokenizer whose units meet the borders of spans."""
        assert self.cuts is not None
        size = options.model.vocab_size or defaults["vocab_size"]
        return train_unit_tokenizer(rows["text"], self.cuts, size, options.model.lowercase, self.max_length)

    def words(self, rows: AnyDataset, encoded: AnyDataset) -> Iterator[list[str]]:
        """Yield the units of each training text."""
        for text, units in zip(rows["text"], encoded["units"], strict=True):
            yield [text[start:end] for start, end in units]

    def initialize(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Let pieces of one script start alike."""
        share_scripts(model.get_input_embeddings(), tokenizer)

    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase, num_proc: int | None = None) -> Splits:
        """Tokenise texts, give every unit its tag, and say how many borders no unit meets."""
        types = piece_types(tokenizer)
        options: dict[str, Any] = {"tokenizer": tokenizer, "types": types, "label2id": self.label2id}
        encoded = map_splits(splits, encode_spans, dict.fromkeys(splits), num_proc, **options)
        for split in splits:
            missed, total = sum(encoded[split]["missed"]), 2 * sum(map(len, splits[split]["labels"]))
            logger.warning(f"{missed} of {total} borders of spans in the {split} split ({missed / max(total, 1):.2%}) are met by no unit.")
        return encoded

    def score(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return scores of spans of units from best tags and labels, both (N, T)."""
        found, gold = (self._unit_spans(ids, prediction.label_ids) for ids in (prediction.predictions, prediction.label_ids))
        return SpanCounts.count(gold, found).metrics()

    def _unit_spans(self, ids: np.ndarray, label_ids: np.ndarray) -> list[list[Span]]:
        """Return the spans, counted in units, that tag ids (N, T) describe."""
        return [spans_of_tags([self.labels[tag] for tag in row[mask]]) for row, mask in zip(ids, label_ids != -100, strict=True)]

    def scored(self, output: PredictionOutput, rows: AnyDataset, answer: Answering | None = None) -> ScoredAnswers:
        """Return the spans that are found in texts."""
        return NO_ANSWERS if answer is None else scored_spans(_gold(rows), answer(list(rows["text"])))

    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the tags of units."""
        counted = output.label_ids != -100
        return output.predictions[counted].tolist(), output.label_ids[counted].tolist()

    def score_rows(self, output: PredictionOutput, rows: AnyDataset, encoded: AnyDataset) -> dict[str, float]:
        """Return the scores of spans of characters, in which spans with borders that no unit meets are missed, and the share of those."""
        counts = SpanCounts.count(_gold(rows), self._found(output, encoded))
        return counts.metrics() | {"missed_borders": sum(encoded["missed"]) / (2 * max(counts.gold[""], 1))}

    def _found(self, output: PredictionOutput, encoded: AnyDataset) -> list[list[Span]]:
        """Return the predicted spans of characters of each text."""
        spans = zip(self._unit_spans(output.predictions, output.label_ids), encoded["units"], strict=True)
        return [[(units[first][0], units[last - 1][1], kind) for first, last, kind in found] for found, units in spans]

    def report(self, output: PredictionOutput, rows: AnyDataset, encoded: AnyDataset) -> Report:
        """Return predictions in data-set order, scores of each label, texts with their spans, and which units are taken for which."""
        texts, gold, found = list(rows["text"]), _gold(rows), self._found(output, encoded)
        written = [
            {"index": index, "text": text, "spans": _named(expected), "predictions": _named(given)}
            for index, (text, expected, given) in enumerate(zip(texts, gold, found, strict=True))
        ]
        counted = output.label_ids != -100
        kinds = [split_tag(label)[1] or "O" for label in self.labels]
        shown = list(dict.fromkeys(kinds))
        # (C,): the kind of each tag
        kind_of = np.array([shown.index(kind) for kind in kinds])
        confusion = Confusion(kind_of[output.label_ids[counted]], kind_of[output.predictions[counted]], shown)
        return Report(written, lambda: SpanCounts.count(gold, found).report(), confusion, SpanPairs(texts, gold, found))


def _read(rows: AnyDataset, split: str, data: DataArguments) -> Dataset:
    texts, spans, trimmed = annotated_texts(rows, split, data.text_column_name, data.label_column_name, data.overlapping_spans)
    if trimmed:
        logger.warning(f"{trimmed} spans of the {split} split had white space at an end, which is left out.")
    offsets = [[[start, end] for start, end, _ in row] for row in spans]
    return Dataset.from_dict({"text": texts, "offsets": offsets, "labels": [[label for _, _, label in row] for row in spans]})


def _find_cuts(rows: Dataset) -> Cuts:
    return find_cuts((text, [(start, end) for start, end in spans]) for text, spans in zip(rows["text"], rows["offsets"], strict=True))


def _gold(rows: AnyDataset) -> list[list[Span]]:
    """Return the annotated spans of each text."""
    pairs = zip(rows["offsets"], rows["labels"], strict=True)
    return [[(start, end, label) for (start, end), label in zip(offsets, labels, strict=True)] for offsets, labels in pairs]


def _named(spans: list[Span]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label} for start, end, label in spans]
