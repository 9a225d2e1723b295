"""The rows that are checked, of any kind: texts with labels, sentences with tags, and texts with spans."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import regex
from datasets import Dataset

from ..data.files.detokenization import join_tokens
from ..data.files.locations import Places
from ..data.files.reading import ReadingOptions
from ..data.files.rows import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.rows.annotated import annotated_texts, holds_spans
from ..data.rows.label_columns import read_labels
from ..data.rows.labelled import labelled_texts
from ..data.rows.spans import Span, unit_tags
from ..data.rows.splits import LABEL_COLUMNS, TAG_COLUMNS, Splits, choose_column, column_names, load_splits
from ..data.rows.tag_columns import read_lists, read_tags, read_words
from ..data.tokenizers.units import find_cuts
from ..models.tags import guess_scheme, spans_of_tags

# what a row without spans is said to have
NOTHING = "nothing"


@dataclass(frozen=True)
class Row:
    """A labelled text and where it stands in its file.

    Attributes:
        split, where (`str`): Its split and its place there.
        text (`str`): The text, of a sentence its tokens.
        label (`str`): Its label, its tags, or its spans in words.
        units (`tuple`): Start and end of each token or unit in the text, of a row with tags or spans.
        tags (`tuple`): The tag of each.
    """

    split: str
    where: str
    text: str
    label: str
    units: tuple[tuple[int, int], ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckedRows:
    """Rows of all splits, and what they hold.

    Attributes:
        rows (`list`): All of them.
        kind (`str`): "label", "tags" (each of its own) or "spans" (that tags of a scheme make too).
        is_raw (`bool`): Whether units are those of raw text rather than tokens.
    """

    rows: list[Row]
    kind: str
    is_raw: bool = False
    of_train: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "of_train", [row for row in self.rows if row.split == "train"])


def read_checked(files: Mapping[str, str], reading: ReadingOptions) -> CheckedRows:
    """Return the rows of files, each with its place; what the training rows hold says what all do.

    Raises:
        DataError: A row lacks its text or label.
    """
    places = Places(files, reading)
    with places.named():
        splits = load_splits(files=dict(files), reading=reading)
        if _has_labels(splits["train"], reading):
            return CheckedRows(_with_labels(splits, reading, places), "label")
        if holds_spans(splits["train"], reading.label_column):
            return CheckedRows(_with_spans(splits, reading, places), "spans", is_raw=True)
        rows = _with_tags(splits, reading, places)
        return CheckedRows(rows, "spans" if _scheme_of(rows) else "tags")


def _has_labels(rows: Dataset, reading: ReadingOptions) -> bool:
    """Return whether rows have a label each, rather than tags or spans."""
    columns = column_names(rows)
    if reading.label_column is not None and reading.label_column not in columns:
        # a named column of spans has become `spans` where it was read
        return not holds_spans(rows, reading.label_column)
    if reading.label_column is not None:
        is_lone = not isinstance(next((cell for cell in rows[reading.label_column] if cell), None), list)
        # words and tags with white space between are texts too, where nothing is called a text
        return is_lone and not (reading.label_column in TAG_COLUMNS[:-1] and any(name in columns for name in TOKEN_COLUMNS))
    is_text = any(name.strip().lower() in TEXT_COLUMNS for name in columns) or reading.text_column in columns
    usual = [name for name in columns if name.strip().lower() in LABEL_COLUMNS]
    has_lone = any(not isinstance(next((cell for cell in rows[name] if cell is not None), None), list) for name in usual)
    return is_text and (has_lone or not (holds_spans(rows) or any(name in columns for name in TAG_COLUMNS)))


def _with_labels(splits: Splits, reading: ReadingOptions, places: Places) -> list[Row]:
    """Return texts with their labels."""
    found = []
    for split, rows in splits.items():
        text_column = choose_column(rows, split, reading.text_column, TEXT_COLUMNS, "text_column_name")
        label_column = choose_column(rows, split, reading.label_column, LABEL_COLUMNS, "label_column_name")
        read = read_labels(type(splits)({split: rows}), label_column, "single_label_classification", reading, places=places)[split]
        labelled = labelled_texts(read, split, text_column, label_column, has_tags=False)
        wheres = places.of_rows(split, range(len(labelled)))
        found += [Row(split, where, str(text), str(label)) for where, (text, label) in zip(wheres, labelled, strict=True)]
    return found


def _with_tags(splits: Splits, reading: ReadingOptions, places: Places) -> list[Row]:
    """Return sentences with their tags, those of a scheme as BIO or BIOES."""
    first = splits["train"]
    has_tags = any(name in column_names(first) for name in TAG_COLUMNS)
    usual = (*TOKEN_COLUMNS, *TEXT_COLUMNS) if has_tags else TOKEN_COLUMNS
    text = choose_column(first, "train", reading.text_column, usual, "text_column_name")
    # the tag of CoNLL columns is the last
    numbered = [name for name in column_names(first) if name.startswith("column_")][-1:]
    label = choose_column(first, "train", reading.label_column, numbered or TAG_COLUMNS, "label_column_name")
    for split in splits:
        choose_column(splits[split], split, text, (), "text_column_name")
        choose_column(splits[split], split, label, (), "label_column_name")
    read = read_tags(read_words(read_lists(read_lists(splits, text), label), text, label), label)
    found = []
    for split, rows in read.items():
        sentences = labelled_texts(rows, split, text, label, has_tags=True)
        wheres = places.of_rows(split, range(len(sentences)))
        for where, (tokens, tags) in zip(wheres, sentences, strict=True):
            units = tuple((start, end) for start, end in join_tokens(tokens)[1])
            found.append(Row(split, where, " ".join(tokens), " ".join(tags), units, tuple(tags)))
    return found


def _with_spans(splits: Splits, reading: ReadingOptions, places: Places) -> list[Row]:
    """Return raw texts with the tags of their units, which begin and end where spans of the training rows do."""
    read = {
        split: annotated_texts(rows, split, reading.text_column, reading.label_column, reading.overlapping_spans)
        for split, rows in splits.items()
    }
    texts, spans, _ = read["train"]
    pattern = regex.compile(find_cuts(zip(texts, ([span[:2] for span in row] for row in spans), strict=True)).pattern())
    found = []
    for split, (texts, spans, _) in read.items():
        wheres = places.of_rows(split, range(len(texts)))
        for where, text, row in zip(wheres, texts, spans, strict=True):
            units = tuple(match.span() for match in pattern.finditer(text) if not match.group().isspace())
            found.append(Row(split, where, text, describe_spans(text, row), units, tuple(unit_tags(units, row)[0])))
    return found


def _scheme_of(rows: Sequence[Row]) -> str | None:
    """Return the scheme of the tags of rows, if they describe spans."""
    return guess_scheme(sorted({tag for row in rows for tag in row.tags}))


def spans_of_row(row: Row, tags: Sequence[str]) -> list[Span]:
    """Return the spans of characters that BIO or BIOES tags of the units of a row describe."""
    return [(row.units[first][0], row.units[last - 1][1], kind) for first, last, kind in spans_of_tags(tags)]


def describe_spans(text: str, spans: Sequence[Span]) -> str:
    """Return spans in words, such as "Seoul: place, Monday: time"."""
    return ", ".join(f"{text[start:end]}: {label}" for start, end, label in spans) or NOTHING
