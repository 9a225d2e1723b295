"""Hashes of what answers depend on: models by all that is loaded of them, data by what its files hold."""

import hashlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .digests import file_digest
from .loading import load_config

# what a training leaves in the folder of a model, and nothing loads
NOT_LOADED = (
    *("README.md", "*_results.json", "trainer_state.json", "training_args.bin", "checksums.json", "distillation.json"),
    *("*.jsonl", "report.txt", "*.html", "*.png", "*.part-*", "*.run", "*.partial", ".*"),
)
# folders of checkpoints and of logs
FOLDERS_NOT_LOADED = ("checkpoint-*", "runs", "_folds", ".*")
# how options end that name files or folders to read
NAMING = ("_file", "_files", "_path", "teacher", "embeddings_from", "tokenizer_name", "config_name")


def fingerprint(name: str, trust_remote_code: bool = False) -> str:
    """Return a hash of all that is loaded of a model: config, weights, tokenizer, code; of a name on the Hub, of it and its revision.

    Args:
        name (`str`): Folder or Hub name.
        trust_remote_code (`bool`): Whether to run code that comes with its config.

    Raises:
        ValueError: The folder holds an adapter, whose model lies elsewhere.
    """
    digest = hashlib.sha256()
    folder = Path(name)
    if folder.is_dir():
        if (folder / "adapter_config.json").exists():
            raise ValueError(f"{name!r} holds an adapter, whose model may change without it. Merge the two, and save the whole model.")
        for path in sorted(_loaded_files(folder)):
            digest.update(f"{path.relative_to(folder)}\0{file_digest(path)}\n".encode(errors="surrogateescape"))
    else:
        digest.update(f"{name} {load_config(name, trust_remote_code)._commit_hash}".encode())
    return digest.hexdigest()[:32]


def _loaded_files(folder: Path) -> Iterator[Path]:
    """Yield every file of a folder that is not known to be none of the model."""
    for path in folder.iterdir():
        unwanted = FOLDERS_NOT_LOADED if path.is_dir() else NOT_LOADED
        if any(fnmatch(path.name, pattern) for pattern in unwanted):
            continue
        if path.is_dir():
            yield from _loaded_files(path)
        elif path.is_file():
            yield path


def contents(options: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash of what each option names that stands for files or folders of models, as far as they are there.

    Args:
        options (`Mapping`): Values by name.
    """
    found = {}
    for name, value in options.items():
        if not name.endswith(NAMING):
            continue
        paths = [Path(each) for each in (value if isinstance(value, list) else [value]) if isinstance(each, str) and each]
        sums = [file_digest(path) if path.is_file() else fingerprint(str(path)) for path in paths if path.exists()]
        if sums:
            found[name] = hashlib.sha256(" ".join(sums).encode()).hexdigest()[:32]
    return found
