"""Where the data of a run comes from, in the words of its card."""

from pathlib import Path

from ..distillation.arguments import DistillationArguments
from ..sharing.cards import code
from ..training.arguments import DataArguments


def describe_data(data: DataArguments, distillation: DistillationArguments | None = None) -> tuple[str, str]:
    """Return a name for the data and Markdown about where it comes from: files without their folders, or the Hub's data set."""
    added = _describe_teachers(distillation) if distillation and distillation.teacher_name_or_path else []
    if data.dataset_name:
        return data.dataset_name, "\n".join([f"- Data set {code(data.dataset_name)} of the Hub", *added])
    files = {"training": data.train_file, "validation": data.validation_file, "test": data.test_file}
    lines = [f"- {split}: {code(Path(path).name)}" for split, path in files.items() if path]
    if data.train_file and not data.validation_file and data.validation_share:
        lines.append(f"- validation: {data.validation_share:.0%} of the training rows, drawn with seed {data.split_seed}")
    name = Path(data.train_file or data.validation_file or data.test_file or "data").name
    return name, "\n".join([*lines, *added])


def _describe_teachers(distillation: DistillationArguments) -> list[str]:
    names = ", ".join(code(Path(name).name) for name in distillation.teacher_name_or_path or ())
    shares = f"weight {distillation.distillation_alpha}, temperature {distillation.distillation_temperature}"
    lines = [f"- answers of {names}, {shares}"]
    if distillation.augment:
        lines.append(f"- {distillation.augment:,} rows made up from the training rows, answered likewise")
    if distillation.unlabeled_file:
        lines.append(f"- texts without labels, answered likewise: {code(Path(distillation.unlabeled_file).name)}")
    return lines
