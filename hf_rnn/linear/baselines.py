"""What a model from scratch is measured against: linear models with hand-made features, fitted in seconds."""

import unicodedata
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer

from ..data.rows.spans import Span
from ..models.tags import bio_tags, spans_of_tags
from .convergence import TO_THE_END

# L2 penalties to choose from on a tenth of the rows
REGRESSION_PENALTIES = (1.0, 4.0, 16.0)
RIDGE_PENALTIES = (0.25, 0.5, 1.0, 2.0, 4.0)
FIELD_PENALTIES = (0.1, 1.0)
HELD_OUT = 0.1
# of naive Bayes
SMOOTHING = 0.3
# of the CRF over characters
CHARACTER_OPTIONS = {"c1": 0.05, "c2": 0.05, "max_iterations": 120}


Setting = TypeVar("Setting")


def choose(rows: Sequence[Any], labels: Sequence[Any], settings: Sequence[Setting], score: Callable[..., float]) -> Setting:
    """Return the setting that scores best on a tenth of the rows held out, such as a penalty."""
    order = np.random.default_rng(0).permutation(len(rows))
    held_out, kept = np.split(order, [max(1, round(HELD_OUT * len(rows)))])
    train, test = (([rows[i] for i in part], [labels[i] for i in part]) for part in (kept, held_out))
    return max(settings, key=lambda setting: score(setting, *train, *test))


def _ngrams() -> FeatureUnion:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=2)
    return FeatureUnion([("words", words), ("characters", characters)])


def _regression(penalty: float) -> Pipeline:
    return make_pipeline(_ngrams(), LogisticRegression(C=penalty, **TO_THE_END))


def classify_texts(texts: list[str], labels: list[str], others: list[str]) -> list[str]:
    """Return the labels that TF-IDF with logistic regression, learnt from texts and their labels, gives other texts."""

    def score(penalty: float, train: list, train_labels: list, test: list, test_labels: list) -> float:
        return float(_regression(penalty).fit(train, train_labels).score(test, test_labels))

    penalty = choose(texts, labels, REGRESSION_PENALTIES, score)
    return _regression(penalty).fit(texts, labels).predict(others).tolist()


def label_texts(texts: list[str], labels: list[list[str]], others: list[str]) -> list[list[str]]:
    """Return the labels that other texts have by TF-IDF with a logistic regression for each label, learnt from texts and theirs."""
    binarizer = MultiLabelBinarizer().fit(labels)

    def answer(penalty: float, train: list, train_labels: list, test: list) -> list[list[str]]:
        regressions = make_pipeline(_ngrams(), OneVsRestClassifier(LogisticRegression(C=penalty, **TO_THE_END)))
        with warnings.catch_warnings():
            # labels that all rows have, or none, which are answered so
            warnings.filterwarnings("ignore", "Label .* is present in all training examples", UserWarning)
            found = regressions.fit(train, binarizer.transform(train_labels)).predict(test)
        return [list(row) for row in binarizer.inverse_transform(found)]

    def score(penalty: float, train: list, train_labels: list, test: list, test_labels: list) -> float:
        return micro_f1(test_labels, answer(penalty, train, train_labels, test))

    return answer(choose(texts, labels, REGRESSION_PENALTIES, score), texts, labels, others)


def micro_f1(references: Sequence[Sequence[str]], answers: Sequence[Sequence[str]]) -> float:
    """Return the harmonic mean of precision and recall over all labels of all rows; 0 where there are none."""
    hits = sum(len({*wanted} & {*found}) for wanted, found in zip(references, answers, strict=True))
    return 2 * hits / max(sum(map(len, references)) + sum(map(len, answers)), 1)


def rate_texts(texts: list[str], numbers: list[float], others: list[str]) -> list[float]:
    """Return the numbers of other texts by TF-IDF with ridge regression, learnt from texts and theirs."""

    def fit(penalty: float, train: list, train_numbers: list) -> Pipeline:
        return make_pipeline(_ngrams(), Ridge(alpha=penalty)).fit(train, train_numbers)

    def score(penalty: float, train: list, train_numbers: list, test: list, test_numbers: list) -> float:
        return -float(np.square(fit(penalty, train, train_numbers).predict(test) - test_numbers).mean())

    return fit(choose(texts, numbers, RIDGE_PENALTIES, score), texts, numbers).predict(others).tolist()


def fit_texts(texts: Sequence[str], labels: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities (N, C) of other texts, and the C labels, by two models of n-grams that err on different rows.

    These are logistic regression and naive Bayes over TF-IDF (Rennie et al. 2003); what counts is the geometric mean of both.
    """
    ngrams = _ngrams()
    design, asked = ngrams.fit_transform(texts), ngrams.transform(others)
    models = [LogisticRegression(C=1.0, **TO_THE_END), MultinomialNB(alpha=SMOOTHING)]
    probabilities = softmax(np.mean([model.fit(design, labels).predict_log_proba(asked) for model in models], axis=0), axis=1)
    return probabilities, models[0].classes_


def _shape(word: str) -> str:
    """Return a word with X for capitals, x for other letters and 9 for digits."""
    return "".join("X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word)


def _own_features(word: str) -> list[str]:
    """Return the features of a word by itself."""
    lower = word.lower()
    parts = [f"{name}{size}={part}" for size in range(1, 5) for name, part in (("prefix", lower[:size]), ("suffix", lower[-size:]))]
    return [f"word={lower}", f"shape={_shape(word)}", *parts, *(["digit"] if any(c.isdigit() for c in word) else [])]


def sentence_features(words: list[str]) -> list[list[str]]:
    """Return the features of each word: its own, and its neighbours', up to two words away."""
    features = []
    for index, word in enumerate(words):
        row = ["bias", *_own_features(word)]
        for offset in (-2, -1, 1, 2):
            place = index + offset
            row.append(f"{offset}:word={words[place].lower()}" if 0 <= place < len(words) else f"{offset}:none")
        for offset in (-1, 1):
            if 0 <= index + offset < len(words):
                other = words[index + offset]
                row += [f"{offset}:shape={_shape(other)}", f"{offset}:suffix={other.lower()[-3:]}"]
        features.append(row)
    return features


def unit_features(units: Sequence[str]) -> list[list[str]]:
    """Return the features of each unit of raw text: those of a word by itself, and those of its neighbours as of characters."""
    return [[*_own_features(unit), *around] for unit, around in zip(units, character_features(units), strict=True)]


def _fit_field(sentences: list[list[list[str]]], tags: list[list[str]], path: str, **options: float) -> Any:
    """Return a tagger of a linear-chain CRF (Lafferty et al. 2001), trained by L-BFGS with options of CRFsuite."""
    # of the extra `baselines`, which nothing else needs
    import pycrfsuite

    trainer = pycrfsuite.Trainer(verbose=False)
    for features, names in zip(sentences, tags, strict=True):
        trainer.append(features, names)
    trainer.set_params({"max_iterations": 100, "feature.possible_transitions": True, **options})
    trainer.train(path)
    tagger = pycrfsuite.Tagger()
    tagger.open(path)
    return tagger


def tag_sentences(
    sentences: list[list[str]], tags: list[list[str]], others: list[list[str]], score: Callable[[list, list], float], path: str
) -> list[list[str]]:
    """Return the tags that a linear-chain CRF with hand-made features, learnt from sentences and their tags, gives other sentences.

    Args:
        sentences (`list`): Words.
        tags (`list`): Their tags.
        others (`list`): Sentences to tag.
        score (`Callable`): What chooses the penalty, from references and predictions.
        path (`str`): File for the CRF.
    """
    rows = [sentence_features(words) for words in sentences]

    def judge(penalty: float, train: list, train_tags: list, test: list, test_tags: list) -> float:
        field = _fit_field(train, train_tags, path, c1=0.0, c2=penalty)
        return score(test_tags, [field.tag(features) for features in test])

    penalty = choose(rows, tags, FIELD_PENALTIES, judge)
    field = _fit_field(rows, tags, path, c1=0.0, c2=penalty)
    return [field.tag(sentence_features(words)) for words in others]


def _kind(unit: str) -> str:
    """Return the script of a letter, as its name begins, or the category of another character; of several those of the first."""
    character = unit[0]
    category = unicodedata.category(character)
    return unicodedata.name(character, category).split(" ")[0] if category[0] == "L" else category


def character_features(text: Sequence[str]) -> list[list[str]]:
    """Return the features of each character or unit: itself, those up to two away and their kinds; pairs of neighbours, and a triple."""
    letters = ["", "", *text, "", ""]
    kinds = [_kind(letter) if letter else "" for letter in letters]
    features = []
    for index in range(len(text)):
        row = ["bias"]
        for name, values in (("character", letters[index : index + 5]), ("kind", kinds[index : index + 5])):
            row += [f"{place}:{name}={value}" for place, value in enumerate(values)]
            row += [f"{place}:{name}s={first} {second}" for place, (first, second) in enumerate(pairwise(values))]
        features.append([*row, "triple=" + "".join(letters[index + 1 : index + 4])])
    return features


def label_spans(texts: list[str], spans: list[list[Span]], others: list[str], path: str) -> list[list[Span]]:
    """Return the spans that a linear-chain CRF over characters, learnt from texts and their spans, finds in other texts.

    Args:
        texts (`list`): Raw texts.
        spans (`list`): Start, end and label of the spans of each, none of which overlap.
        others (`list`): Texts to read.
        path (`str`): File for the CRF.
    """
    tags = []
    for text, found in zip(texts, spans, strict=True):
        row = ["O"] * len(text)
        for start, end, label in found:
            row[start:end] = bio_tags(label, end - start)
        tags.append(row)
    field = _fit_field([character_features(text) for text in texts], tags, path, **CHARACTER_OPTIONS)
    return [spans_of_tags(field.tag(character_features(text))) for text in others]
