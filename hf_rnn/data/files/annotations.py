"""Rows of annotation tools: doccano, Label Studio, Prodigy, spaCy; texts with spans, or with classes."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from transformers.utils.logging import get_logger

from . import studio
from .errors import DataError
from .reading import AS_IS, ReadingOptions
from .rows import Row, is_tokens
from .span_cells import LABELS, as_span, as_spans, holds_spans, spelled, tags_of_tokens

logger = get_logger(__name__)

# what tools call texts and spans; what is like spans and is none
TEXTS = ("text", "content", "sentence", "document", "data")
SPAN_COLUMNS = ("spans", "entities")
NO_SPANS = ("tokens", "relations", "meta")
# columns of tokens that spans may count, and those where a span has the number of its last token, as GLiNER has them
LISTS, WITH_LAST = ("tokens", "tokenized_text"), ("tokenized_text",)
# under which Prodigy says who did which task
ANNOTATOR_NAMES, TASK_NUMBER = ("_annotator_id", "_session_id"), "_task_hash"
# under which doccano and Label Studio do, where a row is a text as one of them annotated it
USER_NAMES = ("user", "username", "annotator", "annotated_by")
# what a class of spaCy needs at least
IS_TRUE = 0.5


def as_object(row: Any) -> Any:
    """Return spaCy's pairs of a text and its annotations as rows."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return {"text": row[0], **row[1]}
    return row


@dataclass
class Annotations:
    """What rows annotate, as all of them tell: the splits of a data set are judged together.

    Args:
        reading (`ReadingOptions`): Named columns win.

    Attributes:
        spans (`Counter`): How many rows have spans, by column.
        many (`list`): What has not exactly one class in every row: names of controls, "accept" or "cats".
        controls (`list`): Controls of Label Studio by which classes were chosen.
        answers (`dict`): Answers of Prodigy to each label that was asked for.
        empty (`list`): Usual columns of spans that were empty somewhere.
        has_work (`bool`): Whether any row is of a tool.
        shared (`int`): Rows that several annotators did.
        predicted (`int`): Tasks of Label Studio that hold answers of a model and no annotations.
        votes (`dict`): What each of Prodigy's annotators made of a task, by its number, with their names.
        within, beyond (`int`): Of spans of rows with a text and tokens, how many end within so many characters as there are tokens, and
            how many do not.
    """

    reading: ReadingOptions = AS_IS
    spans: Counter[str] = field(default_factory=Counter)
    many: list[str] = field(default_factory=list)
    controls: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    has_work: bool = False
    shared: int = 0
    predicted: int = 0
    votes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    within: int = 0
    beyond: int = 0

    @classmethod
    def of(cls, rows: Iterable[Row], reading: ReadingOptions = AS_IS) -> "Annotations":
        """Judge rows."""
        found = cls(reading)
        for row in rows:
            found.observe(row)
        found.settle()
        return found

    def settle(self) -> None:
        """Keep of the votes those on tasks that several annotators did; call it once all rows are seen."""
        self.votes = {task: votes for task, votes in self.votes.items() if len({name for name, _ in votes}) > 1}
        self.shared += len(self.votes)
        self.has_work |= bool(self.votes)

    @property
    def span_column(self) -> str | None:
        """Return the column of spans: the named one, a usual one, or that of most rows; None if rows have no spans."""
        named = self.reading.label_column
        if named is not None and self.spans[named]:
            return named
        usual = [name for name in SPAN_COLUMNS if self.spans[name]]
        if not self.spans.total():
            return self.empty[0] if self.empty and not self.controls else None
        return usual[0] if usual else max(self.spans, key=lambda name: (self.spans[name], name in LABELS))

    @property
    def binary_label(self) -> str | None:
        """Return the only label that Prodigy asked for, if it was rejected too."""
        labels = list(self.answers)
        return labels[0] if len(labels) == 1 and "reject" in self.answers[labels[0]] else None

    def say(self, path: str) -> None:
        """Say what was chosen among several."""
        others = [name for name in self.spans if self.spans[name] and name != self.span_column]
        if others:
            logger.warning_once(f"{path}: spans are read from {self.span_column!r}, not from {others}. --label_column_name chooses.")
        if self.shared:
            others = [name for name in ("first", "last", "agreement") if name != self.reading.annotators]
            logger.warning_once(
                f"{path}: {self.shared} rows have several annotations, of which {self.reading.annotators!r} counts. "
                f"--annotators {' or '.join(others)} chooses otherwise."
            )
        if self.predicted:
            logger.warning_once(f"{path}: {self.predicted} tasks have no annotations but predictions of a model, which are read as those.")
        if len(self.answers) > 1 and any("reject" in answers for answers in self.answers.values()):
            logger.warning_once(f"{path}: rows whose label was rejected are left out: they tell no label.")

    def observe(self, row: Row) -> None:
        """Take note of what a row tells."""
        if studio.is_task(row):
            self._observe_task(row)
            return
        self.has_work |= "answer" in row or is_choice(row) or is_cats(row)
        task, annotator = _task_of(row)
        if task is not None and annotator is not None:
            self.votes.setdefault(task, []).append((annotator, _vote(row)))
        if isinstance(row.get("label"), str) and isinstance(row.get("answer"), str) and "spans" not in row:
            _add(self.answers.setdefault(row["label"], []), row["answer"])
        if is_choice(row) and len(row["accept"]) != 1:
            _add(self.many, "accept")
        if is_cats(row) and sum((value or 0) >= IS_TRUE for value in row["cats"].values()) != 1:
            _add(self.many, "cats")
        for name, cell in row.items():
            if name not in NO_SPANS and holds_spans(found := spelled(cell)):
                self.spans[name] += 1
                self.has_work = True
                self._observe_ends(row, found)
            elif name in SPAN_COLUMNS and cell == []:
                _add(self.empty, name)
                self.has_work = True
            elif isinstance(cell, dict):
                self.has_work |= isinstance(cell.get("choices"), list)

    def _observe_ends(self, row: Row, spans: list[Any]) -> None:
        """Take note of whether spans may count the tokens of a row that has a text too."""
        tokens, text = _token_column(row), self._text_column(row)
        if tokens is None or text is None:
            return
        for span in map(as_span, spans):
            is_quoted = span["quote"] is not None and row[text][span["start"] : span["end"]] == span["quote"]
            is_within = isinstance(span["end"], int) and span["end"] <= len(row[tokens]) and not is_quoted
            self.within += is_within
            self.beyond += not is_within

    def _observe_task(self, row: Row) -> None:
        work = studio.finished(row)
        self.has_work = True
        self.predicted += studio.is_predicted(row)
        _add(self.empty, "spans")
        self.shared += len(work) > 1
        spans, choices = studio.decide(work, self.reading.annotators)
        self.spans["spans"] += bool(spans)
        for name, chosen in choices.items():
            _add(self.controls, name)
            if len(chosen) > 1:
                _add(self.many, name)

    def convert(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield rows of `text` and `spans`, or of a class or classes; others pass, but for those that an annotator rejected or skipped.

        `spans` are dictionaries of `start`, `end` (characters, end excluded) and `label`, and of `quote`, the text that the tool noted
        between them, or None.

        Raises:
            DataError: A row has spans and no text.
        """
        seen: Counter[str] = Counter()
        for row in rows:
            task = _task_of(row)[0] or ""
            seen[task] += task in self.votes
            if task in self.votes and seen[task] != self._chosen(task):
                continue
            if row.get("answer", "accept") != "accept":
                if row["answer"] == "reject" and row.get("label") == self.binary_label is not None:
                    yield {**row, "label": f"not {self.binary_label}"}
                continue
            converted = self._classes(self._task(row) if studio.is_task(row) else row)
            yield converted if self.span_column is None else self._with_spans(converted)

    def _chosen(self, task: str) -> int | None:
        """Return which of the rows of a task that several did counts, from 1; None if most of them do not agree."""
        votes = [vote for _, vote in self.votes[task]]
        if self.reading.annotators != "agreement":
            return 1 if self.reading.annotators == "first" else len(votes)
        vote, count = Counter(votes).most_common(1)[0]
        return votes.index(vote) + 1 if 2 * count > len(votes) else None

    def _task(self, row: Row) -> Row:
        """Return a task of Label Studio as a row of its text and what was annotated."""
        spans, choices = studio.decide(studio.finished(row), self.reading.annotators)
        flat = {name: cell for name, cell in row["data"].items() if _is_flat(cell)}
        texts = [name for name in (self.reading.text_column, *TEXTS, *flat) if isinstance(flat.get(str(name)), str)]
        read = {**flat, "text": flat[texts[0]]} if texts else flat
        if self.span_column is not None:
            read["spans"] = spans
        for name in self.controls:
            is_only = len(self.controls) == 1 and self.span_column is None and self.reading.label_column != name
            read["label" if is_only else name] = _one_or_many(choices.get(name, []), name in self.many)
        return read

    def _classes(self, row: Row) -> Row:
        """Return a row whose chosen options or scored categories are a label or labels."""
        if is_choice(row):
            row = {**row, "label": _one_or_many(row["accept"], "accept" in self.many)}
            return {name: cell for name, cell in row.items() if name not in ("accept", "options")}
        if is_cats(row):
            found = [name for name, value in row["cats"].items() if (value or 0) >= IS_TRUE]
            return {**{name: cell for name, cell in row.items() if name != "cats"}, "label": _one_or_many(found, "cats" in self.many)}
        chosen = [name for name, cell in row.items() if isinstance(cell, dict) and isinstance(cell.get("choices"), list)]
        return {**row, **{name: row[name]["choices"] for name in chosen}} if chosen else row

    def _with_spans(self, row: Row) -> Row:
        name = str(self.span_column)
        cell = spelled(row.get(name))
        tokens, text = _token_column(row), self._text_column(row)
        if tokens is not None and (text is None or self._count_tokens(tokens, text)) and (not cell or holds_spans(cell)):
            others = {key: value for key, value in row.items() if key not in (name, tokens) and not self.spans[key] and _is_flat(value)}
            spans = as_spans(cell or [], tokens in WITH_LAST)
            return {**others, "tokens": row[tokens], "tags": tags_of_tokens(row[tokens], spans, self.reading.overlapping_spans)}
        if text is None or (cell and not holds_spans(cell)):
            if cell and not any(each in row for each in NO_SPANS):
                what = "no text in any of" if text is None else f"something else in {name!r} beside the columns"
                raise DataError(f"A row has spans but {what} {TEXTS}: {str(row)[:200]}. Mend or remove it, or pass --text_column_name.")
            return row
        others = {key: value for key, value in row.items() if key != name and not self.spans[key] and _is_flat(value)}
        return {**others, "text": row[text], "spans": as_spans(cell or [])}

    def _text_column(self, row: Row) -> str | None:
        """Return the column of texts of a row: the named one, or the first usual one."""
        return next((name for name in (self.reading.text_column, *TEXTS) if name is not None and isinstance(row.get(name), str)), None)

    def _count_tokens(self, tokens: str, text: str) -> bool:
        """Return whether spans count the tokens of rows that have a text too, as the named column says, or all spans together.

        Raises:
            DataError: They may count either.
        """
        if self.reading.text_column is None and self.within and not self.beyond:
            raise DataError(
                f"Spans in {self.span_column!r} may count the characters of {text!r} or the tokens of {tokens!r}. Pass --text_column_name "
                f"{text} or --text_column_name {tokens}."
            )
        return self.reading.text_column == tokens


def _token_column(row: Row) -> str | None:
    """Return the column of tokens that spans may count."""
    return next((name for name in LISTS if is_tokens(row.get(name))), None)


def _task_of(row: Row) -> tuple[str | None, str | None]:
    """Return what tells the tasks of a file apart, and who did this one, where a row says both."""
    if TASK_NUMBER in row:
        annotator = next((str(row[name]) for name in ANNOTATOR_NAMES if row.get(name)), None)
        return str(row[TASK_NUMBER]), annotator
    user = next((row[name] for name in USER_NAMES if isinstance(row.get(name), str | int)), None)
    text = next((row[name] for name in TEXTS if isinstance(row.get(name), str)), None)
    if user is None or text is None or not isinstance(row.get("id"), str | int):
        return None, None
    return json.dumps([row["id"], text]), str(user)


def _vote(row: Row) -> str:
    """Return what a row of Prodigy says, comparable between annotators."""
    spans = [(span.get("start"), span.get("end"), span.get("label")) for span in row.get("spans") or [] if isinstance(span, dict)]
    told = [row.get(name) for name in ("answer", "label", "labels", "entities", "accept")]
    return json.dumps([*told, sorted(map(str, spans))], default=str)


def read_annotations(rows: Iterable[Row], reading: ReadingOptions = AS_IS) -> Iterator[Row]:
    """Judge rows that are in memory, and convert them; see `Annotations`."""
    kept = list(rows)
    yield from Annotations.of(kept, reading).convert(kept)


def is_choice(row: Row) -> bool:
    """Return whether a row is of Prodigy's choices."""
    return isinstance(row.get("accept"), list) and isinstance(row.get("options"), list)


def is_cats(row: Row) -> bool:
    """Return whether a row has spaCy's categories."""
    cats = row.get("cats")
    # a table has a place for every category in every row
    given = [value for value in cats.values() if value is not None] if isinstance(cats, dict) else []
    return bool(given) and all(isinstance(value, int | float) for value in given)


def _add(names: list[str], name: str) -> None:
    """Add a name that is not there: a list stays in order where a set would not, and caches go by it."""
    if name not in names:
        names.append(name)


def _one_or_many(chosen: list[Any], is_many: bool) -> Any:
    return chosen if is_many else chosen[0] if chosen else None


def _is_flat(value: Any) -> bool:
    """Return whether a value is a number or text, or a list of them: a data set has no place for what tools nest."""
    values = value if isinstance(value, list) else [value]
    return all(each is None or isinstance(each, str | int | float) for each in values)
