"""Save a model in half precision, and measure what that costs.

Example:
    hf-rnn convert --model_name_or_path outputs/reviews --dtype float16 --test_file test.csv --output_dir outputs/half
"""

from dataclasses import dataclass
from pathlib import Path

from ..arguments import DataArguments, LabelledTrainingArguments, LoadArguments
from ..data.locking import locked
from ..data.writing import check_output_dir
from ..evaluation.comparison import check_comparable, measure_loss
from ..inference.loading import load
from ..options import check_given, option, pick, read_arguments
from ..sharing.converting import DTYPES, convert


@dataclass
class ConvertArguments:
    """What to save, and how."""

    dtype: str = option("float16, bfloat16 or float32.", "float16", choices=list(DTYPES), essential=True)


KINDS = (
    ConvertArguments,
    LoadArguments,
    pick(LabelledTrainingArguments, output_dir="converted"),
    pick(DataArguments, "test_file", "text_column_name", "label_column_name"),
)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return what was measured."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    check_output_dir(arguments.output_dir, "output_dir", arguments.model_name_or_path, arguments.test_file)
    columns = arguments.test_file, arguments.text_column_name, arguments.label_column_name
    full = load(arguments.model_name_or_path, arguments.trust_remote_code)
    check_comparable(full, *columns)
    folders = Path(arguments.model_name_or_path), Path(arguments.output_dir)
    with locked(arguments.output_dir):
        convert(full, *folders, arguments.dtype)
    sizes = [sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20 for folder in folders]
    print(f"Saved {folders[1]}: {sizes[1]:.1f} MiB" + (f", {sizes[0]:.1f} before." if sizes[0] else "."))
    return measure_loss(full, load(arguments.output_dir, arguments.trust_remote_code), *columns)
