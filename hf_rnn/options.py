"""What every command shares: how an option is declared, and how options are read from the command line or a JSON or YAML file."""

import json
import sys
from dataclasses import field
from pathlib import Path
from typing import Any

import yaml
from transformers import HfArgumentParser


def option(help_text: str, default: Any = None, **more: Any) -> Any:
    """Return a field of a dataclass of options; `more` is what argparse takes, such as `choices`, or `aliases`."""
    return field(default=default, metadata={"help": help_text, **more})


def parse_arguments(argv: list[str] | None, description: str | None, *kinds: type) -> tuple[Any, ...]:
    """Read options into dataclasses.

    Args:
        argv (`list`, *optional*): Arguments; those of the process by default. A first argument that ends in .json, .yaml or .yml is a
            file of options, which the rest overrides.
        description (`str`, *optional*): First line of the help text.
        kinds (`type`): Dataclasses of options.

    Returns:
        `tuple`: One of each.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv and Path(argv[0]).suffix in (".json", ".yaml", ".yml"):
        argv = [*_flatten(argv[0]), *argv[1:]]
    return tuple(HfArgumentParser(kinds, description=description).parse_args_into_dataclasses(argv))


def _flatten(path: str) -> list[str]:
    """Turn a file of options into arguments."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file of options. Check the path.")
    options = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected options as `name: value`, got {type(options).__name__}.")
    arguments = []
    for name, value in options.items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name}", *(json.dumps(single) if isinstance(single, dict) else str(single) for single in values)]
    return arguments


def check_given(arguments: Any, **needed: str) -> None:
    """Raise a ValueError that names the first of some options which is empty; each comes with what it should be."""
    for name, what in needed.items():
        if not getattr(arguments, name):
            raise ValueError(f"`{name}` is needed: {what}. Pass --{name}.")
