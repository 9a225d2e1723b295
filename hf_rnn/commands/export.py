"""Export a model to ONNX, check it against PyTorch, and quantise it.

Example:
    hf-rnn export --model_name_or_path outputs/reviews --quantize true --test_file test.csv --output_dir outputs/reviews-onnx
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from ..data.loading import load_config, load_tokenizer
from ..data.writing import check_output_dir
from ..evaluation.comparison import ComparisonArguments, check_comparable, compare
from ..inference.loading import HEADS, auto_class_of, load
from ..onnx.export import export_onnx, quantize
from ..onnx.runtime import MODEL_FILE, QUANTIZED_FILE
from ..onnx.standalone import write_predictor
from ..options import check_given, option, parse_arguments


@dataclass
class ExportArguments(ComparisonArguments):
    """What to export, and how to check it."""

    model_name_or_path: str = option("Checkpoint, folder or Hub name.", "")
    output_dir: str = option("Folder for the ONNX file, its config and tokenizer.", "onnx")
    quantize: bool = option("Write an int8 model beside it.", False)
    trust_remote_code: bool = option("Run model code that comes with the checkpoint.", False)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return what was measured."""
    (arguments,) = parse_arguments(argv, __doc__, ExportArguments)
    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    check_output_dir(arguments.output_dir, "output_dir", arguments.model_name_or_path)
    name, options = arguments.model_name_or_path, {"trust_remote_code": arguments.trust_remote_code}
    head = (load_config(name, arguments.trust_remote_code).architectures or [""])[0]
    auto_class = auto_class_of(head, (*HEADS, AutoModelForMaskedLM, AutoModelForCausalLM)) or AutoModel
    measures = arguments.quantize and auto_class in HEADS
    if measures and arguments.test_file:
        check_comparable(load(name, arguments.trust_remote_code), arguments)
    model = auto_class.from_pretrained(name, dtype=torch.float32, **options).eval()
    folder = Path(arguments.output_dir)
    measured = {"difference": export_onnx(model, folder)}
    tokenizer = load_tokenizer(name, arguments.trust_remote_code)
    tokenizer.save_pretrained(folder)
    print(f"Wrote {_describe(folder / MODEL_FILE)}; it differs from PyTorch by {measured['difference']:.1e} at most.")
    if auto_class in HEADS and tokenizer.is_fast:
        print(f"Wrote {', '.join(write_predictor(model.config, tokenizer, folder))}: answers texts without torch.")
    if arguments.quantize:
        quantize(folder)
        print(f"Wrote {_describe(folder / QUANTIZED_FILE)}.")
    if measures:
        full, quantized = (load(str(folder), file_name=file_name) for file_name in (MODEL_FILE, QUANTIZED_FILE))
        measured |= compare(full, quantized, arguments)
    return measured


def _describe(path: Path) -> str:
    return f"{path} ({path.stat().st_size / 2**20:.1f} MiB)"
