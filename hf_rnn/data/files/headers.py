"""What a header looks like that holds none of the names that are looked for."""

import re
from collections.abc import Sequence

from .tables import LONGEST_NAME, MOST_WORDS, SEPARATORS
from .token_tables import TOKEN_NAMES

# what parts names of columns elsewhere
MARK = re.compile(r"(?<=\w)[^\w\s.()\[\]/'’-](?=\w)")


def describe_header(names: Sequence[str]) -> str:
    """Return a sentence about what names of columns look like if not like names, or nothing."""
    if list(names) == ["text"]:
        return " Each line is a text: name a table .csv or .tsv, and a file with a token and its tag a line .conll."
    if len(names) == 1 and (found := [separator for separator in SEPARATORS if separator in names[0]]):
        return f" The header looks like several columns separated by {SEPARATORS[found[0]]}, but the rows have other numbers of them."
    if len(names) == 1 and (mark := MARK.search(names[0])):
        return f" The header looks like several columns separated by {mark[0]!r}: pass --separator {mark[0]!r}."
    if any(len(name) > LONGEST_NAME or len(name.split()) > MOST_WORDS for name in names) or any(_is_number(name) for name in names):
        return " The first line looks like a row rather than a header: add a line with the names of the columns, such as text,label."
    if any(name.lower() in TOKEN_NAMES for name in names) and not any(name in ("tokens", "words") for name in names):
        return " Each row looks like a token: --sentence_column_name names the column that numbers the sentences."
    return ""


def _is_number(name: str) -> bool:
    return name.replace(".", "", 1).lstrip("-").isdigit()
