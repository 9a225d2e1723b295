"""What is wrong with labelled texts: labels that are likely errors, texts that stand twice, and classes that are taken for each other."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers.utils import logging

from ..data.files.locations import Places
from ..data.files.readers import DataError
from ..data.files.reading import ReadingOptions
from ..data.files.rows import TEXT_COLUMNS
from ..data.rows.label_columns import read_labels
from ..data.rows.labels import labelled_texts
from ..data.rows.splits import LABEL_COLUMNS, choose_column, load_splits
from ..linear.baselines import out_of_fold

logger = logging.get_logger(__name__)

# of texts that are nearly the same: the least cosine of their n-grams, and the most texts that are all compared with each other
NEAR, MOST_COMPARED, BLOCK = 0.9, 20_000, 500
CONFUSED_PAIRS = 10


@dataclass(frozen=True)
class Row:
    """A labelled text and where it stands in its file."""

    split: str
    where: str
    text: str
    label: str


@dataclass(frozen=True)
class WrongLabel:
    """A row whose label is likely an error.

    Attributes:
        row (`Row`): The row.
        suggested (`str`): The label that a model which has not seen the row gives it.
        score (`float`): What that model gives the label that the row has; the less, the likelier an error.
    """

    row: Row
    suggested: str
    score: float


@dataclass(frozen=True)
class Twins:
    """Two rows whose texts are the same, but for case, punctuation and a few letters."""

    first: Row
    second: Row
    similarity: float

    @property
    def kind(self) -> str:
        """Return what is wrong with them."""
        return "other label" if self.first.label != self.second.label else "both splits"


@dataclass(frozen=True)
class Findings:
    """What `check_rows` finds.

    Attributes:
        counts (`dict`): Rows by split.
        accuracy (`float`): Share of the training rows whose label a model of the others gives them.
        wrong_labels (`list`): The likeliest errors first.
        twins (`list`): Pairs with different labels, and pairs across splits.
        confused (`list`): (label, the label that is answered in its place, how often, of how many), the most frequent first.
        unjudged (`dict`): Labels of too few rows to say anything of, with their numbers.
    """

    counts: dict[str, int]
    accuracy: float
    wrong_labels: list[WrongLabel]
    twins: list[Twins]
    confused: list[tuple[str, str, int, int]]
    unjudged: dict[str, int]


def check_rows(files: Mapping[str, str], reading: ReadingOptions, folds: int = 5, seed: int = 42) -> Findings:
    """Look for errors in labelled texts.

    Labels of training rows are judged by confident learning (Northcutt et al. 2021, section 3). A logistic regression of n-grams, fitted on
    the other folds, gives each row probabilities; a row is taken for an error where another label has more than its own, and at least the
    mean of the rows that have that label. Such rows are ordered by the probability of their own label.

    Args:
        files (`Mapping`): "train", and "validation" and "test" if they are to be compared with it.
        reading (`ReadingOptions`): How they are read.
        folds (`int`): Parts of the training rows, each judged by a model of the others.
        seed (`int`): Seed of the draw of the folds.

    Raises:
        DataError: A row has no text or not one label, or there are fewer than two labels with as many rows as folds.
    """
    rows = [row for split in files for row in read_texts(files, split, reading)]
    train = [row for row in rows if row.split == "train"]
    sizes = Counter(row.label for row in train)
    judged = [row for row in train if sizes[row.label] >= folds]
    labels = sorted({row.label for row in judged})
    if len(labels) < 2:
        few = ", ".join(f"{label!r} {count}" for label, count in list(sizes.items())[:10])
        raise DataError(
            f"{files['train']}: labels are judged where two have {folds} rows or more each, got {few}. Is this the --label_column_name?"
        )
    # (N, C)
    probabilities = out_of_fold([row.text for row in judged], [row.label for row in judged], folds, seed)
    given = np.array([labels.index(row.label) for row in judged])
    answers = probabilities.argmax(1)
    counted = Counter(zip(given.tolist(), answers.tolist(), strict=True))
    confused = [(labels[a], labels[b], count, sizes[labels[a]]) for (a, b), count in counted.most_common() if a != b][:CONFUSED_PAIRS]
    own = probabilities[np.arange(len(given)), given]
    wrong = [WrongLabel(judged[i], labels[answers[i]], float(own[i])) for i in likely_errors(probabilities, given)]
    unjudged = {label: count for label, count in sizes.items() if count < folds}
    return Findings(dict(Counter(row.split for row in rows)), float((answers == given).mean()), wrong, find_twins(rows), confused, unjudged)


def read_texts(files: Mapping[str, str], split: str, reading: ReadingOptions) -> list[Row]:
    """Return the rows of a split, each with its place in the file."""
    places = Places({split: files[split]}, reading)
    with places.named():
        splits = load_splits(files={split: files[split]}, reading=reading)
        text_column = choose_column(splits[split], split, reading.text_column, TEXT_COLUMNS, "text_column_name")
        label_column = choose_column(splits[split], split, reading.label_column, LABEL_COLUMNS, "label_column_name")
        rows = read_labels(splits, label_column, "single_label_classification", reading, places=places)[split]
        found = labelled_texts(rows, split, text_column, label_column, has_tags=False)
        wheres = places.of_rows(split, range(len(found)))
    return [Row(split, where, text, str(label)) for where, (text, label) in zip(wheres, found, strict=True)]


def likely_errors(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the rows whose label is likely an error, the likeliest first.

    Args:
        probabilities (`np.ndarray`): Of the classes, by a model that has not seen the row, (N, C).
        given (`np.ndarray`): The class of each row, (N,); every class has some.
    """
    thresholds = np.array([probabilities[given == label, label].mean() for label in range(probabilities.shape[1])])
    own = probabilities[np.arange(len(given)), given]
    best = probabilities.argmax(1)
    is_sure = probabilities[np.arange(len(given)), best] >= thresholds[best]
    found = np.flatnonzero((best != given) & is_sure)
    return found[np.argsort(own[found], kind="stable")]


def find_twins(rows: Sequence[Row]) -> list[Twins]:
    """Return the pairs of rows with the same text that have different labels or are of different splits, the same texts first."""
    alike = defaultdict(list)
    for index, row in enumerate(rows):
        alike[_essence(row.text)].append(index)
    # a text that stands a hundred times is told by a chain of its pairs
    pairs = [(a, b, 1.0) for group in alike.values() for a, b in _telling(group, rows)]
    firsts = [group[0] for group in alike.values()]
    if len(firsts) > MOST_COMPARED:
        logger.warning(f"Of {len(firsts):,} texts only those that are the same but for case and punctuation are compared.")
    else:
        pairs += [(firsts[a], firsts[b], cosine) for a, b, cosine in _near(list(alike))]
    twins = [Twins(rows[a], rows[b], cosine) for a, b, cosine in pairs]
    told = (each for each in twins if each.kind == "other label" or each.first.split != each.second.split)
    return sorted(told, key=lambda each: (each.kind != "other label", -each.similarity))


def _essence(text: str) -> str:
    """Return the letters and digits of a text, without case."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())) or text


def _telling(group: Sequence[int], rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Return one pair for each two different (split, label) of rows with the same text."""
    kinds: dict[tuple[str, str], int] = {}
    for index in group:
        kinds.setdefault((rows[index].split, rows[index].label), index)
    return combinations(kinds.values(), 2)


def _near(texts: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Return the pairs of texts whose n-grams have a cosine of at least NEAR, each pair once."""
    try:
        design = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), binary=True, dtype=np.float32).fit_transform(texts)
    except ValueError:
        # not one n-gram in all texts
        return
    transposed = design.T.tocsr()
    for start in range(0, len(texts), BLOCK):
        cosines = (design[start : start + BLOCK] @ transposed).tocoo()
        for a, b, cosine in zip(cosines.row + start, cosines.col, cosines.data, strict=True):
            if a < b and cosine >= NEAR:
                yield int(a), int(b), float(cosine)
