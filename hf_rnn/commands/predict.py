"""Apply a trained classifier or tagger to texts or to a file.

Example:
    hf-rnn predict --model_name_or_path outputs/reviews --input_file new.csv --output_file answers.jsonl
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TextIO

from ..data.readers import DataError, read_rows
from ..data.splits import TEXT_COLUMNS, TOKEN_COLUMNS
from ..inference.loading import load
from ..inference.predicting import Predictor, Text
from ..options import check_given, option, parse_arguments


@dataclass
class PredictArguments:
    """What to predict with which model."""

    model_name_or_path: str = option("Checkpoint, folder or Hub name.", "", essential=True)
    text: str | None = option("One text, or tokens separated by spaces for a tagger.", essential=True)
    input_file: str | None = option("File with a text a line (.txt), or csv, tsv, json, jsonl, conll or conllu.", essential=True)
    text_column_name: str | None = option("Column of texts or of lists of tokens.", essential=True)
    output_file: str | None = option("Where to write one JSON object a line; the terminal by default.", essential=True)
    batch_size: int = option("Rows at a time.", 64, essential=True)
    trust_remote_code: bool = option("Run model code that comes with the checkpoint.", False)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    (arguments,) = parse_arguments(argv, __doc__, PredictArguments)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    if (arguments.text is None) == (arguments.input_file is None):
        got = "neither" if arguments.text is None else "both"
        raise ValueError(f"Give exactly one of --text and --input_file, got {got}.")
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code)
    usual = (*TEXT_COLUMNS, *(["raw_text"] if predictor.reads_raw_text else []), *TOKEN_COLUMNS)
    texts = [arguments.text] if arguments.input_file is None else read_texts(arguments.input_file, arguments.text_column_name, usual)
    if arguments.output_file is None:
        _write(texts, arguments.batch_size, predictor, sys.stdout)
    else:
        with open(arguments.output_file, "w", encoding="utf-8") as file:
            _write(texts, arguments.batch_size, predictor, file)


def _write(texts: Iterable[Text], batch_size: int, predictor: Predictor, file: TextIO) -> None:
    """Write a JSON object a line for each text."""
    remaining = iter(texts)
    while batch := list(islice(remaining, batch_size)):
        for row in predictor.predict(batch, batch_size):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_texts(path: str, column: str | None = None, usual: Sequence[str] = (*TEXT_COLUMNS, *TOKEN_COLUMNS)) -> Iterator[Text]:
    """Yield the texts or token lists of a file, from a column or the first of the usual ones; of a .txt file, its lines."""
    for number, row in enumerate(read_rows(path)):
        names = [column] if column else [name for name in usual if name in row]
        if not names or names[0] not in row:
            raise DataError(f"{path}, row {number}: no column {column or 'of texts'}; it has {list(row)}. Pass --text_column_name.")
        yield row[names[0]]
