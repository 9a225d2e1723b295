"""What every command shares: how an option is declared, read from the command line or a JSON or YAML file, and told in a help text."""

import json
import sys
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, make_dataclass
from difflib import get_close_matches
from inspect import cleandoc
from math import inf, isfinite
from pathlib import Path
from textwrap import fill
from types import SimpleNamespace
from typing import Any, NoReturn, get_type_hints

import yaml
from transformers import HfArgumentParser

USAGE = "hf-rnn COMMAND [OPTIONS.yaml] [--OPTION VALUE ...]; --help shows the options that matter most, --help-all every one"


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Args:
        text (`str`): In the notation of mathematics: `"[0, 1)"` holds 0 and not 1; `inf` is no bound, and never a member.

    Raises:
        ValueError: The text is no interval.
    """

    text: str

    def __post_init__(self) -> None:
        self._bounds()

    def _bounds(self) -> tuple[float, float]:
        low, separator, high = self.text[1:-1].partition(",")
        if self.text[:1] not in ("[", "(") or self.text[-1:] not in ("]", ")") or not separator:
            raise ValueError(f"`text` must be an interval such as '[0, 1)', got {self.text!r}.")
        return float(low), float(high)

    def __contains__(self, value: float) -> bool:
        low, high = self._bounds()
        above = value >= low if self.text[0] == "[" else value > low
        return (isinstance(value, int) or isfinite(value)) and above and (value <= high if self.text[-1] == "]" else value < high)

    def __str__(self) -> str:
        low, high = self._bounds()
        lower = f"{'at least' if self.text[0] == '[' else 'above'} {low:g}" if low > -inf else ""
        upper = f"{'at most' if self.text[-1] == ']' else 'below'} {high:g}" if high < inf else ""
        return " and ".join(filter(None, (lower, upper))) or "finite"


class HelpText(str):
    """Help text of an option of this package: a string that knows what else there is to know of it, where argparse takes nothing more."""

    essential: bool
    within: Range | None


def option(help_text: str, default: Any = None, *, essential: bool = False, within: str | None = None, **more: Any) -> Any:
    """Return a field of a dataclass of options.

    Args:
        help_text (`str`): What the option says, in one or two lines.
        default (`Any`): Its default.
        essential (`bool`): Whether `--help` shows it; `--help-all` shows every option.
        within (`str`, *optional*): Interval of the numbers it takes, such as `"[0, 1)"`; every finite one by default.
        more: What argparse takes, such as `choices`, or `aliases`.
    """
    text = HelpText(help_text)
    text.essential, text.within = essential, Range(within) if within else None
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class OptionText:
    """What there is to tell of an option: its name, its default in words, what it does, whether it is essential, and its range in words."""

    name: str
    default: str
    help: str
    essential: bool
    within: str = ""


class HelpShown(SystemExit):
    """The end of a call that asked for help.

    Args:
        groups (`list`): What there is to tell: titles and the options under them.
    """

    def __init__(self, groups: list[tuple[str, list[OptionText]]]) -> None:
        super().__init__(0)
        self.groups = groups


def parse_arguments(
    argv: list[str] | None,
    description: str | None,
    *kinds: type,
    defaults: Mapping[str, Any] | None = None,
    first: str | None = None,
    hidden: Collection[str] = (),
    without: Mapping[str, str] | None = None,
) -> tuple[Any, ...]:
    """Read options into dataclasses; with `--help` or `--help-all` print them and exit.

    Args:
        argv (`list`, *optional*): Arguments; those of the process by default. A first argument that ends in .json, .yaml or .yml is a
            file of options, which the rest overrides.
        description (`str`, *optional*): What the command does, and an example.
        kinds (`type`): Dataclasses of options.
        defaults (`Mapping`, *optional*): What stands in for options that are None when left out, for the help text.
        first (`str`, *optional*): Option that takes what stands before all options, in place of a file of options.
        hidden (`Collection`): Options that the help text does not tell of, as they change nothing here.
        without (`Mapping`, *optional*): Options of these dataclasses that have no meaning here, and what to do instead.

    Returns:
        `tuple`: One of each.

    Raises:
        HelpShown: After the help text was printed.
        ValueError: An option is unknown, given twice in a file, of another type, or out of its range.
    """
    argv = sys.argv[1:] if argv is None else argv
    asked = {argument.replace("_", "-") for argument in argv} & {"-h", "--help", "--help-all"}
    if asked:
        told = option_groups(kinds, defaults or {})
        groups = [(title, [each for each in options if each.name not in {*hidden, *(without or ())}]) for title, options in told]
        print(help_text(description, groups, "--help-all" in asked, takes_file=first is None))
        raise HelpShown(groups)
    if first is not None and argv and not argv[0].startswith("--"):
        argv = [f"--{first}", *argv]
    argv = expand(argv)
    for word in argv:
        name = word[2:].split("=")[0].replace("-", "_") if word.startswith("--") else ""
        if without and name in without:
            raise ValueError(f"There is no option --{name} here. {without[name]}")
    return _Parser(kinds, usage=USAGE, add_help=False, allow_abbrev=False).read(argv)


def make_options(kinds: Collection[type], values: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return one of each dataclass of options, from values by name, checked as those of a command are.

    Args:
        kinds (`Collection`): Dataclasses of options.
        values (`Mapping`): Values of those that are not left out.

    Raises:
        ValueError: There is no such option, or a value is out of its range or none of its choices.
    """
    names = [each.name for kind in kinds for each in fields(kind) if each.init]
    for name in values:
        if name not in names:
            refuse(name, names)
    made = []
    for kind in kinds:
        own = {each.name: values[each.name] for each in fields(kind) if each.init and each.name in values}
        check_ranges(kind, own)
        made.append(kind(**own))
    return tuple(made)


def refuse(name: str, known: Collection[str]) -> NoReturn:
    """Raise a ValueError that says that there is no such option, and what may have been meant."""
    close = get_close_matches(name, known, n=3)
    remedy = f"Did you mean --{' or --'.join(close)}?" if close else "--help-all lists all options."
    raise ValueError(f"There is no option --{name} here. {remedy}")


def pick(kind: type, *names: str, **defaults: Any) -> Any:
    """Return a dataclass of some options of another one, so that an option is declared once however many commands take it.

    Args:
        kind (`type`): Dataclass of options.
        names (`str`): Options to take.
        defaults (`Any`): More of them, with other defaults.
    """
    chosen = []
    for each in fields(kind):
        if each.name not in {*names, *defaults}:
            continue
        default = defaults.get(each.name, each.default)
        factory = MISSING if each.name in defaults else each.default_factory
        chosen.append((each.name, get_type_hints(kind)[each.name], field(default=default, default_factory=factory, metadata=each.metadata)))
    unknown = {*names, *defaults} - {each.name for each in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no options {sorted(unknown)}.")
    made = make_dataclass(kind.__name__, chosen)
    made.__doc__ = kind.__doc__
    return made


def read_arguments(argv: list[str] | None, description: str | None, *kinds: type, **more: Any) -> Any:
    """Read options as `parse_arguments` does, and return all of them as the attributes of one namespace."""
    return SimpleNamespace(
        **{name: value for group in parse_arguments(argv, description, *kinds, **more) for name, value in vars(group).items()}
    )


def again(kind: type, name: str, default: Any) -> Any:
    """Return a field of a dataclass of options that is one of another dataclass, with another default."""
    (known,) = (each for each in fields(kind) if each.name == name)
    return field(default=default, metadata=known.metadata)


def expand(argv: list[str]) -> list[str]:
    """Return arguments with those of a file of options, if one stands first, in its place."""
    if argv and Path(argv[0]).suffix in (".json", ".yaml", ".yml"):
        return [*_flatten(argv[0]), *argv[1:]]
    return argv


def options_of(argv: list[str], *kinds: type) -> dict[str, Any]:
    """Return the options that arguments, such as the name of a file of options, set to something other than their defaults.

    Raises:
        ValueError: There is one that the dataclasses do not have.
    """
    _Parser(kinds, usage=USAGE, add_help=False, allow_abbrev=False).check_known(expand(argv))
    return given_options(argv, *kinds)


def given_options(argv: list[str], *kinds: type) -> dict[str, Any]:
    """Return the options of some dataclasses that arguments set to something other than their defaults, as they are read."""
    parser = _Parser(kinds, usage=USAGE, add_help=False, allow_abbrev=False)
    values, usual = (vars(parser.parse_known_args(each)[0]) for each in (expand(argv), []))
    return {name: value for name, value in values.items() if value != usual[name]}


class _Parser(HfArgumentParser):
    """Parser whose errors are one line, before anything is made of the options."""

    def error(self, message: str) -> NoReturn:
        """Raise a ValueError instead of printing all options."""
        # argparse names an option by all its spellings
        name, _, reason = message.removeprefix("argument ").partition(": ")
        what = f"`{name.split('/')[0].lstrip('-')}`: {reason}" if message.startswith("argument ") else message
        raise ValueError(f"{what}. --help-all tells what each option takes.")

    def check_known(self, argv: list[str]) -> Namespace:
        """Return values by the names of options; raise a ValueError at a word that is none."""
        # argparse takes what stands after = for the end of options
        for word in (each for each in argv if each[:2] == "--" and each.partition("=")[2] == "--"):
            self.error(f"argument {word[:-3]}: expected one argument")
        namespace, unknown = self.parse_known_args(argv)
        for word in unknown:
            if word.startswith("--"):
                known = [each.name for kind in self.dataclass_types for each in fields(kind) if each.init]
                refuse(word[2:].split("=")[0].replace("-", "_"), known)
        if unknown:
            raise ValueError(f"Unexpected {unknown[0]!r}: every option starts with --, and those that take one value take one.")
        return namespace

    def read(self, argv: list[str]) -> tuple[Any, ...]:
        """Return one of each dataclass; check what is given before one is made."""
        namespace = self.check_known(argv)
        made = []
        for kind in self.dataclass_types:
            values = {each.name: getattr(namespace, each.name) for each in fields(kind) if each.init}
            check_ranges(kind, values)
            # the parser takes them as text
            for name in getattr(kind, "_VALID_DICT_FIELDS", ()):
                if isinstance(values.get(name), str):
                    _check_object(name, values[name])
            made.append(kind(**values))
        return tuple(made)


def check_ranges(kind: type, values: Mapping[str, Any]) -> None:
    """Raise a ValueError if a number is out of the range of its option.

    Args:
        kind (`type`): Dataclass of options; `kind.ranges` has the ranges of fields that it inherits without one.
        values (`Mapping`): Values by name.
    """
    for each in fields(kind):
        given = values.get(each.name)
        within = getattr(each.metadata.get("help"), "within", None) or Range(getattr(kind, "ranges", {}).get(each.name, "(-inf, inf)"))
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and value not in within and value != each.default:
                raise ValueError(f"`{each.name}` must be {within}, got {value}. Pass another --{each.name}.")
            choices = each.metadata.get("choices")
            if choices and value is not None and value not in choices:
                raise ValueError(f"`{each.name}` must be one of {tuple(choices)}, got {value!r}. Pass another --{each.name}.")


def _check_object(name: str, value: str) -> None:
    """Raise a ValueError if an option that takes a JSON object is given another value that looks like JSON."""
    if value[:1] not in ("{", "["):
        # the path of a file
        return
    try:
        if isinstance(json.loads(value), dict):
            return
        reason = "a list"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise ValueError(f"`{name}` must be a JSON object, got {value[:80]!r} ({reason}). Pass --{name} '{{...}}'.")


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
    about, within = " ".join(text.split()), str(getattr(text, "within", None) or "")
    return OptionText(each.name, _default(each, defaults), about, getattr(text, "essential", False), within)


def _default(each: Field, defaults: Mapping[str, Any]) -> str:
    """Return a default in words, empty if there is none to tell."""
    value = each.default_factory() if each.default_factory is not MISSING else each.default
    value = defaults.get(each.name) if value is None else value
    told = str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))
    return "" if value in (None, "", MISSING) else told


def help_text(description: str | None, groups: list[tuple[str, list[OptionText]]], everything: bool, takes_file: bool = True) -> str:
    """Return what a command does, an example, and its options: the essential ones, or all in groups."""
    blocks = [cleandoc(description or "")]
    if everything:
        blocks += [f"{title}\n" + "\n".join(_describe(each, each.within) for each in group) for title, group in groups]
        return "\n\n".join(blocks)
    told = [each for _, group in groups for each in group]
    chosen = [each for each in told if each.essential] or told
    blocks.append("\n".join(_describe(each) for each in chosen))
    closing = ["Options may stand in a YAML or JSON file, given first."] if takes_file else []
    closing += [] if chosen == told else [f"--help-all lists all {len(told)}."]
    blocks += [" ".join(closing)] if closing else []
    return "\n\n".join(blocks)


def _describe(each: OptionText, within: str = "", column: int = 32, width: int = 120) -> str:
    """Return an option as a line of a table, and more lines where its text is long."""
    name = f"  --{each.name}"
    text = each.help + (f" [{each.default}]" if each.default else "") + (f" ({within})" if within else "")
    first = f"{name:{column}}" if len(name) < column else f"{name}\n{'':{column}}"
    return first + fill(text, width, initial_indent=" " * column, subsequent_indent=" " * column).lstrip()


class _Loader(yaml.SafeLoader):
    """Loader that takes each name once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Return a mapping; raise an error at a name that stands twice."""
        seen = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the option {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _flatten(path: str) -> list[str]:
    """Turn a file of options into arguments."""
    if not Path(path).is_file():
        raise ValueError(f"{path}: there is no such file of options. Check the path.")
    options = _read_options(path)
    if not isinstance(options, dict):
        raise ValueError(f"{path}: expected options as `name: value`, got {type(options).__name__}.")
    arguments = []
    for name, value in options.items():
        if not isinstance(name, str):
            raise ValueError(f"{path}: {name!r} is no name of an option. Write `name: value`.")
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name}", *(json.dumps(single) if isinstance(single, (dict, list)) else str(single) for single in values)]
    return arguments


def _read_options(path: str) -> Any:
    """Return what a YAML or JSON file holds: JSON is YAML, but for tabs."""
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8").replace("\t", "  "), _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{path}, line {line}: {error.problem}. Mend the file; options stand in it as `name: value`.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}. Mend the file; options stand in it as `name: value`.") from None


def check_given(arguments: Any, **needed: str) -> None:
    """Raise a ValueError that names the first of some options which is empty; each comes with what it should be."""
    for name, what in needed.items():
        if not getattr(arguments, name):
            raise ValueError(f"`{name}` is needed: {what}. Pass --{name}.")
