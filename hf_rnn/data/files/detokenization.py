"""Where tokens stand in the text that they were cut from."""

from collections.abc import Iterable, Sequence


def join_tokens(tokens: Sequence[str], text: str | None = None) -> tuple[str, list[list[int]]]:
    """Return the text that tokens were cut from and the place of each, or the tokens joined by spaces if `text` does not hold them."""
    if text is not None and (offsets := find_tokens(tokens, text)) is not None:
        return text, offsets
    joined = " ".join(tokens)
    place, offsets = 0, []
    for token in tokens:
        offsets.append([place, place + len(token)])
        place += len(token) + 1
    return joined, offsets


def find_tokens(tokens: Iterable[str], text: str) -> list[list[int]] | None:
    """Return the start and end of tokens that make up a text but for white space, or None if they do not."""
    place, offsets = 0, []
    for token in tokens:
        while place < len(text) and text[place].isspace() and not text.startswith(token, place):
            place += 1
        if not text.startswith(token, place):
            return None
        offsets.append([place, place + len(token)])
        place += len(token)
    return None if text[place:].strip() else offsets


def place_words(text: str | None, lines: Sequence[Sequence[str]]) -> tuple[str, list[list[int]]]:
    """Return the text of a CoNLL-U sentence and the start and end of each of its words in it.

    Without a text, or with one that its tokens do not make up, they are joined as `SpaceAfter=No` says. Words of a multi-word token
    get their parts of it if they make it up ("don't" of "do" and "n't"), else all of them the whole ("du" of "de" and "le").

    Args:
        text (`str`, *optional*): What `# text` says.
        lines (`Sequence`): Columns of its words and of the ranges of multi-word tokens.
    """
    covered = 0
    tokens: list[tuple[str, list[str], str]] = []
    for number, form, *rest in lines:
        first, _, last = number.partition("-")
        if last:
            tokens.append((form, [], rest[-1]))
            covered = int(last)
        elif int(first) <= covered:
            tokens[-1][1].append(form)
        else:
            tokens.append((form, [form], rest[-1]))
    forms = [form for form, _, _ in tokens]
    offsets = find_tokens(forms, text) if text is not None else None
    if text is None or offsets is None:
        text = "".join(form + ("" if "SpaceAfter=No" in misc.split("|") else " ") for form, _, misc in tokens).rstrip()
        offsets = find_tokens(forms, text) or join_tokens(forms)[1]
    placed: list[list[int]] = []
    for (form, words, _), (begin, end) in zip(tokens, offsets, strict=True):
        parts = find_tokens(words, form) if len(words) > 1 else None
        placed += [[begin + a, begin + b] for a, b in parts] if parts else [[begin, end]] * len(words)
    return text, placed
