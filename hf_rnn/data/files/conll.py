"""Read a token a line: CoNLL in its kinds, and CoNLL-U."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import takewhile

from transformers.utils.logging import get_logger

from .detokenization import place_words
from .opening import whole_lines
from .reading import Source
from .rows import Row

logger = get_logger(__name__)

# tokens that no sentence of a file of one has
LONG = 100
CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
# of CoNLL-2012, up to the column of entities; behind it are those of arguments, as many as a sentence has verbs
TOKEN_2012, POS_2012, ENTITY_2012, LEAST_2012 = 3, 4, 10, 12
BEGIN_2012 = "#begin document"
# a comment of a key and its value
KEY = re.compile(r"#\s*[\w:.-]+\s*=\s")
# what a tag of a span, of a part of speech or of punctuation looks like, and no word of running text does throughout
SPAN_TAG = re.compile(r"[BIELSUMW][-_]\S+|\S+[-_][BIELSUMW]", re.IGNORECASE)
TAG = re.compile(r"[A-Z][A-Z0-9$_|=.+-]*|[^\w\s]+|_")
OUTSIDE = ("O", "o")
NUMBER = re.compile(r"\d+([-.]\d+)?")
BLANKS = re.compile(r"[ \t]+")


def _by_tabs(line: str) -> list[str]:
    # a token may be a blank
    return [cell.strip(" ") or cell for cell in line.rstrip(" \t").split("\t")]


def _by_runs_of_tabs(line: str) -> list[str]:
    return [cell.strip(" ") for cell in line.split("\t") if cell.strip(" ")]


def _by_blanks(line: str) -> list[str]:
    return BLANKS.split(line.strip(" \t"))


def _by_either(line: str) -> list[str]:
    return _by_runs_of_tabs(line) if "\t" in line else _by_blanks(line)


SPLITS = (_by_tabs, _by_runs_of_tabs, _by_blanks, _by_either)
Block = list[tuple[int, str]]


def blocks_of(lines: Iterable[str]) -> Iterator[tuple[Block, int]]:
    """Yield the numbered lines between blank ones, and the number of the last line that belongs to them."""
    block: Block = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if line.strip(" \t"):
            block.append((number, line))
        elif block:
            yield block, number
            block = []
    if block:
        yield block, number


class Columns:
    """How the lines of a file are parted into columns, and which of those that begin with "#" are comments.

    Args:
        blocks (`Sequence`): All blocks of the file.
    """

    def __init__(self, blocks: Sequence[tuple[Block, int]]) -> None:
        self.split: Callable[[str], list[str]] = _by_either
        kept = [[line for _, line in block if not line.startswith(("#", "-DOCSTART-"))] for block, _ in blocks]
        fits = [
            len(kept) - sum(len({len(split(line)) for line in block}) > 1 or any(len(split(line)) < 2 for line in block) for block in kept)
            for split in SPLITS
        ]
        if any(fits):
            self.split = SPLITS[fits.index(max(fits))]
        self.widths = Counter(len(self.split(line)) for block in kept for line in block)
        self.tags = {self.split(line)[-1] for block in kept for line in block}

    def of(self, line: str, width: int | None) -> list[str] | None:
        """Return the columns of a line, or None if it is a comment or marks a document.

        Args:
            line (`str`): The line.
            width (`int`, *optional*): How many columns its neighbours have.
        """
        columns = self.split(line)
        if columns[0] == "-DOCSTART-":
            return None
        if line.startswith("#"):
            widths = [width] if width else self.widths
            is_token = len(columns) in widths and (columns[-1] in self.tags or columns[-1] in OUTSIDE or SPAN_TAG.fullmatch(columns[-1]))
            if not is_token or len(columns) < 2 or KEY.match(line):
                return None
        return columns


def read_conll(source: Source) -> Iterator[Row]:
    """Yield a row a sentence: "column_0", "column_1", ... with a list each; of CoNLL-2012 "tokens", "pos_tags" and "ner_tags".

    Lines are parted by tabs, or by blanks, whichever gives the lines of each sentence the same number of columns. A line that begins
    with "#" is a comment unless it has as many columns as its neighbours and ends in a tag that other lines have. A first column that
    numbers the tokens is left out, tags before tokens are put behind them, and ten columns with numbers are those of CoNLL-U.

    Raises:
        DataError: A line has another number of columns than the first of its sentence, or only one.
    """
    with source.lines() as lines:
        if is_2012(takewhile(lambda line: line.startswith("#") or not line.strip(), lines)):
            yield from _read_2012(source)
            return
    with source.lines() as lines:
        blocks = list(blocks_of(whole_lines(lines)))
    if _is_conllu(blocks):
        yield from read_conllu(source)
        return
    columns = Columns(blocks)
    sentences = [(_tokens(source, block, columns), last) for block, last in blocks]
    _drop_header(source.path, [tokens for tokens, _ in sentences if tokens])
    order = _usual_order(source.path, [tokens for tokens, _ in sentences if tokens])
    filled = [len(tokens) for tokens, _ in sentences if tokens]
    if len(filled) == 1 and filled[0] > LONG:
        logger.warning_once(f"{source.path}: all {filled[0]:,} tokens are one sentence: part sentences by empty lines.")
    for tokens, last in sentences:
        source.mark(last)
        if tokens:
            values = list(zip(*tokens, strict=True))
            yield {f"column_{index}": list(values[place]) for index, place in enumerate(order(len(values)))}


def _drop_header(path: str, sentences: Sequence[list[list[str]]]) -> None:
    """Take the first line away if it alone has no tag of a span, and say so."""
    tags = [row[-1] for tokens in sentences for row in tokens]
    are_tags = [tag in OUTSIDE or SPAN_TAG.fullmatch(tag) is not None for tag in tags]
    if len(tags) > 2 and not are_tags[0] and all(are_tags[1:]) and any(map(SPAN_TAG.fullmatch, tags[1:])) and len(sentences[0]) > 1:
        logger.warning_once(f"{path}: the first line, {' '.join(sentences[0][0])!r}, names the columns and is left out.")
        del sentences[0][0]


def _is_conllu(blocks: Sequence[tuple[Block, int]]) -> bool:
    """Return whether lines have the ten columns of CoNLL-U or CoNLL-X, the first one of numbers."""
    lines = [line.split("\t") for block, _ in blocks for _, line in block if not line.startswith("#")]
    return bool(lines) and all(len(line) == len(CONLLU_COLUMNS) and NUMBER.fullmatch(line[0]) for line in lines)


def _usual_order(path: str, sentences: Sequence[list[list[str]]]) -> Callable[[int], Sequence[int]]:
    """Return what gives, for a number of columns, their places with the token first and the tag last; say what is moved."""
    firsts = [[row[0] for row in tokens] for tokens in sentences]
    is_wide = all(len(tokens[0]) > 2 for tokens in sentences) and any(len(tokens) > 1 for tokens in sentences)
    if is_wide and any(all(each == list(map(str, range(start, start + len(each)))) for each in firsts) for start in (0, 1)):
        logger.warning_once(f"{path}: the first column numbers the tokens and is left out.")
        return lambda width: range(1, width)
    tags = {tag for each in firsts for tag in each}
    words = {row[-1] for tokens in sentences for row in tokens}
    is_tagged = any(map(SPAN_TAG.fullmatch, tags)) and all(tag in OUTSIDE or SPAN_TAG.fullmatch(tag) for tag in tags)
    if is_tagged and all(len(tokens[0]) == 2 for tokens in sentences) and not any(map(SPAN_TAG.fullmatch, words)):
        logger.warning_once(f"{path}: tags stand before tokens.")
        return lambda width: (1, 0)
    return range


def _tokens(source: Source, block: Block, columns: Columns) -> list[list[str]]:
    width = next((len(columns.split(line)) for _, line in block if not line.startswith("#")), None)
    tokens: list[list[str]] = []
    for number, line in block:
        found = columns.of(line, width)
        if found is None:
            continue
        if len(found) < 2:
            raise source.error(number, f"expected a token and a tag, got {line!r}. Separate columns by tabs or spaces.")
        if tokens and len(found) != len(tokens[0]):
            expected = f"{len(found)} columns where the sentence's first token has {len(tokens[0])}"
            raise source.error(number, f"{expected}: {line!r}. Every token needs the same columns.")
        tokens.append(found)
    return tokens


def is_2012(lines: Iterable[str]) -> bool:
    """Return whether one of the first lines begins a document of CoNLL-2012."""
    return any(line.startswith(BEGIN_2012) for line in lines)


def _read_2012(source: Source) -> Iterator[Row]:
    with source.lines() as lines:
        for block, last in blocks_of(whole_lines(lines)):
            tokens = [(number, _by_blanks(line)) for number, line in block if not line.startswith(("#begin", "#end"))]
            source.mark(last)
            for number, columns in tokens:
                if len(columns) < LEAST_2012:
                    raise source.error(number, f"CoNLL-2012 has at least {LEAST_2012} columns, got {len(columns)}: {columns!r}.")
            if tokens:
                forms, tags = ([columns[index] for _, columns in tokens] for index in (TOKEN_2012, POS_2012))
                entities = [columns[ENTITY_2012] for _, columns in tokens]
                yield {"tokens": forms, "pos_tags": tags, "ner_tags": unbracket(entities)}


def unbracket(cells: Iterable[str]) -> list[str]:
    """Return the BIO tags of brackets: "(PERSON*", "*)" are "B-PERSON", "I-PERSON"."""
    tags: list[str] = []
    kind = ""
    for cell in cells:
        if cell.startswith("("):
            kind = cell.strip("(*)")
            tags.append(f"B-{kind}")
        else:
            tags.append(f"I-{kind}" if kind else "O")
        if cell.endswith(")"):
            kind = ""
    return tags


def is_conll(lines: Iterable[str]) -> bool:
    """Return whether lines are tokens with tags rather than texts or a table: the same columns in each sentence, the last one of tags."""
    blocks = list(blocks_of(lines))
    if not blocks:
        return False
    if is_2012(line for _, line in blocks[0][0]):
        return True
    columns = Columns(blocks)
    kept = [[found for _, line in block if (found := columns.of(line, None)) is not None] for block, _ in blocks]
    kept = [block for block in kept if block]
    is_even = all(len(row) == len(block[0]) > 1 for block in kept for row in block)
    tags = Counter(row[-1] for block in kept for row in block)
    if not is_even or tags.total() < 2:
        return False
    if all(tag in OUTSIDE or SPAN_TAG.fullmatch(tag) for tag in tags):
        return True
    # capitals alone may be words: sentences have several lines, and tags come again
    has_sentences = len(kept) > 1 and max(map(len, kept)) > 1
    return has_sentences and 2 * len(tags) <= tags.total() and all(map(TAG.fullmatch, tags))


def read_conllu(source: Source) -> Iterator[Row]:
    """Yield a row a sentence: a list for each of `CONLLU_COLUMNS`, its text as `raw_text`, and `offsets` of its words there.

    Raises:
        DataError: A line has another number of columns.
    """
    with source.lines() as lines:
        for block, last in blocks_of(whole_lines(lines)):
            texts = [line.removeprefix("# text =").strip() for _, line in block if line.startswith("# text =")]
            # multi-word tokens (3-4) and empty nodes (8.1) are not words of the syntax
            columns = [_conllu_columns(source, number, line) for number, line in block if not line.startswith("#")]
            written = [row for row in columns if row[0].replace("-", "", 1).isdigit()]
            words = [row for row in columns if row[0].isdigit()]
            source.mark(last)
            if words:
                text, offsets = place_words(texts[-1] if texts else None, written)
                row = dict(zip(CONLLU_COLUMNS, map(list, zip(*words, strict=True)), strict=True))
                yield {**row, "raw_text": text, "offsets": offsets}


def _conllu_columns(source: Source, number: int, line: str) -> list[str]:
    columns = line.split("\t")
    if len(columns) != len(CONLLU_COLUMNS):
        raise source.error(number, f"CoNLL-U has {len(CONLLU_COLUMNS)} columns separated by tabs, got {len(columns)}: {line!r}.")
    return columns
