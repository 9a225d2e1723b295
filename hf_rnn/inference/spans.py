"""From tags of tokens to spans of characters."""

from collections.abc import Sequence
from typing import Any

from ..models.tags import can_follow, guess_scheme, split_tag


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
    scheme = guess_scheme(labels)
    groups: list[list[int]] = []
    for index, tag in enumerate(tags):
        if scheme and split_tag(tag)[0] == "O":
            continue
        continues = scheme and split_tag(tag)[0] in ("I", "E") and groups and groups[-1][-1] == index - 1
        if continues and can_follow(tags[index - 1], tag, scheme or ""):
            groups[-1].append(index)
        else:
            groups.append([index])
    spans = []
    for group in groups:
        start, end = offsets[group[0]][0], offsets[group[-1]][1]
        kind = split_tag(tags[group[0]])[1] if scheme else tags[group[0]]
        score = sum(scores[index] for index in group) / len(group)
        spans.append({"entity_group": kind, "score": score, "word": text[start:end], "start": start, "end": end})
    return spans
