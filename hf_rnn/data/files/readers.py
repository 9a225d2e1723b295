"""From a file to rows, whatever kind of file it is; errors name the place."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from .annotations import Annotations
from .columnar import FILES, is_saved, may_hold_spans, open_saved, read_columnar
from .conll import read_conll, read_conllu
from .errors import DataError
from .excel import read_excel
from .json_files import read_json, read_jsonl
from .lines import read_tsv, read_txt
from .opening import check_file, suffix_of
from .reading import AS_IS, ReadingOptions, Source
from .rows import Row
from .span_cells import SPELLED
from .tables import read_table_with_blanks
from .token_tables import read_sentences

# changes with what the rows of a file hold, so that rows an older version has cached are read again
ROWS_VERSION = 3
TABLES: dict[str, Callable[[Source], Iterator[Row]]] = {
    ".csv": read_table_with_blanks,
    ".tsv": read_tsv,
    ".tab": read_tsv,
    ".xlsx": read_excel,
}
JSON = {".json": read_json, ".jsonl": read_jsonl, ".ndjson": read_jsonl}
CONLL = dict.fromkeys((".conll", ".conll2003", ".bio", ".iob", ".iob2", ".bioes", ".bilou"), read_conll)
READERS: dict[str, Callable[[Source], Iterator[Row]]] = {".txt": read_txt, **TABLES, **JSON, **CONLL, ".conllu": read_conllu}
# what cannot be read, and what can be read in its place
OTHERS = {
    ".xls": "Save it as .xlsx or csv.",
    ".ods": "Save it as .xlsx or csv.",
    ".spacy": "Write its docs as jsonl, with `doc.text` and `doc.ents` or `doc.cats`.",
    **dict.fromkeys((".zip", ".zst", ".7z", ".rar", ".tar", ".tgz"), "Unpack it."),
    ".pkl": "Write it as parquet or jsonl.",
}


def read_rows(path: str, reading: ReadingOptions = AS_IS, judged: Annotations | None = None) -> Iterator[Row]:
    """Yield the rows of a file as dictionaries, read according to its ending and what is in it.

    A tagged sentence (.conll and the like, .conllu, or lines of a .txt or .tsv file with tokens and tags) is one row: a list a column,
    "column_0", "column_1", ... for CoNLL columns, "tokens", "pos_tags" and "ner_tags" of CoNLL-2012, and for CoNLL-U the names of
    `CONLLU_COLUMNS`, with `raw_text`, the sentence as it was written, and `offsets`, the start and end of its words there. Tables with a
    token a row become such sentences. Span annotations become `text` and `spans`, and classes that tools export a label, see
    `annotations.Annotations`. Other lines of a .txt file are rows with the column "text". What separates and quotes the cells of a table,
    encodings and compression are found out. Lone surrogates in JSON are replaced by U+FFFD, with a warning that counts them.

    Args:
        path (`str`): A file, or a folder that `datasets` saved.
        reading (`ReadingOptions`): What files do not say themselves.
        judged (`Annotations`, *optional*): What rows annotate, as `judge` says; the file's own rows tell by default.

    Raises:
        DataError: The file is missing, empty, of an unknown kind or encoding, or malformed.
    """
    yield from _read(Source(path, reading), reading, judged)


def _read(source: Source, reading: ReadingOptions, judged: Annotations | None) -> Iterator[Row]:
    count = 0
    judged = judged or judge([source.path], reading)
    rows = _raw_rows(source, reading)
    for row in judged.convert(rows) if judged.has_work else rows:
        count += 1
        yield row
    if not count:
        raise DataError(f"{source.path}: the file holds no rows. Check that it is the right one and was written completely.")


def _raw_rows(source: Source, reading: ReadingOptions) -> Iterator[Row]:
    path, suffix = source.path, suffix_of(source.path)
    if is_saved(path):
        return iter(open_saved(path))
    if suffix in FILES:
        return read_columnar(path)
    if suffix not in READERS:
        allowed, remedy = (*READERS, *FILES), OTHERS.get(suffix, "Rename or convert the file.")
        raise DataError(f"{path}: the ending must be one of {allowed}, got {suffix!r}. {remedy}")
    check_file(path)
    return read_sentences(source, TABLES[suffix], reading) if suffix in TABLES else READERS[suffix](source)


def judge(paths: Iterable[str], reading: ReadingOptions = AS_IS) -> Annotations:
    """Return what the rows of files annotate, all of them together; say what was chosen among several."""
    paths = list(paths)
    judged = Annotations(reading)
    for path in paths:
        if _may_be_of_a_tool(path, reading):
            for row in _raw_rows(Source(path, reading), reading):
                judged.observe(row)
    judged.settle()
    judged.say(", ".join(paths))
    return judged


def _may_be_of_a_tool(path: str, reading: ReadingOptions) -> bool:
    """Return whether rows may be annotations: objects or lists in objects, spelled lists in tables, lists of objects in columns."""
    suffix = suffix_of(path)
    if suffix in FILES:
        return may_hold_spans(path)
    if suffix not in (*TABLES, *JSON):
        return False
    if suffix in (".xlsx", ".json"):
        return True
    with Source(path, reading).lines() as lines:
        if suffix in TABLES:
            return any(start in line for line in lines for start in SPELLED)
        return any("[" in line or '"answer"' in line or "{" in line.lstrip()[1:] for line in lines)


def locate_row(path: str, row: int, reading: ReadingOptions = AS_IS, files: Mapping[str, str | None] | None = None) -> str:
    """Return how errors name a row, counted from 0 among those that `read_rows` yields; see `locate_rows`."""
    return f"{path}, {locate_rows(path, [row], reading, files)[0]}"


def locate_rows(
    path: str, rows: Sequence[int], reading: ReadingOptions = AS_IS, files: Mapping[str, str | None] | None = None
) -> list[str]:
    """Return where rows, counted from 0 among those that `read_rows` yields, stand in a file: by line, where lines tell.

    Args:
        path (`str`): The file.
        rows (`Sequence`): Their numbers, in order.
        reading (`ReadingOptions`): How the rows were read.
        files (`Mapping`, *optional*): All files that were read together.
    """
    source = Source(path, reading)
    judged = judge([each for each in (files or {}).values() if each] or [path], reading)
    found, wanted = {}, set(rows)
    for row, _ in zip(range(max(rows) + 1), _read(source, reading, judged), strict=False):
        if row in wanted and source.at is not None:
            first, last = source.at
            found[row] = f"line {last}" if first == last else f"lines {first} to {last}"
    return [found.get(row, f"row {row}") for row in rows]
