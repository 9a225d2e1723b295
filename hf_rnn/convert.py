"""Save a model in half precision, and measure what that costs."""

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from . import predict
from .arguments import option, parse_arguments
from .comparison import ComparisonArguments, compare

DTYPES = ("float16", "bfloat16", "float32")


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
    source, target = Path(arguments.model_name_or_path), Path(arguments.output_dir)
    if not arguments.model_name_or_path:
        raise ValueError("`model_name_or_path` is needed: the folder or Hub name of a trained model. Pass --model_name_or_path.")
    if source.resolve() == target.resolve():
        raise ValueError(f"`output_dir` {arguments.output_dir!r} is the folder of the model itself. Pass another --output_dir.")
    model, tokenizer = predict.load(arguments.model_name_or_path, arguments.trust_remote_code)
    dtype = getattr(torch, arguments.dtype)
    for name, parameter in model.named_parameters():
        if not parameter.to(dtype).isfinite().all():
            raise ValueError(f"Weight {name!r} has values beyond the range of {arguments.dtype}. Pass --dtype bfloat16.")
    # the card, its pictures and the figures it quotes; weights, config and code are written anew
    for path in (path for pattern in ("README.md", "*.png", "*_results.json", "report.txt") for path in source.glob(pattern)):
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / path.name)
    copy.deepcopy(model).to(dtype).save_pretrained(target)
    tokenizer.save_pretrained(target)
    sizes = [sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20 for folder in (source, target)]
    print(f"Saved {target}: {sizes[1]:.1f} MiB" + (f", {sizes[0]:.1f} before." if sizes[0] else "."))
    return compare(model, predict.load(str(target), arguments.trust_remote_code)[0], tokenizer, arguments)
