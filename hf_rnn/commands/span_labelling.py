"""Train, evaluate and apply a tagger of raw text: words with parts of speech, entities, slots, as spans of characters."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import AutoModelForTokenClassification, EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput
from transformers.utils import logging

from ..data.rows.annotated import annotated_texts, holds_spans
from ..data.rows.encoding import map_splits
from ..data.rows.labels import collect_labels
from ..data.rows.spans import encode_spans, tag_spans
from ..data.rows.splits import AnyDataset, Splits, load_splits
from ..data.tokenizers.units import find_cuts, share_scripts, train_unit_tokenizer
from ..linear.classifier import LinearFit
from ..models.pieces import piece_types
from ..models.tags import split_tag
from ..reports.plots import plot_confusion_matrix
from ..reports.span_report import write_span_report
from ..tasks.span_scores import Span, SpanCounts
from ..training.arguments import DataArguments
from ..training.defaults import Size, tagger_defaults
from . import steps
from .word_labelling import WordTask

# n-grams of units with a vector of their own where characters are units
NGRAMS = 30000

logger = logging.get_logger(__name__)


def reads_raw_text(data: DataArguments) -> bool:
    """Return whether the rows are raw texts with spans: as the options say, or because there are spans and no tokens."""
    if data.from_text is not None:
        return data.from_text
    files = {"train": data.train_file, "validation": data.validation_file, "test": data.test_file}
    first = next(({split: path} for split, path in files.items() if path), {})
    if not first and not data.dataset_name:
        return False
    splits = load_splits(data.dataset_name, data.dataset_config_name, {} if data.dataset_name else first, streaming=True)
    return holds_spans(next(iter(splits.values())))


class SpanLabelling(WordTask):
    """Spans of characters, found as BIO tags of the units of raw text."""

    task = "token-classification"
    auto_class = AutoModelForTokenClassification
    # texts are never cut: pipelines must not cut them either
    max_length = 1_000_000
    stratify_by = None
    metric = ("f1", True)
    metric_names: ClassVar[list[str]] = list(SpanCounts().metrics())
    unused: ClassVar[dict[str, str]] = {"problem_type": "Every unit has one tag: leave --problem_type out."}
    ngrams = 0

    def defaults(self, size: Size) -> dict[str, Any]:
        """Return those of a tagger, but for what docs/raw-text.md was measured with."""
        dropouts = {f"{name}_dropout": 0.3 for name in ("embedding", "input", "hidden", "classifier")}
        own = {"tokenizer_type": "units", "vocab_size": 2000, "num_hidden_layers": 1, "learning_rate": 4e-3, **dropouts}
        return {**tagger_defaults(size), **own}

    def prepare(self, splits: Splits) -> Splits:
        """Turn rows into a `text`, `offsets` of spans and their `labels`, whatever they come as."""
        given = {"streaming": self.data.streaming, "intent_column_name": self.data.intent_column_name}
        given |= {"teacher_name_or_path": self.distillation.teacher_name_or_path, "tokenizer_type": self.model_args.tokenizer_type}
        for name, value in given.items():
            if value:
                raise ValueError(
                    f"`{name}` is not there for raw text, got {value!r}. Leave --{name} out, or pass --from_text false for tokens."
                )
        return type(splits)({split: self._read(splits[split], split) for split in splits})

    def _read(self, rows: AnyDataset, split: str) -> Dataset:
        texts, spans, trimmed = annotated_texts(rows, split, self.data.text_column_name, self.data.label_column_name)
        if trimmed:
            logger.warning(f"{trimmed} spans of the {split} split had white space at an end, which is left out.")
        offsets = [[[start, end] for start, end, _ in row] for row in spans]
        return Dataset.from_dict({"text": texts, "offsets": offsets, "labels": [[label for _, _, label in row] for row in spans]})

    def choose_columns(self, splits: Splits, first: str) -> None:
        """Set the columns that `prepare` made."""
        self.text_column, self.label_column = "text", "labels"

    def choose_labels(self, splits: Splits) -> None:
        """Set `labels`: "O" and the two tags of each label of a span."""
        self.names = dict.fromkeys(splits)
        known = steps.known_labels(self.model_args)
        if known is not None and not self.training.do_train:
            self.labels = known
            return
        kinds = collect_labels(splits, "labels", self.names, self.data.unknown_labels == "wrong")
        self.labels = steps.keep_order(known, ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in "BI")])

    @property
    def config_fields(self) -> dict[str, Any]:
        """Return for a model to be trained that texts are raw, the CRF that keeps tags spans, and n-grams of characters."""
        if not self.training.do_train:
            return {}
        has_crf = self.model_args.use_crf in (None, True)
        fields = {"units": "raw", "use_crf": has_crf, "crf_constraints": "bio" if has_crf else None}
        is_chosen = self.model_args.ngram_vocab_size is not None or self.model_args.model_name_or_path
        return fields if is_chosen else {**fields, "ngram_vocab_size": self.ngrams}

    def make_tokenizer(self, splits: Splits, defaults: dict[str, Any]) -> PreTrainedTokenizerBase:
        """Load the tokenizer that the options name, or train one whose units meet the borders of spans."""
        given = self.model_args.tokenizer_name or self.model_args.model_name_or_path or self.model_options.embeddings_from
        if given or "train" not in splits:
            return super().make_tokenizer(splits, defaults)
        rows = splits["train"]
        cuts = find_cuts((text, [(start, end) for start, end in spans]) for text, spans in zip(rows["text"], rows["offsets"], strict=True))
        # words of several letters tell more by themselves than characters do
        self.ngrams = NGRAMS if cuts.scripts else 0
        size = self.model_args.vocab_size or defaults["vocab_size"]
        return train_unit_tokenizer(rows["text"], cuts, size, self.model_args.lowercase, self.max_length)

    def build_model(self, tokenizer: PreTrainedTokenizerBase, rows: Any, encoded: Any, defaults: dict[str, Any]) -> PreTrainedModel:
        """Load the model that the options name, or build one whose pieces of one script start alike."""
        model = super().build_model(tokenizer, rows, encoded, defaults)
        if not (self.model_args.model_name_or_path or self.model_args.vectors_file or self.model_options.embeddings_from):
            share_scripts(model.get_input_embeddings(), tokenizer)
        return model

    def wide_fit(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, size: int) -> LinearFit | None:
        """Make a linear tagger by default where units are words: a single character has no prefix, suffix or shape to go by."""
        return super().wide_fit(model, tokenizer, 0 if getattr(model.config, "ngram_vocab_size", 0) else size)

    def iterate_words(self, rows: Any, encoded: Any) -> Iterator[list[str]]:
        """Yield the units of each training text."""
        for text, units in zip(rows["text"], encoded["units"], strict=True):
            yield [text[start:end] for start, end in units]

    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase) -> Splits:
        """Tokenise texts, give every unit its tag, and say how many borders no unit meets."""
        encoded = map_splits(
            splits,
            encode_spans,
            self.names,
            self.data.preprocessing_num_workers,
            tokenizer=tokenizer,
            types=piece_types(tokenizer),
            label2id={label: index for index, label in enumerate(self.labels)},
        )
        for split in splits:
            missed, total = sum(encoded[split]["missed"]), 2 * sum(map(len, splits[split]["labels"]))
            logger.warning(f"{missed} of {total} borders of spans in the {split} split ({missed / max(total, 1):.2%}) are met by no unit.")
        self.encoded = encoded
        return encoded

    @staticmethod
    def shrink_logits(logits: Any, labels: Any) -> Any:
        """Keep the best tag id of each position rather than all logits in memory."""
        return logits.argmax(-1)

    def compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return scores of spans of units from best tags and labels, both (N, T)."""
        found, gold = (self._unit_spans(ids, prediction.label_ids) for ids in (prediction.predictions, prediction.label_ids))
        return SpanCounts.count(gold, found).metrics()

    def _unit_spans(self, ids: np.ndarray, label_ids: np.ndarray) -> list[list[Span]]:
        """Return the spans, counted in units, that tag ids (N, T) describe."""
        return [tag_spans([self.labels[tag] for tag in row[mask]]) for row, mask in zip(ids, label_ids != -100, strict=True)]

    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the tags of units."""
        counted = output.label_ids != -100
        return output.predictions[counted].tolist(), output.label_ids[counted].tolist()

    def complete_metrics(self, outputs: dict[str, PredictionOutput], splits: Splits) -> dict[str, dict[str, float]]:
        """Return the scores of spans of characters, in which spans with borders that no unit meets are missed, and the share of those."""
        added = {}
        for split, output in outputs.items():
            counts = SpanCounts.count(_gold(splits[split]), self._found(output, split))
            borders = 2 * max(counts.gold[""], 1)
            added[split] = counts.metrics() | {"missed_borders": sum(self.encoded[split]["missed"]) / borders}
        return added

    def _found(self, output: PredictionOutput, split: str) -> list[list[Span]]:
        """Return the predicted spans of characters of each text."""
        spans = zip(self._unit_spans(output.predictions, output.label_ids), self.encoded[split]["units"], strict=True)
        return [[(units[first][0], units[last - 1][1], kind) for first, last, kind in found] for found, units in spans]

    def write_results(self, folder: Path, split: str, output: PredictionOutput, rows: Any) -> None:
        """Write predictions in data-set order, scores of each label, texts with their spans, and the confusion matrix over units."""
        gold, found = _gold(rows), self._found(output, split)
        written = [
            {"index": index, "text": text, "spans": _named(expected), "predictions": _named(given)}
            for index, (text, expected, given) in enumerate(zip(rows["text"], gold, found, strict=True))
        ]
        steps.write_jsonl(folder / "predictions.jsonl", written)
        with steps.optional("The report"):
            (folder / "report.txt").write_text(f"{split}\n\n{SpanCounts.count(gold, found).report()}", encoding="utf-8")
            write_span_report(folder / "report.html", f"{folder.resolve().name}: {split}", rows["text"], gold, found)
        with steps.optional("The confusion matrix"):
            counted = output.label_ids != -100
            kinds = [split_tag(label)[1] or "O" for label in self.labels]
            shown = list(dict.fromkeys(kinds))
            # (C,): the kind of each tag
            kind_of = np.array([shown.index(kind) for kind in kinds])
            pairs = kind_of[output.label_ids[counted]], kind_of[output.predictions[counted]]
            plot_confusion_matrix(*pairs, shown, folder / "confusion_matrix.png")


def _gold(rows: Any) -> list[list[Span]]:
    """Return the annotated spans of each text."""
    pairs = zip(rows["offsets"], rows["labels"], strict=True)
    return [[(start, end, label) for (start, end), label in zip(offsets, labels, strict=True)] for offsets, labels in pairs]


def _named(spans: list[Span]) -> list[dict[str, Any]]:
    return [{"start": start, "end": end, "label": label} for start, end, label in spans]
