"""Save a model in half precision, and measure what that costs.

Example:
    hf-rnn convert --model_name_or_path outputs/reviews --dtype float16 --test_file test.csv --output_dir outputs/half
"""

from dataclasses import dataclass
from pathlib import Path

from ..data.locking import locked
from ..data.writing import check_output_dir
from ..evaluation.comparison import ComparisonArguments, check_comparable, compare
from ..inference.loading import load
from ..options import check_given, option, parse_arguments
from ..sharing.converting import DTYPES, convert


@dataclass
class ConvertArguments(ComparisonArguments):
    """What to save, and how."""

    model_name_or_path: str = option("Checkpoint, folder or Hub name.", "")
    output_dir: str = option("Folder for the smaller checkpoint.", "converted")
    dtype: str = option("float16, bfloat16 or float32.", "float16", choices=list(DTYPES))
    trust_remote_code: bool = option("Run model code that comes with the checkpoint.", False)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return what was measured."""
    (arguments,) = parse_arguments(argv, __doc__, ConvertArguments)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    check_output_dir(arguments.output_dir, "output_dir", arguments.model_name_or_path, arguments.test_file)
    full = load(arguments.model_name_or_path, arguments.trust_remote_code)
    check_comparable(full, arguments)
    folders = Path(arguments.model_name_or_path), Path(arguments.output_dir)
    with locked(arguments.output_dir):
        convert(full, *folders, arguments.dtype)
    sizes = [sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20 for folder in folders]
    print(f"Saved {folders[1]}: {sizes[1]:.1f} MiB" + (f", {sizes[0]:.1f} before." if sizes[0] else "."))
    return compare(full, load(arguments.output_dir, arguments.trust_remote_code), arguments)
