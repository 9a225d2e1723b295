"""Configuration of LSTM and GRU models."""

from functools import wraps
from typing import Any, ClassVar, TypeVar

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError
from transformers.configuration_utils import PreTrainedConfig

from .cells import cell_of

POOLINGS = ("last", "mean", "max", "attention")
# a config from elsewhere must not keep a loader busy for ever, or fill the memory
MAX_LAYERS, MAX_LABELS, MAX_WEIGHTS = 1000, 100_000, 2**32
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
# shares among what a promise holds
PROMISED = ("precision", "confidence", "threshold", "answered")
LONG_TEXTS = ("truncate", "windows", "whole")
WORD_POOLINGS = ("first", "mean", "max", "rnn")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {allowed}, got {value!r}. Set it in RnnConfig or pass --{name}.")


class RnnConfigError(StrictDataclassError, ValueError):
    """A field of a config is of another type, out of its range, or contradicts another one."""


T = TypeVar("T", bound=type)


def _with_plain_errors(cls: T) -> T:
    """Let a class whose fields are checked raise what its checks say, as a `ValueError`, where it is made and where a field is set."""
    for name in ("__init__", "__setattr__"):
        setattr(cls, name, _with_plain_error(getattr(cls, name)))
    return cls


def _with_plain_error(method: Any) -> Any:
    @wraps(method)
    def checked(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except RnnConfigError:
            raise
        except StrictDataclassError as error:
            raise RnnConfigError(str(error.__cause__ or error)) from error

    return checked


@_with_plain_errors
@strict
class RnnConfig(PreTrainedConfig):
    r"""Describe an LSTM or GRU encoder and its heads.

    Args:
        vocab_size (`int`): Number of rows of the embedding.
        embedding_size (`int`): Width of an embedding.
        hidden_size (`int`): Width of `last_hidden_state`, both directions together.
        num_hidden_layers (`int`): Number of stacked recurrent layers.
        cell_type (`str`): `"lstm"` (Hochreiter and Schmidhuber 1997), `"gru"` (Cho et al. 2014), `"rnn"` (tanh,
            Elman 1990), or the name of a cell of your own, see `register_cell`.
        bidirectional (`bool`): Whether each layer also reads every row from its end.
        embedding_dropout (`float`): Probability that a token's whole vector is dropped (word dropout, Iyyer et al. 2015).
        input_dropout (`float`): Locked dropout on the embeddings: one mask for all steps of a row (Gal and Ghahramani 2016).
        hidden_dropout (`float`): Locked dropout on the output of every layer.
        weight_dropout (`float`): DropConnect on the hidden-to-hidden weights (Merity et al. 2018); the checkpoint's keys stay plain.
        classifier_dropout (`float`): Dropout before the output layer.
        pooling (`str`): How a row becomes one vector: `"last"`, `"mean"`, `"max"` or `"attention"`.
        word_pooling (`str`, *optional*): Make the recurrence run over words rather than pieces, a word's vector being its
            `"first"` piece, the `"mean"` or `"max"` of its pieces, or the final states of a small bidirectional `"rnn"` over them.
        word_vocab_size (`int`): With `word_pooling`, the number of words that have a vector of their own, added to that of their
            pieces; 0 for none.
        linear_size (`int`): Words and n-grams of characters that a linear model beside the recurrence has weights for; 0 for no such
            model.
        ngram_vocab_size (`int`): With `word_pooling`, the number of pairs and triples of neighbouring words, each as seen from one of
            them, that have a vector of their own, added to the word's; 0 for none.
        use_crf (`bool`): Whether the token-classification head ends in a linear-chain CRF.
        crf_constraints (`str`, *optional*): Forbid tag sequences that break the scheme of the label names: `"bio"` or `"bioes"`.
        span_scores (`bool`): Whether scores of a CRF's tags are probabilities of spans, among all sequences of tags, as trainings ask for;
            else they are max-marginals, by which the thresholds of older models were found.
        lookahead (`int`): Words, or units of raw text, that a unidirectional tagger reads beyond the one that it tags; the output layer
            sees the states at their starts beside that of the word (a lookahead convolution, Wang et al. 2016).
        units (`str`, *optional*): `"raw"` for a tagger of raw text, whose spans are to be grouped from the tags of pieces.
        intents (`list`, *optional*): Names of the classes of whole rows, for a tagger that classifies them too.
        columns (`dict`, *optional*): Names of the columns that it was trained on, by what they hold: `"text"`, `"labels"`, `"intents"`.
        promise (`dict`, *optional*): Which answers are given: those with a score of `"threshold"` at least, of which a share of
            `"precision"` at least is right with the probability `"confidence"`; so found on `"rows"` held-out answers, of which a share
            of `"answered"` was given.
        outside (`dict`, *optional*): How unlike the training rows a text is, for a classifier of one label: `"centre"` and `"scale"` of
            its numbers (see `outside_numbers`), `"weights"` of their terms, the sum from which on it belongs to none of the classes,
            `"border"`, and the share of held-out rows that are beyond it, `"share"`.
        long_texts (`str`, *optional*): What a classifier make of texts that are longer than its tokenizer allows: `"truncate"` reads their
            beginning, `"windows"` all of them by windows that overlap, `"whole"` all of them in one go.
        pad_token_id (`int`, *optional*): Row of the embedding that stays zero.
        bos_token_id, eos_token_id (`int`, *optional*): Tokens that begin and end a text of a causal language model.
        unk_token_id, word_mark_id (`int`, *optional*): Unknown piece, and piece that is only a mark of a word's start: the stock
            pipeline takes words apart at both, for which the tags of a tagger make up.
        initializer_range (`float`): Standard deviation of linear layers.
        embedding_initializer_range (`float`): Standard deviation of embeddings.
        tie_word_embeddings (`bool`): Whether the output layer of a language model is the matrix of its embeddings.

    Raises:
        ValueError: A field is out of its range or two fields contradict each other.
    """

    model_type = "hf_rnn"
    # Trainer need not gather states with the logits
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["state", "hidden_states", "outside"]

    vocab_size: int = 16000
    embedding_size: int = 256
    hidden_size: int = 512
    num_hidden_layers: int = 2
    cell_type: str = "lstm"
    bidirectional: bool = True
    embedding_dropout: float | int = 0.0
    input_dropout: float | int = 0.3
    hidden_dropout: float | int = 0.3
    weight_dropout: float | int = 0.0
    classifier_dropout: float | int = 0.3
    pooling: str = "max"
    word_pooling: str | None = None
    word_vocab_size: int = 0
    linear_size: int = 0
    ngram_vocab_size: int = 0
    use_crf: bool = False
    crf_constraints: str | None = None
    span_scores: bool = False
    lookahead: int = 0
    units: str | None = None
    intents: list[str] | tuple[str, ...] | None = None
    columns: dict[str, str] | None = None
    promise: dict[str, float | int] | None = None
    outside: dict[str, float | int | list[float | int]] | None = None
    long_texts: str | None = None
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    unk_token_id: int | None = None
    word_mark_id: int | None = None
    initializer_range: float | int = 0.02
    embedding_initializer_range: float | int = 0.1
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        # the base class makes a name for every label
        asked = kwargs.get("num_labels")
        count = len(self.id2label or ()) if asked is None else asked
        if not isinstance(count, int) or not 0 <= count <= MAX_LABELS:
            raise ValueError(f"`num_labels` must be in [0, {MAX_LABELS}], got {count!r}. Is the config what it should be?")
        if self.id2label and sorted(str(key) for key in self.id2label) != sorted(map(str, range(len(self.id2label)))):
            got = str(self.id2label)[:80]
            raise ValueError(f"`id2label` must name each of the numbers from 0 on, got {got}. Is the config what it should be?")
        super().__post_init__(**kwargs)

    @property
    def num_directions(self) -> int:
        """Return 2 for a bidirectional model, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def direction_size(self) -> int:
        """Return the width of one direction of a layer."""
        return self.hidden_size // self.num_directions

    def validate_cell_type(self) -> None:
        """Check that there is such a cell."""
        cell_of(self.cell_type)

    def validate_choices(self) -> None:
        """Check the fields that name one of a few ways."""
        _check_choice("pooling", self.pooling, POOLINGS)
        if self.word_pooling is not None:
            _check_choice("word_pooling", self.word_pooling, WORD_POOLINGS)
        if self.crf_constraints is not None:
            _check_choice("crf_constraints", self.crf_constraints, ("bio", "bioes"))
        if self.units is not None:
            _check_choice("units", self.units, ("raw",))
        if self.long_texts is not None:
            _check_choice("long_texts", self.long_texts, LONG_TEXTS)
        if self.problem_type is not None:
            _check_choice("problem_type", self.problem_type, PROBLEM_TYPES)

    def validate_sizes(self) -> None:
        """Check that every size is positive and that widths divide as they must."""
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}. Set it in RnnConfig or pass --{name}.")
        if self.num_hidden_layers > MAX_LAYERS:
            raise ValueError(
                f"`num_hidden_layers` must be at most {MAX_LAYERS}, got {self.num_hidden_layers}. Is the config what it should be?"
            )
        if self.bidirectional and self.hidden_size % 2:
            raise ValueError(
                f"`hidden_size` must be even when `bidirectional` is true (half for each direction), got {self.hidden_size}. "
                f"Use {self.hidden_size + 1} or pass --bidirectional false."
            )
        if self.word_pooling == "rnn" and self.embedding_size % 2:
            raise ValueError(
                f"`embedding_size` must be even when `word_pooling` is 'rnn' (half for each direction), got {self.embedding_size}. "
                f"Use {self.embedding_size + 1}."
            )
        for name in ("word_vocab_size", "ngram_vocab_size"):
            if getattr(self, name) < 0 or (getattr(self, name) and self.word_pooling is None):
                raise ValueError(
                    f"`{name}` must be 0, or positive with `word_pooling`, got {getattr(self, name)} with "
                    f"word_pooling={self.word_pooling!r}. Pass --word_pooling rnn or --{name} 0."
                )
        if self.lookahead < 0 or (self.lookahead and self.bidirectional):
            raise ValueError(
                f"`lookahead` must be 0, or positive with `bidirectional` false, got {self.lookahead} with "
                f"bidirectional={self.bidirectional}. A model that reads both ways sees all that comes: leave it out, or pass "
                "--bidirectional false."
            )
        if self.linear_size < 0:
            raise ValueError(f"`linear_size` must be at least 0, got {self.linear_size}. Set it in RnnConfig or pass --linear_size.")
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(
                f"`pad_token_id` must be None or in [0, vocab_size) = [0, {self.vocab_size}), got {self.pad_token_id}. "
                "Take it from the tokenizer, and `vocab_size` from len(tokenizer)."
            )

    def validate_weights(self) -> None:
        """Check that all sizes together make a model that a machine can hold, before it is built."""
        width, words = self.embedding_size, self.vocab_size + self.word_vocab_size + self.ngram_vocab_size
        cells = 4 * self.hidden_size * (self.direction_size + max(width, self.hidden_size)) * self.num_hidden_layers
        labels = self.num_labels or 0
        outputs = labels * (self.hidden_size + self.linear_size + (labels if self.use_crf else 0)) + 2 * self.linear_size
        weights = words * width + cells + 2 * width**2 + outputs
        if weights > MAX_WEIGHTS:
            vocabularies = ("vocab_size", "word_vocab_size", "ngram_vocab_size", "linear_size", "num_labels")
            sizes = (*vocabularies, "embedding_size", "hidden_size", "num_hidden_layers")
            largest = max(sizes, key=lambda name: getattr(self, name) or 0)
            raise ValueError(
                f"The config asks for {weights:.0e} weights, more than {MAX_WEIGHTS:.0e}: `{largest}` is {getattr(self, largest)}. "
                "Choose smaller sizes."
            )

    def validate_probabilities(self) -> None:
        """Check that every dropout is a probability below 1 and every standard deviation is not negative."""
        for name in ("embedding_dropout", "input_dropout", "hidden_dropout", "weight_dropout", "classifier_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), got {getattr(self, name)}. Set it in RnnConfig or pass --{name}.")
        for name in ("initializer_range", "embedding_initializer_range"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}. Set it in RnnConfig.")

    def validate_promise(self) -> None:
        """Check that a promise names its threshold, and that whatever is a share is one."""
        promise = self.promise
        if promise is not None and not ("threshold" in promise and all(0 <= promise.get(name, 0) <= 1 for name in PROMISED)):
            raise ValueError(
                f"`promise` must hold a `threshold`, and {', '.join(PROMISED)} in [0, 1], got {str(promise)[:80]}. "
                "Train with --promise, or leave it out."
            )

    def validate_outside(self) -> None:
        """Check that what tells rows of no class holds all that it needs, as positive as it must be."""
        outside = self.outside
        if outside is None:
            return
        count, border = 4 if self.linear_size else 2, outside.get("border")
        lists = [value if isinstance(value := outside.get(name), list) else [] for name in ("centre", "scale", "weights")]
        is_positive = isinstance(border, (int, float)) and border > 0 and all(value > 0 for value in lists[1])
        if [len(each) for each in lists] != [count] * 3 or not is_positive or min(lists[2]) < 0:
            raise ValueError(
                f"`outside` must hold lists of {count} numbers, `centre`, `scale` (above 0) and `weights` (not below 0), and a `border` "
                f"above 0, got {str(outside)[:80]}. Train with --outside, or leave it out."
            )

    def validate_crf(self) -> None:
        """Check that constraints come with the CRF that keeps them."""
        if self.crf_constraints is not None and not self.use_crf:
            raise ValueError(
                f"`crf_constraints` needs `use_crf=True`, got crf_constraints={self.crf_constraints!r} without a CRF. "
                "Pass --use_crf true or leave --crf_constraints out."
            )
