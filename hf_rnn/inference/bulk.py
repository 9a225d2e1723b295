"""Take many texts apart: windows that fit into memory, and in them batches of similar length."""

from collections.abc import Iterable, Iterator

from ..tasks.decoding import Text

# rows, and characters, that are held at a time
WINDOW_ROWS, WINDOW_CHARACTERS = 8192, 2**22
# characters of a batch, padding included, and pieces of one where they are known: what a processor's cache holds a layer of
BATCH_CHARACTERS, BATCH_PIECES = 2**15, 2**14


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


def batches(sizes: list[int], batch_size: int, most: int = BATCH_CHARACTERS) -> Iterator[list[int]]:
    """Yield the indices of rows in batches of similar size, whose rows times the largest stay within `most`."""
    batch: list[int] = []
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        if batch and (len(batch) >= batch_size or (len(batch) + 1) * sizes[batch[0]] > most):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def size(text: Text) -> int:
    """Return the number of characters of a text, one more for each of its tokens."""
    return len(text) + 1 if isinstance(text, str) else sum(map(len, text)) + len(text) + 1
