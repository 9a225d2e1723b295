"""Tags of tokens, with classes of whole sentences beside them if there is a column of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import evaluate
import numpy as np
from seqeval.metrics import classification_report as span_report
from transformers import AutoModelForTokenClassification, EvalPrediction, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput

from ..arguments import DataArguments
from ..data.files.cells import place
from ..data.files.detokenization import join_tokens
from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.encoding import encode_tokens, map_splits
from ..data.rows.labels import collect_labels, feature_names
from ..data.rows.splits import TAG_COLUMNS, AnyDataset, Splits, check_columns, choose_column, column_names, iterate_cells
from ..data.rows.tag_columns import read_lists, read_tags, read_words
from ..models.tags import first_violation, guess_scheme, spans_of_tags
from .defaults import Size, student_defaults, tagger_defaults
from .metrics import SpanMetric, TokenMetric, load_metric
from .report import NO_ANSWERS, Confusion, Report, ScoredAnswers, class_table, without_undefined
from .span_scores import Span, scored_spans
from .task import Answering, Columns, Task, TaskOptions, keep_labels, known_intents, known_labels

# options of rows with several labels
NO_SEVERAL = {
    **dict.fromkeys(("problem_type", "label_columns", "label_separator"), "Every word has one tag."),
    "outside_file": "Words that no span covers are outside already.",
    "long_texts": "A tagger reads texts of any length whole.",
}
# sentences are never cut: pipelines must not cut them either
NO_LIMIT = 1_000_000
# tags that describe no spans, of which more make the moves between them too many to learn and to search
MOST_CHAINED = 100


def _best(logits: Any, labels: Any) -> Any:
    """Keep the best tag id of each position, and the best intent of each row, rather than all logits in memory."""
    return tuple(part.argmax(-1) for part in logits) if isinstance(logits, tuple) else logits.argmax(-1)


@dataclass(frozen=True)
class TokenClassification(Task):
    """Tags of tokens.

    Args:
        intents (`tuple`, *optional*): Names of the classes of whole sentences.
        longest (`int`, *optional*): Pieces of a sentence that are allowed; longer ones are refused.
    """

    name = "token-classification"
    auto_class = AutoModelForTokenClassification
    has_tags = True
    without: ClassVar[dict[str, str]] = {**NO_SEVERAL}
    counted = "tags"
    shrink_logits = staticmethod(_best)

    intents: tuple[str, ...] | None = None
    longest: int | None = None

    @classmethod
    def defaults(cls, size: Size, options: TaskOptions) -> dict[str, Any]:
        """Return those of a tagger; what goes on from one has no linear model."""
        chosen = student_defaults(size, is_tagger=True) if options.has_teacher else tagger_defaults(size)
        return chosen if options.has_new_head and not options.data.streaming else {**chosen, "linear_size": 0}

    @classmethod
    def choose_columns(cls, splits: Splits, data: DataArguments) -> Columns:
        """Return the columns; every split needs them, as unlabelled sentences are for `hf-rnn predict`."""
        first = "train" if "train" in splits else next(iter(splits))
        # words and tags may be texts with white space between
        has_tags = any(name in column_names(splits[first]) for name in TAG_COLUMNS)
        texts = (*TOKEN_COLUMNS, *TEXT_COLUMNS) if has_tags else TOKEN_COLUMNS
        text = choose_column(splits[first], first, data.text_column_name, texts, "text_column_name")
        check_columns(splits, first, text, "text_column_name")
        # the tag of CoNLL columns is the last
        usual = [name for name in column_names(splits[first]) if name.startswith("column_")][-1:] or list(TAG_COLUMNS)
        labels = choose_column(splits[first], first, data.label_column_name, usual, "label_column_name")
        for split in splits:
            choose_column(splits[split], split, labels, (), "label_column_name")
            if data.intent_column_name is not None:
                choose_column(splits[split], split, data.intent_column_name, (), "intent_column_name")
        return Columns(text, labels, data.intent_column_name)

    @classmethod
    def read_labels(cls, splits: Splits, columns: Columns, options: TaskOptions, places: Places) -> Splits:
        """Return the splits with lists of tokens and of tags, these as BIO or BIOES whatever their scheme of spans."""
        if options.data.streaming:
            return splits
        splits = read_lists(read_lists(splits, columns.text), columns.labels)
        return read_tags(read_words(splits, columns.text, columns.labels), columns.labels)

    @classmethod
    def of_rows(cls, splits: Splits, columns: Columns, options: TaskOptions) -> "TokenClassification":
        """Return the task that rows pose."""
        known, may_differ = known_labels(options.model), options.data.unknown_labels == "wrong"
        if known is not None and not options.training.do_train:
            labels = tuple(known)
        else:
            names = {split: feature_names(rows, columns.labels) for split, rows in splits.items()}
            labels = keep_labels(known, collect_labels(splits, columns.labels, names, may_differ, known or ()))
            if len(labels) < 2:
                raise DataError(f"Column {columns.labels!r} must hold at least 2 tags, got {list(labels)}. Is it the --label_column_name?")
        if options.model.crf_constraints and "train" in splits:
            _check_scheme(splits["train"], columns.labels, options.model.crf_constraints)
        intents = None
        if columns.intents is not None:
            before = known_intents(options.model)
            if before and not options.training.do_train:
                intents = tuple(before)
            else:
                intents = keep_labels(before, collect_labels(splits, columns.intents, dict.fromkeys(splits), may_differ, before or ()))
        return cls(labels, columns, NO_LIMIT, intents, options.data.max_length)

    @property
    def scheme(self) -> str | None:
        """Return the scheme of the labels, if they describe spans."""
        return guess_scheme(self.labels)

    @property
    def metric(self) -> tuple[str, bool]:
        """Return F1 over spans where labels are of a scheme, else the accuracy over words."""
        return ("f1" if self.scheme else "accuracy"), True

    @property
    def metric_names(self) -> list[str]:
        """Return what the metric gives for one word, and what there is to say of sentences."""
        names = list(self._scorer().compute(predictions=[["O"]], references=[["O"]]))
        return names if self.intents is None else [*names, "intent_accuracy", "exact_match"]

    @property
    def label_columns(self) -> list[str] | None:
        """Return both columns of labels where sentences have classes."""
        return None if self.intents is None else ["labels", "intents"]

    def config_fields(self, options: TaskOptions) -> dict[str, Any]:
        """Return labels, columns, the classes of whole sentences, and for tags that depend on each other a CRF, unless options differ."""
        fields = super().config_fields(options)
        if self.intents is not None:
            fields["intents"] = list(self.intents)
        if options.goes_on and not options.from_body:
            return fields
        is_free = options.model.use_crf is None and not options.training.label_smoothing_factor
        has_crf = options.model.use_crf or (is_free and (self.scheme is not None or self._gains_by_moves(options)))
        return {**fields, "use_crf": True, "span_scores": True} if has_crf else fields

    def _gains_by_moves(self, options: TaskOptions) -> bool:
        """Return whether tags without spans are worth a CRF: not where a teacher knows more, nor where a model goes along a text."""
        return len(self.labels) <= MOST_CHAINED and not options.has_teacher and options.model.bidirectional is not False

    def words(self, rows: AnyDataset, encoded: AnyDataset) -> Iterable[list[str]]:
        """Return the tokens of each training row."""
        return iterate_cells(rows, self.columns.text)

    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase, num_proc: int | None = None) -> Splits:
        """Tokenise sentences and align their tags with first pieces."""
        return map_splits(
            splits,
            encode_tokens,
            {split: feature_names(rows, self.columns.labels) for split, rows in splits.items()},
            num_proc,
            tokenizer=tokenizer,
            token_column=self.columns.text,
            tag_column=self.columns.labels,
            label2id=self.label2id,
            max_length=self.longest,
            intent_column=self.columns.intents,
            intent2id={intent: index for index, intent in enumerate(self.intents or ())},
        )

    def _scorer(self) -> evaluate.Metric:
        return load_metric(SpanMetric if self.scheme else TokenMetric)

    def score(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return the metric from best tags and labels, both (N, T); with intents also their accuracy, and the share of rows all right."""
        tags, references = _tags_of(prediction.predictions), _tags_of(prediction.label_ids)
        named = self.name_tags(tags, references), self.name_tags(references, references)
        results = self._scorer().compute(predictions=named[0], references=named[1])
        if isinstance(prediction.predictions, tuple):
            right = prediction.predictions[1] == prediction.label_ids[1]
            whole = [a == b for a, b in zip(*named, strict=True)]
            results |= {"intent_accuracy": float(right.mean()), "exact_match": float((right & whole).mean())}
        return results

    def name_tags(self, ids: np.ndarray, label_ids: np.ndarray) -> list[list[str]]:
        """Turn tag ids (N, T) into names, at the positions that have a label."""
        return [[self.labels[tag] for tag in row[mask]] for row, mask in zip(ids, label_ids != -100, strict=True)]

    def scored(self, output: PredictionOutput, rows: AnyDataset, answer: Answering | None = None) -> ScoredAnswers:
        """Return the spans that are found in sentences, as texts of tokens parted by spaces."""
        if answer is None:
            return NO_ANSWERS
        given = _tags_of(output.label_ids)
        pairs = zip(iterate_cells(rows, self.columns.text), self.name_tags(given, given), strict=True)
        # a token with a space in it is two to those who read texts
        whole = [(tokens, tags) for tokens, tags in pairs if tokens and all(len(token.split()) == 1 for token in tokens)]
        gold = [self._spans(tokens, tags) for tokens, tags in whole]
        return scored_spans(gold, answer([" ".join(tokens) for tokens, _ in whole]))

    def _spans(self, tokens: list[str], tags: list[str]) -> list[Span]:
        """Return the spans of characters of tokens that are parted by spaces."""
        offsets = join_tokens(tokens)[1]
        spans = spans_of_tags(tags) if self.scheme else [(index, index + 1, tag) for index, tag in enumerate(tags)]
        return [(offsets[first][0], offsets[last - 1][1], kind) for first, last, kind in spans]

    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the tags of words."""
        answers, given = _tags_of(output.predictions), _tags_of(output.label_ids)
        return answers[given != -100].tolist(), given[given != -100].tolist()

    def report(self, output: PredictionOutput, rows: AnyDataset, encoded: AnyDataset) -> Report:
        """Return predictions in data-set order, a table of each label, and which tags are taken for which."""
        answers, given = _tags_of(output.predictions), _tags_of(output.label_ids)
        references, predictions = self.name_tags(given, given), self.name_tags(answers, given)
        sentences = zip(iterate_cells(rows, self.columns.text), references, predictions, strict=True)
        written = [{"index": i, "tokens": tokens, "tags": tags, "predictions": best} for i, (tokens, tags, best) in enumerate(sentences)]
        if self.intents is not None:
            for row, intent, best in zip(written, output.label_ids[1], output.predictions[1], strict=True):
                row |= {"intent": self.intents[intent], "predicted_intent": self.intents[best]}

        def scores() -> str:
            if self.scheme:
                return without_undefined(span_report(references, predictions, digits=4, zero_division=0))
            right, answered = ([tag for tags in part for tag in tags] for part in (references, predictions))
            return class_table(right, answered, self.labels, self.labels)

        return Report(written, scores, Confusion(given[given != -100], answers[given != -100], list(self.labels)))


def _check_scheme(train: AnyDataset, column: str, scheme: str) -> None:
    """Raise a DataError at the first training row that a constrained CRF could not learn."""
    names = feature_names(train, column)
    for row, cell in enumerate(train[column]):
        tags = [names[tag] for tag in cell] if names else cell
        index = first_violation(tags, scheme)
        if index is not None:
            raise DataError(
                f"tag {tags[index]!r} at position {index} breaks the {scheme.upper()} scheme after {tags[max(index - 1, 0)]!r}. Correct "
                "the row, or leave --crf_constraints out.",
                place("train", row, column),
            )


def _tags_of(values: Any) -> np.ndarray:
    """Return the tags of a pair of tags and intents, or the tags that come alone."""
    return values[0] if isinstance(values, tuple) else values
