"""More training sentences from those that there are."""

from typing import Any

import numpy as np
from datasets import Dataset, concatenate_datasets
from seqeval.metrics.sequence_labeling import get_entities

from .readers import DataError

# chance of a mention to be exchanged
EXCHANGED = 0.5


def replace_mentions(train: Any, token_column: str, tag_column: str, names: list[str] | None, copies: int, seed: int) -> Any:
    """Add copies of all sentences in which half of the mentions give way to random ones of the same kind from the whole split.

    "Mention replacement" of Dai and Adel (2020), section 3.

    Args:
        train (`Dataset`): Sentences; columns other than the two are copied as they are.
        token_column (`str`): Column of lists of tokens.
        tag_column (`str`): Column of lists of tags of spans.
        names (`list`, *optional*): Names of the tags, if they are numbers.
        copies (`int`): Copies of each sentence; 0 for none.
        seed (`int`): Seed of the draw.

    Returns:
        `Dataset`: The sentences and after them their copies.

    Raises:
        DataError: The split is a stream.
    """
    if not copies:
        return train
    if not isinstance(train, Dataset):
        raise DataError("`mention_replacement` needs all sentences at once, which a stream does not have. Leave --streaming or it out.")
    generator = np.random.default_rng(seed)
    rows = [(row[token_column], row[tag_column], _mentions(row[tag_column], names)) for row in train]
    mentions: dict[str, list[tuple[list, list]]] = {}
    for tokens, tags, found in rows:
        for kind, start, end in found:
            mentions.setdefault(kind, []).append((tokens[start:end], tags[start:end]))
    added = []
    for _ in range(copies):
        changed = [_exchange(*row, mentions, generator) for row in rows]
        columns = {token_column: [tokens for tokens, _ in changed], tag_column: [tags for _, tags in changed]}
        others = {name: train[name] for name in train.column_names if name not in columns}
        added.append(Dataset.from_dict({**others, **columns}, features=train.features))
    return concatenate_datasets([train, *added])


def _mentions(tags: list, names: list[str] | None) -> list[tuple[str, int, int]]:
    """Return kind, start and end of each mention."""
    return [(kind, start, last + 1) for kind, start, last in get_entities([names[tag] for tag in tags] if names else tags)]


def _exchange(tokens: list, tags: list, found: list, mentions: dict[str, list[tuple[list, list]]], generator: Any) -> tuple[list, list]:
    """Return tokens and tags of a sentence with about half of its mentions exchanged."""
    new_tokens, new_tags, done = [], [], 0
    for kind, start, end in found:
        chosen = (tokens[start:end], tags[start:end])
        if generator.random() < EXCHANGED:
            chosen = mentions[kind][generator.integers(len(mentions[kind]))]
        new_tokens += tokens[done:start] + chosen[0]
        new_tags += tags[done:start] + chosen[1]
        done = end
    return new_tokens + tokens[done:], new_tags + tags[done:]
