"""What is wrong with labelled rows: likely errors in labels, tags and spans, texts that stand twice or are too long, confused classes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.files.readers import DataError
from ..data.files.reading import ReadingOptions
from ..data.rows.folds import draw_folds, essence
from ..data.rows.spans import Span
from ..linear.baselines import sentence_features, unit_features
from ..linear.out_of_fold import tag_probabilities, text_probabilities
from ..models.tags import split_tag
from ..tasks.text_classification import MAX_LENGTH
from .checked_rows import CheckedRows, Row, describe_spans, read_checked, spans_of_row
from .kept_answers import KeptAnswers
from .twins import Twins, find_twins

CONFUSED_PAIRS = 10
# what is judged, by the kind of rows
JUDGED = {"label": "rows", "tags": "tokens", "spans": "units"}


@dataclass(frozen=True)
class WrongLabel:
    """A row whose label is likely an error, or a place in it whose tag or spans are.

    Attributes:
        row (`Row`): The row.
        given (`str`): Its label, or the tag or the spans of the place.
        suggested (`str`): What a model that has not seen the row gives it.
        score (`float`): What that model gives `given`, where it gives it least; the less, the likelier an error.
        place (`str`): Where in the text, of a tag or of spans.
        is_likely (`bool`): Whether that model is as sure of what it suggests as of rows that have it.
    """

    row: Row
    given: str
    suggested: str
    score: float
    place: str = ""
    is_likely: bool = True


@dataclass(frozen=True)
class Findings:
    """What `check_rows` finds.

    Attributes:
        kind (`str`): "label", "tags" or "spans".
        counts (`dict`): Rows by split.
        judged (`int`): Labels of training rows, tags of their tokens or of their units, that were judged.
        accuracy (`float`): Share of those that a model of the other rows gives too.
        wrong_labels (`list`): All that the model answers otherwise, what it gives least first.
        twins (`list`): Pairs with different labels, and pairs across splits.
        confused (`list`): (label, the label that is answered in its place, how often, of how many), the most frequent first.
        unjudged (`dict`): Labels of too few texts to say anything of, with the numbers of those.
        too_long (`list`): Rows with a label whose text has more words than a classifier reads tokens, the longest first, with the number.
    """

    kind: str
    counts: dict[str, int]
    judged: int
    accuracy: float
    wrong_labels: list[WrongLabel]
    twins: list[Twins]
    confused: list[tuple[str, str, int, int]]
    unjudged: dict[str, int]
    too_long: list[tuple[Row, int]]


def check_rows(
    files: Mapping[str, str], reading: ReadingOptions, folds: int = 5, seed: int = 42, answers: KeptAnswers | None = None
) -> Findings:
    """Look for errors in labelled texts, sentences with tags, or texts with spans.

    What training rows say is judged by confident learning (Northcutt et al. 2021, section 3). Linear models of the other folds give each
    row, or each token, probabilities; it is likely an error where another class has more than its own, and at least the mean of the
    rows that have that class. Rows to which the models give another class are ordered by the probability of their own; of tokens the
    least one of a place counts (Wang and Mueller 2022).

    Args:
        files (`Mapping`): "train", and "validation" and "test" if they are to be compared with it.
        reading (`ReadingOptions`): How they are read.
        folds (`int`): Parts of the training rows, each judged by a model of the others.
        seed (`int`): Seed of the draw of the folds.
        answers (`KeptAnswers`, *optional*): Those of a training with folds, whose probabilities and the linear ones meet in their
            geometric mean; of texts with spans they are not used.

    Raises:
        DataError: A row has no text or not one label, or there are fewer than two labels with as many texts as folds.
    """
    checked = read_checked(files, reading)
    judge = _judge_labels if checked.kind == "label" else _judge_tags
    judged = judge(checked, files["train"], folds, seed, answers)
    counts = Counter(row.split for row in checked.rows)
    confused = judged.confused()
    return Findings(
        checked.kind,
        dict(counts),
        len(judged.given),
        judged.accuracy,
        judged.wrong_labels,
        find_twins(checked.rows),
        confused,
        judged.unjudged,
        find_too_long(checked.rows) if checked.kind == "label" else [],
    )


def find_too_long(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Return the rows whose texts a classifier cuts whatever its tokenizer, as every word is a token at least, and their words."""
    counts = ((row, len(row.text.split())) for row in rows)
    return sorted((each for each in counts if each[1] > MAX_LENGTH), key=lambda each: -each[1])


@dataclass(frozen=True)
class _Judged:
    """What models of the other folds make of rows or of tokens.

    Attributes:
        names (`list`): Classes that may be confused.
        given, answers (`np.ndarray`): Those of the data and those that are answered, (N,).
    """

    names: list[str]
    given: np.ndarray
    answers: np.ndarray
    accuracy: float
    wrong_labels: list[WrongLabel]
    unjudged: dict[str, int]

    def confused(self) -> list[tuple[str, str, int, int]]:
        """Return the classes that are taken for each other most often."""
        sizes = np.bincount(self.given, minlength=len(self.names))
        counted = Counter(zip(self.given.tolist(), self.answers.tolist(), strict=True))
        pairs = [(self.names[a], self.names[b], count, int(sizes[a])) for (a, b), count in counted.most_common() if a != b]
        return pairs[:CONFUSED_PAIRS]


def _judge_labels(checked: CheckedRows, path: str, folds: int, seed: int, kept: KeptAnswers | None) -> _Judged:
    """Judge the labels of the training rows."""
    train = checked.of_train
    # the same text in another fold would be no other text
    texts = dict.fromkeys((essence(row.text), row.label) for row in train)
    sizes = Counter(label for _, label in texts)
    judged = [row for row in train if sizes[row.label] >= folds]
    labels = sorted({row.label for row in judged})
    if len(labels) < 2:
        few = ", ".join(f"{label!r} {count}" for label, count in list(sizes.items())[:10])
        raise DataError(
            f"{path}: labels are judged where two have {folds} different texts or more each, got {few}. Is this the --label_column_name?"
        )
    names = [row.label for row in judged]
    drawn = draw_folds([row.text for row in judged], names, folds, seed)
    # (N, C)
    probabilities = text_probabilities([row.text for row in judged], names, drawn)
    if kept is not None:
        probabilities = kept.mix_labels(probabilities, [row.text for row in judged], labels)
    given = np.array([labels.index(name) for name in names])
    answers = probabilities.argmax(1)
    own = probabilities[np.arange(len(given)), given]
    likely = {*likely_errors(probabilities, given).tolist()}
    others = [row for row in np.argsort(own, kind="stable").tolist() if answers[row] != given[row]]
    wrong = [WrongLabel(judged[i], names[i], labels[answers[i]], float(own[i]), is_likely=i in likely) for i in others]
    unjudged = {label: count for label, count in sizes.items() if count < folds}
    return _Judged(labels, given, answers, float((answers == given).mean()), wrong, unjudged)


def _judge_tags(checked: CheckedRows, path: str, folds: int, seed: int, kept: KeptAnswers | None) -> _Judged:
    """Judge the tags of the tokens of the training rows, or of the units of raw text."""
    train = [row for row in checked.of_train if row.units]
    tags = sorted({tag for row in train for tag in row.tags})
    texts = [row.text for row in train]
    if len({*map(essence, texts)}) < folds or len(tags) < 2:
        raise DataError(
            f"{path}: tags are judged where {folds} sentences or more have two of them, got {len(train)} with {tags[:10]}. Add rows."
        )
    ids = {tag: index for index, tag in enumerate(tags)}
    rows = [[ids[tag] for tag in row.tags] for row in train]
    describe = unit_features if checked.is_raw else sentence_features
    described = (describe([row.text[start:end] for start, end in row.units]) for row in train)
    drawn = draw_folds(texts, None, folds, seed)
    has_spans = checked.kind == "spans"
    probabilities = tag_probabilities(described, rows, len(tags), drawn, has_chain=has_spans)
    if kept is not None and not checked.is_raw:
        probabilities = kept.mix_tags(probabilities, train, tags)
    given, pooled = np.concatenate(rows), np.concatenate(probabilities)
    answers = pooled.argmax(1)
    is_likely: np.ndarray = np.zeros(len(given), dtype=bool)
    is_likely[likely_errors(pooled, given)] = True
    own = pooled[np.arange(len(given)), given]
    ends = np.cumsum([len(row) for row in rows])[:-1]
    wrong = []
    for row, *parts in zip(train, *(np.split(values, ends) for values in (answers, is_likely, own)), strict=True):
        found = [tags[answer] for answer in parts[0]]
        wrong += (_wrong_spans if has_spans else _wrong_tags)(row, found, *parts[1:])
    wrong.sort(key=lambda each: each.score)
    accuracy = float((answers == given).mean())
    if not has_spans:
        return _Judged(tags, given, answers, accuracy, wrong, {})
    kinds = [split_tag(tag)[1] or "O" for tag in tags]
    names = sorted({*kinds})
    # (C,)
    kind_of = np.array([names.index(kind) for kind in kinds])
    return _Judged(names, kind_of[given], kind_of[answers], accuracy, wrong, {})


def _wrong_tags(row: Row, answers: Sequence[str], is_likely: np.ndarray, own: np.ndarray) -> list[WrongLabel]:
    """Return the tokens of a row that are answered otherwise."""
    found = []
    for index, ((start, end), tag, answer) in enumerate(zip(row.units, row.tags, answers, strict=True)):
        if tag != answer:
            place = f"token {index + 1}: {row.text[start:end]}"
            found.append(WrongLabel(row, tag, answer, float(own[index]), place, bool(is_likely[index])))
    return found


def _wrong_spans(row: Row, answers: Sequence[str], is_likely: np.ndarray, own: np.ndarray) -> list[WrongLabel]:
    """Return the places of a row whose spans are answered otherwise: given and suggested ones that overlap are one place."""
    given, suggested = (spans_of_row(row, tags) for tags in (row.tags, answers))
    found = []
    for start, end in _joined([*given, *suggested]):
        inside = [index for index, unit in enumerate(row.units) if start <= unit[0] and unit[1] <= end]
        parts = [[span for span in spans if start <= span[0] and span[1] <= end] for spans in (given, suggested)]
        if parts[0] != parts[1]:
            least, place = float(own[inside].min()), f"characters {start} to {end}: {row.text[start:end]}"
            told = [describe_spans(row.text, part) for part in parts]
            found.append(WrongLabel(row, told[0], told[1], least, place, bool(is_likely[inside].any())))
    return found


def _joined(spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Return where spans that overlap begin and end together."""
    places: list[tuple[int, int]] = []
    for start, end, _ in sorted(spans):
        if places and start < places[-1][1]:
            places[-1] = (places[-1][0], max(end, places[-1][1]))
        else:
            places.append((start, end))
    return places


def likely_errors(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the rows whose label is likely an error, the likeliest first.

    Args:
        probabilities (`np.ndarray`): Of the classes, by a model that has not seen the row, (N, C).
        given (`np.ndarray`): The class of each row, (N,).
    """
    own = probabilities[np.arange(len(given)), given]
    sizes = np.bincount(given, minlength=probabilities.shape[1])
    sums = np.bincount(given, weights=own, minlength=probabilities.shape[1])
    # of a class that no row has nobody is sure
    thresholds = np.where(sizes > 0, sums / np.maximum(sizes, 1), np.inf)
    best = probabilities.argmax(1)
    is_sure = probabilities[np.arange(len(given)), best] >= thresholds[best]
    found = np.flatnonzero((best != given) & is_sure)
    return found[np.argsort(own[found], kind="stable")]
