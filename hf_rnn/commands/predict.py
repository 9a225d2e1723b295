"""Apply a trained classifier or tagger to texts or to a file, by one process or several.

Example:
    hf-rnn predict --model_name_or_path outputs/reviews --input_file new.csv --output_file answers.jsonl
"""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TypeAlias

from ..arguments import DataArguments, LoadArguments, UseArguments
from ..data.files.cells import as_text
from ..data.files.rows import Row
from ..data.files.writers import Rows, check_ending, write_rows
from ..data.fingerprints import fingerprint
from ..data.processes import count_processes, process_rank
from ..data.visible import visible_json
from ..data.writing import check_output_file
from ..evaluation.cascading import with_cascade
from ..inference.cascade import check_cascades
from ..inference.loading import load
from ..inference.precision import PRECISIONS, choose_precision, products_in
from ..inference.predictor import Predictor
from ..inference.rows import InputRow, Keeping, row_windows
from ..inference.shapes import FIELDS, SHAPES, TAKEN
from ..options import check_given, option, pick, read_arguments
from .answers import answers_to
from .input_rows import read_input

Answer: TypeAlias = Callable[[list[InputRow]], list[Row]]
Shape: TypeAlias = Callable[[Row], Row]
JSON_LINES = (".jsonl", ".ndjson", "")
# endings of the shapes of tools
ENDINGS = {"jsonl": JSON_LINES, "label_studio": (".json",), "doccano": (*JSON_LINES, ".json"), "prodigy": (*JSON_LINES, ".json")}


@dataclass
class PredictArguments:
    """What to predict with which model, and what to write."""

    text: str | None = option("One text, or tokens separated by spaces for a tagger.", essential=True)
    input_file: str | None = option(
        "File with a text a line (.txt), or csv, tsv, json, jsonl, parquet, conll or conllu; - for lines of the input.", essential=True
    )
    threshold: float | None = option(
        "Score below which the answer is null and spans are left out, 0 for none; that of the model's --promise by default.",
        within="[0, 1]",
    )
    resume: bool | None = option("Go on with an output that was not finished, or, if false, start it again.", essential=True)
    keep_columns: list[str] | None = option(  # noqa: RUF009
        "Columns of the input that come back beside the answers: names, all or none; by default all but those named like what is answered.",
        essential=True,
    )
    precision: str = option(
        "Products in float32, bfloat16, or whichever is faster, bfloat16 only where the first answers stay the same (auto).",
        "float32",
        essential=True,
        choices=list(PRECISIONS),
    )
    cascade: float | None = option(
        "Share of labels that have to be those of the whole model, such as 0.99: what the linear part of a classifier is sure of is "
        "answered without the recurrence, as often as some of the first texts show that this is kept, with 95% confidence.",
        within="(0, 1)",
    )
    scores: str | None = option("Scores of a classifier: of the best label (top), of all, or of so many of the best.", essential=True)
    format: str | None = option(
        "Shape of --output_file: label_studio (.json), doccano, prodigy or jsonl; by default its ending says it: jsonl, json, csv, tsv, "
        "parquet.",
        choices=list(ENDINGS),
        essential=True,
    )


READ = ("text_column_name", "label_column_name", "sentence_column_name", "encoding", "separator")
KINDS = (
    PredictArguments,
    LoadArguments,
    pick(UseArguments, "device", "output_file", "long_texts", batch_size=1024),
    pick(DataArguments, *READ),
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
        check_ending(arguments.output_file, "output_file", ENDINGS.get(arguments.format))
    most = read_scores(arguments.scores)
    options = {"device": arguments.device, "threshold": arguments.threshold, "long_texts": arguments.long_texts}
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code, **options)
    _check_kind(predictor.decoder.kind, arguments.format, most)
    rows = _input_rows(predictor, arguments)
    is_alone = count_processes() == 1
    if arguments.cascade is not None:
        check_cascades(predictor.decoder)
        if not is_alone:
            raise ValueError("`cascade` is chosen by the first texts, and each process would choose its own. Start one, or leave it out.")
    wanted = arguments.cascade

    # several processes would choose by a clock each, and write one file
    precision = arguments.precision if arguments.precision != "auto" or is_alone else "float32"

    def answer(window: list[InputRow]) -> list[Row]:
        nonlocal precision, predictor, wanted
        texts = [row.text for row in window]
        if precision == "auto":
            precision = choose_precision(predictor, texts, arguments.batch_size)
        with products_in(precision, predictor.model.device.type):
            if wanted is not None:
                predictor, wanted = with_cascade(predictor, texts, wanted, arguments.batch_size), None
            answers = predictor.predict(texts, arguments.batch_size, all_scores=most is not None)
        return [{**row.others, **cut_scores(told, most)} for row, told in zip(window, answers, strict=True)]

    shape = shaper(predictor, arguments.format)
    if arguments.output_file is None:
        _print(answer, rows, shape)
    else:
        _write(answer, rows, shape, arguments)


def _input_rows(predictor: Predictor, arguments: SimpleNamespace) -> Iterable[InputRow]:
    """Return what is to be answered."""
    if arguments.input_file is None:
        return [InputRow(as_text(arguments.text, "--text"))]
    decoder = predictor.decoder
    keeping = Keeping(arguments.keep_columns, {*FIELDS[decoder.kind], *TAKEN.get(arguments.format, ())})
    reading = DataArguments(**{name: getattr(arguments, name) for name in READ}).reading
    return read_input(arguments.input_file, keeping, reading, decoder.usual_columns)


def read_scores(value: str | None) -> float | None:
    """Return how many scores `--scores` asks for beside that of the best label: None for no more.

    Raises:
        ValueError: It is neither "top", "all" nor a number.
    """
    if value in (None, "top"):
        return None
    if value == "all":
        return float("inf")
    if not str(value).isdecimal() or int(str(value)) < 1:
        raise ValueError(f"`scores` must be top, all or a whole number of at least 1, got {value!r}. Pass another --scores.")
    return int(str(value))


def _check_kind(kind: str, shape: str | None, most: float | None) -> None:
    """Raise a ValueError if what a model answers has no such scores, or no place in a shape."""
    if most is not None and kind not in ("label", "labels"):
        raise ValueError("`scores` of several labels are those of classifiers of texts, and this model is none. Leave --scores out.")
    if kind == "number" and shape in ("doccano", "prodigy"):
        raise ValueError(f"`format` {shape!r} holds labels and spans, but this model answers numbers. Pass --format label_studio or jsonl.")


def cut_scores(answer: Row, most: float | None) -> Row:
    """Return an answer with no more than so many of its scores, the best of them first; all of them in the order of the labels."""
    scores = answer.get("scores")
    if most is None or scores is None or len(scores) <= most:
        return answer
    best = sorted(scores.items(), key=lambda item: -item[1])[: int(most)]
    return {**answer, "scores": dict(best)}


def shaper(predictor: Predictor, name: str | None) -> Shape:
    """Return what makes a row of a shape of a row that is read and answered."""
    if name not in SHAPES:
        return lambda row: row
    own, labels = FIELDS[predictor.decoder.kind], predictor.decoder.labels

    def shape(row: Row) -> Row:
        others = {column: cell for column, cell in row.items() if column not in own}
        return SHAPES[name](others, {column: cell for column, cell in row.items() if column in own}, labels)

    return shape


def _print(answer: Answer, rows: Iterable[InputRow], shape: Shape) -> None:
    # what a terminal or a pipe has no letters for is spelt out as well
    is_plain = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    for window in row_windows(rows):
        for row in answer(window):
            print(visible_json(json.dumps(shape(row), ensure_ascii=is_plain)))


def _write(answer: Answer, rows: Iterable[InputRow], shape: Shape, arguments: SimpleNamespace) -> None:
    """Write a row for each text, this process every window that is its own."""
    model = fingerprint(arguments.model_name_or_path, arguments.trust_remote_code)
    names = ("batch_size", "keep_columns", "precision", "scores")
    run = {"model": model, "input": arguments.input_file or arguments.text, **{name: getattr(arguments, name) for name in names}}
    run |= {name: getattr(arguments, name) for name in ("threshold", "long_texts", "cascade") if getattr(arguments, name) is not None}
    rank, world_size = process_rank(), count_processes()
    is_as_answered = arguments.format not in SHAPES and Path(arguments.output_file).suffix.lower() in JSON_LINES

    def convert(path: str | Path, answered: Rows) -> None:
        write_rows(path, lambda: map(shape, answered()))

    with answers_to(str(arguments.output_file), run, arguments.resume, rank, world_size, None if is_as_answered else convert) as answers:
        for index, window in enumerate(row_windows(rows)):
            answers.sizes.append(len(window))
            if index % world_size == rank and not answers.has(window):
                answers.add(answer(window))
