"""What every command shares: how an option is declared, read from the command line or a JSON or YAML file, and told in a help text."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from inspect import cleandoc
from pathlib import Path
from textwrap import fill
from typing import Any

import yaml
from transformers import HfArgumentParser

USAGE = "hf-rnn COMMAND [OPTIONS.yaml] [--OPTION VALUE ...]; --help shows the options that matter most, --help-all every one"


class HelpText(str):
    """Help text of an option of this package: a string that knows whether `--help` shows it, where argparse takes nothing more."""

    essential: bool


def option(help_text: str, default: Any = None, *, essential: bool = False, **more: Any) -> Any:
    """Return a field of a dataclass of options.

    Args:
        help_text (`str`): What the option says, in one or two lines.
        default (`Any`): Its default.
        essential (`bool`): Whether `--help` shows it; `--help-all` shows every option.
        more: What argparse takes, such as `choices`, or `aliases`.
    """
    text = HelpText(help_text)
    text.essential = essential
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class OptionText:
    """What there is to tell of an option: its name, its default in words, what it does, and whether it is essential."""

    name: str
    default: str
    help: str
    essential: bool


class HelpShown(SystemExit):
    """The end of a call that asked for help.

    Args:
        groups (`list`): What there is to tell: titles and the options under them.
    """

    def __init__(self, groups: list[tuple[str, list[OptionText]]]) -> None:
        super().__init__(0)
        self.groups = groups


def parse_arguments(
    argv: list[str] | None, description: str | None, *kinds: type, defaults: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """Read options into dataclasses; with `--help` or `--help-all` print them and exit.

    Args:
        argv (`list`, *optional*): Arguments; those of the process by default. A first argument that ends in .json, .yaml or .yml is a
            file of options, which the rest overrides.
        description (`str`, *optional*): What the command does, and an example.
        kinds (`type`): Dataclasses of options.
        defaults (`Mapping`, *optional*): What stands in for options that are None when left out, for the help text.

    Returns:
        `tuple`: One of each.

    Raises:
        HelpShown: After the help text was printed.
    """
    argv = sys.argv[1:] if argv is None else argv
    asked = {argument.replace("_", "-") for argument in argv} & {"-h", "--help", "--help-all"}
    if asked:
        groups = list(option_groups(kinds, defaults or {}))
        print(help_text(description, groups, "--help-all" in asked))
        raise HelpShown(groups)
    if argv and Path(argv[0]).suffix in (".json", ".yaml", ".yml"):
        argv = [*_flatten(argv[0]), *argv[1:]]
    return tuple(HfArgumentParser(kinds, usage=USAGE, add_help=False).parse_args_into_dataclasses(argv))


def option_groups(kinds: tuple[type, ...], defaults: Mapping[str, Any]) -> Iterator[tuple[str, list[OptionText]]]:
    """Yield the options of dataclasses in groups: a title and its options; last those that come from transformers.

    Args:
        kinds (`tuple`): Dataclasses of options.
        defaults (`Mapping`): What stands in for options that are None when left out.
    """
    inherited: list[OptionText] = []
    for kind in kinds:
        own: list[OptionText] = []
        for each in fields(kind):
            if not each.init:
                continue
            (own if isinstance(each.metadata.get("help"), HelpText) else inherited).append(_tell(each, defaults))
        yield cleandoc(kind.__doc__ or kind.__name__).split("\n\n")[0], own
    if inherited:
        yield "Options of `transformers.TrainingArguments`.", inherited


def _tell(each: Field, defaults: Mapping[str, Any]) -> OptionText:
    text = each.metadata.get("help") or ""
    return OptionText(each.name, _default(each, defaults), " ".join(text.split()), getattr(text, "essential", False))


def _default(each: Field, defaults: Mapping[str, Any]) -> str:
    """Return a default in words, empty if there is none to tell."""
    value = each.default_factory() if each.default_factory is not MISSING else each.default
    if value is None:
        value = defaults.get(each.name)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in (None, "", MISSING) else str(getattr(value, "value", value))


def help_text(description: str | None, groups: list[tuple[str, list[OptionText]]], everything: bool) -> str:
    """Return what a command does, an example, and its options: the essential ones, or all in groups."""
    blocks = [cleandoc(description or "")]
    if everything:
        blocks += [f"{title}\n" + "\n".join(_describe(each) for each in group) for title, group in groups]
        return "\n\n".join(blocks)
    told = [each for _, group in groups for each in group]
    chosen = [each for each in told if each.essential] or told
    blocks.append("\n".join(_describe(each) for each in chosen))
    blocks.append(
        "Options may stand in a YAML or JSON file, given first." + ("" if chosen == told else f" --help-all lists all {len(told)}.")
    )
    return "\n\n".join(blocks)


def _describe(each: OptionText, column: int = 32, width: int = 120) -> str:
    """Return an option as a line of a table, and more lines where its text is long."""
    name = f"  --{each.name}"
    text = each.help + (f" [{each.default}]" if each.default else "")
    first = f"{name:{column}}" if len(name) < column else f"{name}\n{'':{column}}"
    return first + fill(text, width, initial_indent=" " * column, subsequent_indent=" " * column).lstrip()


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
