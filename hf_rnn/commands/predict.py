"""Apply a trained classifier or tagger to texts or to a file, by one process or several.

Example:
    hf-rnn predict --model_name_or_path outputs/reviews --input_file new.csv --output_file answers.jsonl
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from ..arguments import DataArguments, LoadArguments, UseArguments
from ..data.files.cells import as_text, as_tokens, place
from ..data.files.readers import DataError, Row, read_rows
from ..data.fingerprints import fingerprint
from ..data.rows.splits import TEXT_COLUMNS, TOKEN_COLUMNS
from ..data.visible import visible_json
from ..data.writing import check_output_file
from ..inference.bulk import windows
from ..inference.loading import load
from ..inference.predictor import Predictor, Text
from ..options import check_given, option, pick, read_arguments
from .answers import answers_to


@dataclass
class PredictArguments:
    """What to predict with which model."""

    text: str | None = option("One text, or tokens separated by spaces for a tagger.", essential=True)
    input_file: str | None = option(
        "File with a text a line (.txt), or csv, tsv, json, jsonl, parquet, conll or conllu; - for lines of the input.", essential=True
    )
    threshold: float | None = option(
        "Score below which the answer is null and spans are left out, 0 for none; that of the model's --promise by default.",
        within="[0, 1]",
    )
    resume: bool | None = option("Go on with an output that was not finished, or, if false, start it again.", essential=True)


KINDS = (
    PredictArguments,
    LoadArguments,
    pick(UseArguments, "device", "output_file", batch_size=256),
    pick(DataArguments, "text_column_name"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    if (arguments.text is None) == (arguments.input_file is None):
        got = "neither" if arguments.text is None else "both"
        raise ValueError(f"Give exactly one of --text and --input_file, got {got}.")
    if arguments.output_file is not None:
        check_output_file(arguments.output_file, "output_file", arguments.input_file, arguments.model_name_or_path)
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code, arguments.device, arguments.threshold)
    if arguments.input_file is None:
        texts: Iterable[Text] = [as_text(arguments.text, "--text")]
    else:
        decoder = predictor.decoder
        own = [decoder.text_column] if decoder.text_column else []
        usual = (*own, *TEXT_COLUMNS, *decoder.more_columns, *TOKEN_COLUMNS)
        texts = read_texts(arguments.input_file, arguments.text_column_name, usual)
    if arguments.output_file is None:
        _print(predictor, texts, arguments.batch_size)
    else:
        _write(predictor, texts, arguments)


def _print(predictor: Predictor, texts: Iterable[Text], batch_size: int) -> None:
    # what a terminal or a pipe has no letters for is spelt out as well
    is_plain = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    for window in windows(texts):
        for row in predictor.predict(window, batch_size):
            print(visible_json(json.dumps(row, ensure_ascii=is_plain)))


def _write(predictor: Predictor, texts: Iterable[Text], arguments: SimpleNamespace) -> None:
    """Write a JSON object a line for each text, this process every window that is its own."""
    model = fingerprint(arguments.model_name_or_path, arguments.trust_remote_code)
    run = {"model": model, "input": arguments.input_file or arguments.text, "batch_size": arguments.batch_size}
    run |= {} if arguments.threshold is None else {"threshold": arguments.threshold}
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    with answers_to(str(arguments.output_file), run, arguments.resume, rank, world_size) as answers:
        for index, window in enumerate(windows(texts)):
            answers.sizes.append(len(window))
            if index % world_size == rank and not answers.has(window):
                answers.add(predictor.predict(window, arguments.batch_size))


def read_texts(path: str, column: str | None = None, usual: Sequence[str] = (*TEXT_COLUMNS, *TOKEN_COLUMNS)) -> Iterator[Text]:
    """Yield the texts or token lists of a file, from a column or the first of the usual ones; of a .txt file, or of the standard input
    under the name "-", its lines.

    Raises:
        DataError: A row has no such column, or neither text nor tokens in it.
    """
    rows: Iterator[Row] = ({"text": line.rstrip("\r\n")} for line in sys.stdin) if path == "-" else read_rows(path)
    for number, row in enumerate(rows):
        names = [column] if column else [name for name in usual if name in row]
        if not names or names[0] not in row:
            raise DataError(f"{path}, row {number}: no column {column or 'of texts'}; it has {list(row)}. Pass --text_column_name.")
        cell, where = row[names[0]], place(f"{path},", number, names[0])
        yield as_tokens(cell, where) if isinstance(cell, list) else as_text(cell, where)


if __name__ == "__main__":
    from .cli import run

    sys.exit(run("predict"))
