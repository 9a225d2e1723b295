"""Choose the texts of a pool to label next: those that a model is unsure of, and that are unlike one another.

Example:
    hf-rnn next --model_name_or_path outputs/messages --pool_file pool.jsonl --number 100 --output_file next.json --format prodigy
"""

from dataclasses import dataclass
from types import SimpleNamespace

from ..arguments import DataArguments, LoadArguments, UseArguments
from ..data.files.reading import ReadingOptions
from ..data.files.rows import Row
from ..data.files.writers import check_ending, write_rows
from ..data.locking import locked_file
from ..data.writing import check_output_file
from ..evaluation.selecting import choose_next
from ..inference.loading import load
from ..inference.shapes import FIELDS, TAKEN
from ..options import check_given, option, pick, read_arguments
from .input_rows import Keeping, read_input
from .predict import ENDINGS, PredictArguments, shaper


@dataclass
class NextArguments:
    """What to choose from, and how many."""

    pool_file: str | None = option("Texts without labels, in a file of any kind that predict reads.", aliases=["--pool"], essential=True)
    number: int = option("Texts to choose.", 100, essential=True, within="[1, inf)")


KINDS = (
    NextArguments,
    pick(PredictArguments, "format"),
    LoadArguments,
    pick(UseArguments, "device", "batch_size", output_file="next.jsonl"),
    pick(DataArguments, "text_column_name"),
)


def main(argv: list[str] | None = None) -> list[Row]:
    """Run the command; return the rows that it writes: those of the pool with what the model answers, the most telling first."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model", pool_file="texts to choose from")
    check_output_file(arguments.output_file, "output_file", arguments.pool_file, arguments.model_name_or_path)
    check_ending(arguments.output_file, "output_file", ENDINGS.get(arguments.format))
    with locked_file(arguments.output_file, "output_file"):
        return _choose(arguments)


def _choose(arguments: SimpleNamespace) -> list[Row]:
    """Choose, and write."""
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code, arguments.device, 0.0)
    decoder = predictor.decoder
    keeping = Keeping(None, {*FIELDS[decoder.kind], *TAKEN.get(arguments.format, ())})
    pool = list(read_input(arguments.pool_file, keeping, ReadingOptions(arguments.text_column_name), decoder.usual_columns))
    chosen = [pool[index] for index in choose_next(predictor, [row.text for row in pool], arguments.number, arguments.batch_size)]
    answers = predictor.predict([row.text for row in chosen], arguments.batch_size)
    shape = shaper(predictor, arguments.format)
    rows = [shape({**row.others, **answer}) for row, answer in zip(chosen, answers, strict=True)]
    write_rows(arguments.output_file, lambda: rows)
    print(f"{len(rows):,} of {len(pool):,} texts to label next are in {arguments.output_file}, the most telling first.")
    return rows
