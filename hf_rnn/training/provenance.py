"""Where the data of a run comes from, in the words of its card."""

from pathlib import Path

from ..arguments import DataArguments
from ..sharing.cards import code


def describe_data(data: DataArguments, more: list[str]) -> tuple[str, str]:
    """Return a name for the data and Markdown about where it comes from: files without their folders, or the Hub's data set.

    Args:
        data (`DataArguments`): Names files or a data set; neither stands for rows in memory.
        more (`list`): Lines about what else was learnt from.
    """
    if data.dataset_name:
        return data.dataset_name, "\n".join([f"- Data set {code(data.dataset_name)} of the Hub", *more])
    files = {"training": data.train_file, "validation": data.validation_file, "test": data.test_file, "learnt again": data.replay_file}
    files["of no label"] = data.outside_file
    lines = [f"- {split}: {code(Path(path).name)}" for split, path in files.items() if path] or ["- Rows in memory"]
    if data.train_file and not data.validation_file and data.validation_share:
        lines.append(f"- validation: {data.validation_share:.0%} of the training rows, drawn with seed {data.split_seed}")
    name = Path(data.train_file or data.validation_file or data.test_file or "data").name
    return name, "\n".join([*lines, *more])
