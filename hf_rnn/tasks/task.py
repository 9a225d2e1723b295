"""What is learnt, as a value: known once rows are read, and never changed after."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from transformers import EvalPrediction, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput

from ..arguments import DataArguments, ModelArguments, RnnTrainingArguments
from ..data.files.locations import Places
from ..data.loading import load_config
from ..data.rows.labels import feature_names, named_cell
from ..data.rows.splits import AnyDataset, Splits, iterate_cells, iterate_texts
from ..data.tokenizers.training import train_tokenizer
from ..models.configuration_rnn import RnnConfig
from .decoding import Text
from .defaults import Size
from .report import NO_ANSWERS, Report, ScoredAnswers

# from texts to answers, as `Predictor.predict`
Answering = Callable[[list[Text]], list[dict[str, Any]]]


@dataclass(frozen=True)
class TaskOptions:
    """The options that say what is learnt from which rows.

    Attributes:
        data (`DataArguments`): Where rows come from and how they are read.
        model (`ModelArguments`): What to start from, or what to build.
        training (`RnnTrainingArguments`): Whether to train, and how.
        has_teacher (`bool`): Whether a teacher answers rows too.
    """

    data: DataArguments
    model: ModelArguments
    training: RnnTrainingArguments
    has_teacher: bool = False

    @property
    def borrows_words(self) -> bool:
        """Return whether the words of a new tagger get the vectors of an encoder, beside a tokenizer of its own, which sees case."""
        is_new = not (self.goes_on or self.model.tokenizer_name)
        return bool(self.model.embeddings_from) and is_new and self.model.word_pooling != "none" and self.model.word_vocab_size != 0

    @property
    def goes_on(self) -> bool:
        """Return whether the model, or its config, comes from elsewhere."""
        return bool(self.model.model_name_or_path or self.model.config_name)

    @property
    def from_body(self) -> bool:
        """Return whether a new head is put on a body of ours that knows no labels yet, such as a language model's."""
        name = self.model.model_name_or_path
        config = load_config(name, self.model.trust_remote_code) if name else None
        return isinstance(config, RnnConfig) and not any("Classification" in model for model in config.architectures or ())

    @property
    def has_new_head(self) -> bool:
        """Return whether nothing of the model knows labels yet: it is built, or its body alone is ours."""
        return self.from_body or not self.model.model_name_or_path

    @property
    def knows_more(self) -> bool:
        """Return whether the recurrence knows more than the labels tell: by a teacher, or by text without labels."""
        return self.has_teacher or self.from_body


@dataclass(frozen=True)
class Columns:
    """Which column of the rows holds what.

    Attributes:
        text (`str`): Texts, or lists of tokens.
        labels (`str`): Labels, numbers, lists of tags, or spans.
        intents (`str`, *optional*): Classes of whole sentences beside their tags.
    """

    text: str
    labels: str
    intents: str | None = None


@dataclass(frozen=True)
class Task(ABC):
    """What is learnt.

    Args:
        labels (`tuple`): Names of the labels, in the order of logits.
        columns (`Columns`): Columns of the rows.
        max_length (`int`): Pieces to which a tokenizer truncates.
    """

    # its name among the tasks of pipelines
    name: ClassVar[str]
    auto_class: ClassVar[Any]
    # whether every token or unit has a label, rather than every row
    has_tags: ClassVar[bool]
    # what is counted of labels
    counted: ClassVar[str] = "rows"
    # options that have no meaning here, and what to do instead
    without: ClassVar[dict[str, str]]
    # a function of logits and labels that keeps less than all logits in memory
    shrink_logits: ClassVar[Any] = None

    labels: tuple[str, ...]
    columns: Columns
    max_length: int

    @classmethod
    def prepare(cls, splits: Splits, options: TaskOptions) -> Splits:
        """Return the rows in the form that the other steps expect: as they are."""
        return splits

    @classmethod
    @abstractmethod
    def defaults(cls, size: Size, options: TaskOptions) -> dict[str, Any]:
        """Return what the options are when they are left out, by how much there is to learn from."""

    @classmethod
    @abstractmethod
    def choose_columns(cls, splits: Splits, data: DataArguments) -> Columns:
        """Return the columns that the options name, or the usual ones of the training rows, or of the first split without any."""

    @classmethod
    @abstractmethod
    def read_labels(cls, splits: Splits, columns: Columns, options: TaskOptions, places: Places) -> Splits:
        """Return the splits with labels in the one form that the other steps expect, however they are written.

        Args:
            splits: Raw rows.
            columns (`Columns`): What `choose_columns` returned.
            options (`TaskOptions`): What cells do not say themselves.
            places (`Places`): Takes note of rows that are left out.
        """

    @classmethod
    def drawn_by(cls, columns: Columns, data: DataArguments) -> list[str]:
        """Return the columns of labels that each keep a row for training when validation rows are drawn."""
        return [columns.labels, *([columns.intents] if columns.intents else [])]

    @classmethod
    def given(cls, rows: AnyDataset, columns: Columns) -> list[Any]:
        """Return what rows say, as files hold it: labels, tags, or spans."""
        names = feature_names(rows, columns.labels)
        return [named_cell(cell, names) for cell in iterate_cells(rows, columns.labels)]

    @classmethod
    @abstractmethod
    def of_rows(cls, splits: Splits, columns: Columns, options: TaskOptions) -> "Task":
        """Return the task that rows pose: its labels are those of the checkpoint if nothing is trained, else those of the rows too."""

    @property
    @abstractmethod
    def metric(self) -> tuple[str, bool]:
        """Return the metric that chooses the best epoch, and whether more of it is better."""

    @property
    @abstractmethod
    def metric_names(self) -> list[str]:
        """Return the names of all metrics that `score` gives."""

    @property
    def label_columns(self) -> list[str] | None:
        """Return the encoded columns that hold labels where that is not `labels` alone."""
        return None

    def config_fields(self, options: TaskOptions) -> dict[str, Any]:
        """Return the fields of a model's config that follow from the task: its labels, its columns, and more."""
        names: dict[str, Any] = {"id2label": dict(enumerate(self.labels)), "label2id": self.label2id}
        if options.training.do_train:
            # those of other weights
            names |= {"promise": None, "outside": None}
        return {**names, "columns": {name: column for name, column in asdict(self.columns).items() if column is not None}}

    @property
    def label2id(self) -> dict[str, int]:
        """Return the id of each label."""
        return {label: index for index, label in enumerate(self.labels)}

    def train_tokenizer(self, rows: AnyDataset, options: TaskOptions, defaults: dict[str, Any]) -> PreTrainedTokenizerBase:
        """Train a tokenizer on the texts of training rows."""
        model = options.model
        return train_tokenizer(
            iterate_texts(rows, self.columns.text),
            model.tokenizer_type or defaults["tokenizer_type"],
            model.vocab_size or defaults["vocab_size"],
            model.lowercase,
            model.split_punctuation,
            model.decompose,
            model_max_length=self.max_length,
        )

    def words(self, rows: AnyDataset, encoded: AnyDataset) -> Iterable[list[str]] | None:
        """Return the words of each training row where words are what is read, else None."""
        return None

    def initialize(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Give a new model what the task knows of its tokenizer: nothing."""
        return

    @abstractmethod
    def encode(self, splits: Splits, tokenizer: PreTrainedTokenizerBase, num_proc: int | None = None) -> Splits:
        """Turn raw rows into `input_ids` and `labels`."""

    @abstractmethod
    def score(self, prediction: EvalPrediction) -> dict[str, float]:
        """Return metrics from predictions and labels."""

    def score_rows(self, output: PredictionOutput, rows: AnyDataset, encoded: AnyDataset) -> dict[str, float]:
        """Return metrics of a predicted split that need its rows beside predictions and labels."""
        return {}

    @property
    def can_promise(self) -> bool:
        """Return whether each answer is one thing, with a score, that is right or wrong."""
        return True

    def scored(self, output: PredictionOutput, rows: AnyDataset, answer: Answering | None = None) -> ScoredAnswers:
        """Return the answers to a split with their scores, as far as there are any.

        Args:
            output (`PredictionOutput`): Predictions, and labels if there are some.
            rows: The split.
            answer (`Callable`, *optional*): Answers texts, where scores are not in the predictions; without it there are none then.
        """
        return NO_ANSWERS

    @abstractmethod
    def class_ids(self, output: PredictionOutput) -> tuple[list[int], list[int]]:
        """Return the class ids that were answered, of rows or words, and the right ones; nothing where there is not one class each."""

    @abstractmethod
    def report(self, output: PredictionOutput, rows: AnyDataset, encoded: AnyDataset) -> Report:
        """Return what there is to say of the answers to a split."""


def known_labels(model: ModelArguments) -> list[str] | None:
    """Return the label names of the checkpoint to go on from, or None if it has only placeholders or there is none."""
    if not model.model_name_or_path:
        return None
    config = load_config(model.model_name_or_path, model.trust_remote_code)
    labels = [config.id2label[index] for index in range(config.num_labels)]
    return None if all(label == f"LABEL_{index}" for index, label in enumerate(labels)) else labels


def known_intents(model: ModelArguments) -> list[str] | None:
    """Return the classes of whole sentences of the checkpoint to go on from, or None if it has none or there is none."""
    if not model.model_name_or_path:
        return None
    intents = getattr(load_config(model.model_name_or_path, model.trust_remote_code), "intents", None)
    return list(intents) if intents else None


def keep_labels(known: list[str] | None, found: list[str]) -> tuple[str, ...]:
    """Return the labels of a model that goes on from one with known labels: those, in their order, and then new ones that rows have.

    Rows that have none of the known labels are of another task: then the labels are those found.
    """
    if known is None or not set(known) & set(found):
        return tuple(found)
    return tuple(dict.fromkeys([*known, *found]))
