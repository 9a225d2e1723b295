"""fastText (Joulin et al. 2017), the other baseline for texts: its settings chosen on rows held out. Needs the extra `fasttext`."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from .baselines import choose

# what its own search (`autotune`) is most about: words or characters, and how long
FEATURES: tuple[dict[str, int], ...] = ({"wordNgrams": 2}, {"minn": 2, "maxn": 5}, {"minn": 1, "maxn": 4})
SETTINGS: tuple[dict[str, Any], ...] = tuple(
    {**features, "epoch": epoch, "lr": rate} for features, epoch, rate in product(FEATURES, (5, 25), (0.2, 1.0))
)

# its own number of hashed n-grams; few rows fill a tenth of them at most, and filling them anew is what takes the time then
BUCKETS, MANY_ROWS = 2_000_000, 20_000


def classify_by_fasttext(texts: list[str], labels: list[str], others: list[str], path: str, seed: int) -> list[str]:
    """Return the labels that fastText, learnt from texts and their labels, gives other texts.

    Args:
        texts, labels (`list`): What it learns from.
        others (`list`): Texts to classify.
        path (`str`): File that it reads its rows from.
        seed (`int`): Of its draws; it runs in one thread, so that the answers are the same again.
    """

    def score(settings: Mapping[str, Any], train: list, train_labels: list, test: list, test_labels: list) -> float:
        answers = _answer(_fit(settings, train, train_labels, path, seed), test, sorted(set(train_labels)))
        return sum(map(str.__eq__, answers, test_labels)) / len(test)

    settings = choose(texts, labels, SETTINGS, score)
    return _answer(_fit(settings, texts, labels, path, seed), others, sorted(set(labels)))


def _fit(settings: Mapping[str, Any], texts: Sequence[str], labels: Sequence[str], path: str, seed: int) -> Any:
    # of the extra `fasttext`, which nothing else needs
    import fasttext

    # a name may hold what means something to it
    numbers = {label: index for index, label in enumerate(sorted(set(labels)))}
    lines = (f"__label__{numbers[label]} {_line(text)}\n" for text, label in zip(texts, labels, strict=True))
    Path(path).write_text("".join(lines), encoding="utf-8")
    buckets = BUCKETS if len(texts) >= MANY_ROWS else BUCKETS // 10
    return fasttext.train_supervised(path, thread=1, verbose=0, seed=seed, bucket=buckets, **settings)


def _answer(model: Any, texts: Sequence[str], names: Sequence[str]) -> list[str]:
    found = model.predict([_line(text) for text in texts])[0]
    # a text without a known word has no answer: the first label, as good as any
    return [names[int(labels[0].removeprefix("__label__")) if labels else 0] for labels in found]


def _line(text: str) -> str:
    return " ".join(text.split())
