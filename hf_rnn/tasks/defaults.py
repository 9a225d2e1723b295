"""What the options of training are when they are left out: by the number of labelled rows and by what is in them.

The measurements behind the numbers are in docs/small-data.md. The sizes of models and batches grow with the rows, the epochs shrink.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

# a run reads about so many words at most, so that long rows do not take hours
WORDS_READ = 30_000_000
FEWEST_EPOCHS = 3
# characters of a word with the white space behind it, and words of a usual sentence, by which a tagger's batches are measured
LETTERS, SENTENCE = 6, 24
# from which on a classifier is large, and a training so long that its precision is worth a word
MANY_ROWS = 20_000
# of fewer rows, the 150 or fewer held out cannot tell one epoch of a classifier from another
ROWS_TO_STOP_BY = 2000
# of more classes than that each is read so often, of how few rows it may be
MANY_CLASSES, ROWS_OF_A_CLASS = 10, 1400
# of the linear model beside a student, which stays small however many labels there are
STUDENT_WEIGHTS = 2**21


@dataclass(frozen=True)
class Size:
    """How much there is to learn from.

    Attributes:
        rows (`int`): Rows with labels.
        words (`int`): Words in them, as white space parts them; where it parts few, one in `LETTERS` characters.
        characters (`int`): Different characters.
        empty (`int`): Rows with nothing but white space.
        classes (`int`): Different labels of rows; 0 where there are none to count: tags of words, numbers, a stream.
    """

    rows: int
    words: int
    characters: int
    empty: int = 0
    classes: int = 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Size":
        """Measure texts, read once."""
        rows = words = empty = 0
        alphabet: set[str] = set()
        for text in texts:
            rows += 1
            empty += not text.strip()
            words += max(len(text.split()), len(text) // LETTERS)
            alphabet.update(text)
        return cls(rows, words, len(alphabet), empty)

    def grown(self, rows: int) -> "Size":
        """Return what there is with so many more rows of the same kind."""
        total = self.rows + rows
        return replace(self, rows=total, words=round(self.words * total / max(self.rows, 1)))


# training ends where its evaluations get no better, with the weights of the best one; or where its rate has fallen to zero, with the last
BY_PATIENCE = {"early_stopping_patience": 3, "load_best_model_at_end": True}
BY_SCHEDULE = {"early_stopping_patience": 0, "load_best_model_at_end": False}

# rows unknown, as those of a stream are: as if they were many
UNKNOWN = Size(100_000, 1_000_000, 5000)


def validation_share(rows: int) -> float:
    """Return the share of rows to hold out: a twentieth, but 150 rows, but a fifth at most."""
    return max(0.05, min(0.2, 150 / max(rows, 1)))


def _epochs(size: Size, at_thousand: float, power: float, most: float) -> float:
    """Return epochs that fall with a power of the thousands of rows, more of many classes, within what there is time for."""
    rows = max(size.rows, 1)
    wanted = min(most, at_thousand * (rows / 1000) ** -power)
    if size.classes > MANY_CLASSES:
        wanted = max(wanted, min(3 * wanted, ROWS_OF_A_CLASS * size.classes / rows))
    return float(round(max(FEWEST_EPOCHS, min(wanted, WORDS_READ / max(size.words, 1)))))


def _rows_a_step(size: Size, sentences: int) -> int:
    """Return how many rows a tagger learns from at a time: so many sentences, and of long documents as many as hold their words."""
    return max(1, min(sentences, round(sentences * SENTENCE * max(size.rows, 1) / max(size.words, 1))))


def classifier_defaults(size: Size, is_alone: bool = False) -> dict[str, Any]:
    """Return the options of a classifier; of many rows a recurrence without a linear model beside it is deeper, and learns longer."""
    is_large = size.rows > MANY_ROWS
    # epochs of 150,000 rows: five alone, three beside a linear model
    layers, rows_a_step, power = (1, 32, 0.32) if not is_large else (2, 64, 0.32) if is_alone else (1, 128, 0.43)
    return {
        "tokenizer_type": "unigram",
        # every character needs an entry
        "vocab_size": max(2000, min(16_000, round(0.8 * size.rows)), 2 * size.characters),
        "embedding_size": 256 if is_large else 128,
        "hidden_size": 512 if is_large else 256,
        "num_hidden_layers": layers,
        "embedding_dropout": 0.2,
        "input_dropout": 0.5,
        "hidden_dropout": 0.5,
        "classifier_dropout": 0.5,
        "linear_size": 0 if is_alone else 2**20 if is_large else 2**18,
        "learning_rate": 2e-3,
        "per_device_train_batch_size": rows_a_step,
        "num_train_epochs": _epochs(size, 25, power, 30),
        **(BY_SCHEDULE if size.rows < ROWS_TO_STOP_BY else BY_PATIENCE),
        "validation_share": validation_share(size.rows),
    }


def fine_tuning_defaults(size: Size, width: int, is_tagger: bool) -> dict[str, Any]:
    """Return the options of a pretrained transformer whose states have `width` numbers: few epochs, more of few rows (Mosbach et al. 2021).

    More of many classes too, as there are few rows of each. Narrow ones need higher rates, and so do taggers, as many tags a sentence
    make gradients less noisy.
    """
    rate, fewest = (1e-4, 5) if is_tagger else (5e-5, 3)
    rows_read = max(9000, 1000 * size.classes)
    return {
        "linear_size": 0,
        "learning_rate": min(3e-4, rate * 768 / width),
        "per_device_train_batch_size": 32,
        "num_train_epochs": float(max(fewest, min(20, round(rows_read / max(size.rows, 1))))),
        **BY_PATIENCE,
        "validation_share": validation_share(size.rows),
    }


def tagger_defaults(size: Size) -> dict[str, Any]:
    """Return the options of a tagger."""
    is_large = size.words > 100_000
    return {
        "tokenizer_type": "unigram",
        "vocab_size": max(1000, 2 * size.characters),
        "word_pooling": "rnn",
        "word_vocab_size": 12_000,
        "embedding_size": 256 if is_large else 128,
        "hidden_size": 512 if is_large else 256,
        "num_hidden_layers": 2,
        "linear_size": 2**17,
        "embedding_dropout": 0.4,
        "input_dropout": 0.5,
        "hidden_dropout": 0.5,
        "classifier_dropout": 0.5,
        "learning_rate": 2e-3,
        "per_device_train_batch_size": _rows_a_step(size, 32 if is_large else 16),
        "num_train_epochs": _epochs(size, 20, 0.3, 20),
        **BY_PATIENCE,
        "validation_share": validation_share(size.rows),
    }


def student_defaults(size: Size, is_tagger: bool, is_alone: bool = False) -> dict[str, Any]:
    """Return the options of what learns from a teacher's answers: small, and hardly held back, as the answers are soft.

    The linear model of a classifier, which costs up to half of its speed, is kept only where it pays (see `ClassifierFit`): where classes
    are few, made-up rows with similar words have told the recurrence as much.
    """
    return {
        **(tagger_defaults(size) if is_tagger else classifier_defaults(size, is_alone)),
        "embedding_size": 256,
        "hidden_size": 384,
        "num_hidden_layers": 1,
        "embedding_dropout": 0.1,
        "input_dropout": 0.2,
        "hidden_dropout": 0.2,
        "classifier_dropout": 0.2,
        "per_device_train_batch_size": _rows_a_step(size, 32) if is_tagger else 64,
        "num_train_epochs": _epochs(size, 32, 0.32, 30),
    }


def features_beside(features: int, num_labels: int) -> int:
    """Return how many features the linear model beside a student has: so many, but `STUDENT_WEIGHTS` weights at most."""
    return min(features, STUDENT_WEIGHTS // num_labels)


# options that these fill in
FILLED = tuple(classifier_defaults(UNKNOWN) | tagger_defaults(UNKNOWN))


def fill(defaults: dict[str, Any], *arguments: Any) -> None:
    """Give options that were left out their defaults."""
    for argument in arguments:
        for name, value in defaults.items():
            if hasattr(argument, name) and getattr(argument, name) is None:
                setattr(argument, name, value)


# options that are left out of a model which comes from elsewhere
OF_TRAINING = ("learning_rate", "per_device_train_batch_size", "num_train_epochs", "validation_share", *BY_PATIENCE)


def describe(size: Size, defaults: dict[str, Any], goes_on: bool, *arguments: Any) -> str:
    """Return a line that says what is used and that all of it are options.

    Args:
        size (`Size`): How much there is to learn from.
        defaults (`dict`): What options are when they are left out.
        goes_on (`bool`): Whether the model comes from elsewhere, and with it what it is built of.
        arguments: Options.
    """
    told = {name: value for name, value in defaults.items() if not goes_on or name in OF_TRAINING}
    given = {name: getattr(a, name) for a in arguments for name in told if getattr(a, name, None) is not None}
    values = {**told, **given}
    listed = ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return f"{size.rows:,} rows: {listed}. Each is an option."
