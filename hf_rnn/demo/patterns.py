"""Regular expressions of tokenizers as JavaScript reads them."""

from collections.abc import Iterator

import regex

# classes that JavaScript has by the same name; others are scripts there
CATEGORIES = ("L", "M", "N")
# what else folds to a letter
FOLDED = {"k": "\u212a", "s": "\u017f", "å": "\u212b"}
SYNTAX = r"^$\.*+?()[]{}|/"
PART = regex.compile(r"\\p\{(?P<kind>\w+)\}|\\u[0-9a-f]{4}|\\(?P<escaped>.)|(?P<open>\((?:\?(?:i:|:|=|!|<=|<!))?)|.", regex.DOTALL)


def to_javascript(pattern: str) -> str:
    r"""Return a pattern for JavaScript's flag `u`, given one of `Cuts.pattern` or of the normalizers beside it.

    `\X`, which JavaScript lacks, becomes a group `x0`, `x1`, ... of one character, for the caller to go on from to the end of what a reader
    takes for one. Letters within `(?i:...)`, which not all browsers know, become classes of their cases.

    Args:
        pattern (`str`): For Oniguruma or the package `regex`.
    """
    return "".join(_parts(pattern))


def _parts(pattern: str) -> Iterator[str]:
    # whether case counts in each group that is open
    folding, characters = [False], 0
    for part in PART.finditer(pattern):
        text = part.group()
        if part["kind"]:
            yield text if part["kind"] in CATEGORIES else rf"\p{{Script={part['kind']}}}"
        elif part["escaped"] == "X":
            yield f"(?<x{characters}>[^])"
            characters += 1
        elif part["escaped"]:
            yield text if part["escaped"] in SYNTAX else _cased(part["escaped"], folding[-1])
        elif part["open"]:
            folding.append(folding[-1] or text == "(?i:")
            yield text.replace("?i:", "?:")
        else:
            if text == ")":
                folding.pop()
            yield _cased(text, folding[-1])


def _cased(letter: str, is_folded: bool) -> str:
    """Return a character, or where case does not count the class of its cases."""
    cases = sorted({letter, letter.lower(), letter.upper(), FOLDED.get(letter.lower(), letter)}) if is_folded else [letter]
    single = [case for case in cases if len(case) == 1]
    return f"[{''.join(single)}]" if len(single) > 1 else letter
