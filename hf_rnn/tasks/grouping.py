"""From tags of tokens to spans of characters."""

from collections.abc import Sequence
from typing import Any

from ..models.tags import guess_scheme, spans_of_tags


def group_spans(
    text: str, offsets: Sequence[tuple[int, int]], tags: Sequence[str], scores: Sequence[float], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Turn tags into spans as pipelines give them.

    With labels of a BIO or BIOES scheme tokens of one entity make one span and "O" makes none; else every token is a span of its tag.

    Args:
        text (`str`): The text.
        offsets (`Sequence`): Start and end of each of W tokens in it, in characters, end excluded.
        tags (`Sequence`): W tags.
        scores (`Sequence`): W probabilities.
        labels (`Sequence`): All labels of the model, which tell the scheme.

    Returns:
        `list`: Dictionaries with `entity_group`, `score` (the mean of the tokens), `word` (the text between), `start` and `end`.
    """
    each = [(index, index + 1, tag) for index, tag in enumerate(tags)]
    spans = []
    for first, last, kind in spans_of_tags(tags) if guess_scheme(labels) else each:
        start, end = offsets[first][0], offsets[last - 1][1]
        score = sum(scores[first:last]) / (last - first)
        spans.append({"entity_group": kind, "score": score, "word": text[start:end], "start": start, "end": end})
    return spans
