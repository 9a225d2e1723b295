"""Answer many texts: rows of similar length together, in their order, in bounded memory."""

from collections.abc import Iterable, Iterator
from typing import Any

from .predicting import Predictor, Text

# rows, and characters, that are held at a time
WINDOW_ROWS, WINDOW_CHARACTERS = 8192, 2**22
# characters of a batch, padding included: a token has one at least
BATCH_CHARACTERS = 2**15


def windows(texts: Iterable[Text]) -> Iterator[list[Text]]:
    """Yield the texts in windows that fit into memory; where they end depends on the texts alone."""
    window: list[Text] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += size(text)
        if len(window) >= WINDOW_ROWS or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def answer_window(predictor: Predictor, texts: list[Text], batch_size: int = 256) -> list[dict[str, Any]]:
    """Answer texts in their order, those of similar length together.

    Args:
        predictor (`Predictor`): Answers them.
        texts (`list`): Texts or lists of tokens.
        batch_size (`int`): Texts at a time, at most; long ones are fewer.
    """
    answers: list[dict[str, Any]] = [{}] * len(texts)
    for rows in batches([size(text) for text in texts], batch_size):
        for row, answer in zip(rows, predictor.predict([texts[row] for row in rows], len(rows)), strict=True):
            answers[row] = answer
    return answers


def batches(sizes: list[int], batch_size: int) -> Iterator[list[int]]:
    """Yield the indices of rows in batches of similar size, whose rows times the largest stay within `BATCH_CHARACTERS`."""
    batch: list[int] = []
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        if batch and (len(batch) >= batch_size or (len(batch) + 1) * sizes[batch[0]] > BATCH_CHARACTERS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def size(text: Text) -> int:
    """Return the number of characters of a text, one more for each of its tokens."""
    return len(text) + 1 if isinstance(text, str) else sum(map(len, text)) + len(text) + 1
