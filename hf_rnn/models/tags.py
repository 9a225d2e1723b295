"""Tag schemes for spans: which tag may follow which (BIO, BIOES), and the spans that a sequence of tags describes."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

SCHEMES = {"bio": "BIO", "bioes": "BIOES"}


def split_tag(tag: str) -> tuple[str, str]:
    """Split "B-PER" into ("B", "PER") and "O" into ("O", "")."""
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def check_scheme(labels: Sequence[str], scheme: str) -> None:
    """Raise a ValueError that names the first label which is not of the scheme."""
    if scheme not in SCHEMES:
        raise ValueError(f"The tag scheme must be one of {tuple(SCHEMES)}, got {scheme!r}.")
    for label in labels:
        prefix, kind = split_tag(label)
        if prefix not in SCHEMES[scheme] or len(prefix) != 1 or (prefix == "O") != (kind == ""):
            raise ValueError(
                f"Label {label!r} is not of the {scheme.upper()} scheme: it must be 'O' or one of {list(SCHEMES[scheme].replace('O', ''))} "
                "followed by '-' and a type. Rename the label or leave --crf_constraints out."
            )


def can_start(tag: str) -> bool:
    """Return whether a sequence may start with the tag."""
    return split_tag(tag)[0] in ("O", "B", "S")


def can_end(tag: str, scheme: str) -> bool:
    """Return whether a sequence may end with the tag."""
    return scheme == "bio" or split_tag(tag)[0] in ("O", "E", "S")


def can_follow(before: str, after: str, scheme: str) -> bool:
    """Return whether one tag may follow another."""
    (before_prefix, before_kind), (after_prefix, after_kind) = split_tag(before), split_tag(after)
    continues = after_prefix in ("I", "E")
    if continues and (before_prefix not in ("B", "I") or before_kind != after_kind):
        return False
    return not (scheme == "bioes" and before_prefix in ("B", "I") and not continues)


def forbidden_moves(labels: Sequence[str], scheme: str) -> tuple[list[bool], list[bool], list[list[bool]]]:
    """Return which labels may not start a sequence (C), may not end one (C) and may not follow which (C x C, from row to column).

    Raises:
        ValueError: A label is not of the scheme.
    """
    check_scheme(labels, scheme)
    start = [not can_start(label) for label in labels]
    end = [not can_end(label, scheme) for label in labels]
    return start, end, [[not can_follow(before, after, scheme) for after in labels] for before in labels]


def first_violation(tags: Sequence[str], scheme: str) -> int | None:
    """Return the index of the first tag that breaks the scheme in a sequence, or None.

    A tag that breaks the scheme only because the sequence ends after it has the last index.
    """
    for index, tag in enumerate(tags):
        if not (can_start(tag) if index == 0 else can_follow(tags[index - 1], tag, scheme)):
            return index
    if tags and not can_end(tags[-1], scheme):
        return len(tags) - 1
    return None


def guess_scheme(labels: Sequence[str]) -> str | None:
    """Return "bio" or "bioes" if every label is of that scheme and at least one begins a span, else None."""
    return _guess_scheme(tuple(labels))


# asked of the same labels for every sentence
@lru_cache
def _guess_scheme(labels: tuple[str, ...]) -> str | None:
    if not any(split_tag(label)[0] in ("B", "S") and split_tag(label)[1] for label in labels):
        return None
    for scheme in SCHEMES:
        try:
            check_scheme(labels, scheme)
        except ValueError:
            continue
        return scheme
    return None


def spans_of_tags(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return the first tag, the one after the last, and the type of each span that BIO or BIOES tags describe; see `spans_of_parts`."""
    return spans_of_parts(map(split_tag, tags))


def spans_of_parts(parts: Iterable[tuple[str, str]]) -> list[tuple[int, int, str]]:
    """Return the first tag, the one after the last, and the type of each span, from the letters and the types of tags.

    A span goes on at I and E after B or I of its own type; whatever else is not O begins one, so that tags which break the scheme
    describe the spans that conlleval and seqeval count.
    """
    spans: list[tuple[int, int, str]] = []
    before = ("O", "")
    for index, (prefix, kind) in enumerate(parts):
        if prefix in ("I", "E") and before in (("B", kind), ("I", kind)):
            spans[-1] = (spans[-1][0], index + 1, kind)
        elif prefix != "O":
            spans.append((index, index + 1, kind))
        before = (prefix, kind)
    return spans


def bio_tags(kind: str, count: int) -> list[str]:
    """Return the BIO tags of a span of `count` words, at least one."""
    return [f"B-{kind}", *[f"I-{kind}"] * (count - 1)]
