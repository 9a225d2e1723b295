"""Export a model to ONNX, check it against PyTorch, and quantise it.

Example:
    hf-rnn export --model_name_or_path outputs/reviews --quantize true --test_file test.csv --output_dir outputs/reviews-onnx
"""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from ..arguments import DataArguments, LabelledTrainingArguments, LoadArguments
from ..data.loading import load_config, load_tokenizer
from ..data.locking import locked
from ..data.writing import check_output_dir, staged
from ..evaluation.comparison import check_comparable, measure_loss
from ..inference.loading import load
from ..options import check_given, option, pick, read_arguments
from ..tasks.decoding import HEADS, task_of

LANGUAGE_MODELS = {"ForMaskedLM": AutoModelForMaskedLM, "ForCausalLM": AutoModelForCausalLM}


@dataclass
class ExportArguments:
    """What to export, and how to check it."""

    quantize: bool = option("Write an int8 model beside it.", False, essential=True)


KINDS = (
    ExportArguments,
    LoadArguments,
    pick(LabelledTrainingArguments, output_dir="onnx"),
    pick(DataArguments, "test_file", "text_column_name", "label_column_name"),
)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Run the command; return what was measured."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    # what needs the extra [onnx] is not needed for a help text

    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    check_output_dir(arguments.output_dir, "output_dir", arguments.model_name_or_path)
    with locked(arguments.output_dir):
        return _export(arguments)


def _export(arguments: SimpleNamespace) -> dict[str, float]:
    """Write the files, and measure them."""
    # what needs the extra [onnx] is not needed for a help text
    from ..onnx.export import GRAPHS, export_onnx, quantize
    from ..onnx.runtime import MODEL_FILE, QUANTIZED_FILE
    from ..onnx.standalone import write_predictor
    from ..serving.bundle import write_server

    name, options = arguments.model_name_or_path, {"trust_remote_code": arguments.trust_remote_code}
    head = (load_config(name, arguments.trust_remote_code).architectures or [""])[0]
    task = task_of(head)
    auto_class = HEADS[task] if task else LANGUAGE_MODELS.get(head.removeprefix("Rnn"), AutoModel)
    columns = arguments.test_file, arguments.text_column_name, arguments.label_column_name
    measures = arguments.quantize and task is not None
    if measures and arguments.test_file:
        check_comparable(load(name, arguments.trust_remote_code), *columns)
    model = auto_class.from_pretrained(name, dtype=torch.float32, **options).eval()
    folder = Path(arguments.output_dir)
    tokenizer = load_tokenizer(name, arguments.trust_remote_code)
    with staged(folder, GRAPHS) as stage:
        measured = {"difference": export_onnx(model, stage)}
        tokenizer.save_pretrained(stage)
        answers = task is not None and tokenizer.is_fast
        beside = write_predictor(model.config, tokenizer, stage) if answers else []
        served = write_server(stage) if answers else []
        if arguments.quantize:
            quantize(stage)
    print(f"Wrote {_describe(folder / MODEL_FILE)}; it differs from PyTorch by {measured['difference']:.1e} at most.")
    if beside:
        print(f"Wrote {', '.join(beside)}: answers texts without torch.")
        print(f"Wrote {', '.join(served)}: answers texts over HTTP without torch.")
    if arguments.quantize:
        print(f"Wrote {_describe(folder / QUANTIZED_FILE)}.")
    if measures:
        full, quantized = (load(str(folder), file_name=file_name) for file_name in (MODEL_FILE, QUANTIZED_FILE))
        measured |= measure_loss(full, quantized, *columns)
    return measured


def _describe(path: Path) -> str:
    return f"{path} ({path.stat().st_size / 2**20:.1f} MiB)"
