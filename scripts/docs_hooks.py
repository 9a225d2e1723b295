"""What MkDocs fills in when it builds the documentation: every option from its one description, and the recipes from their folder."""

import html
import io
import re
from contextlib import redirect_stdout
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from types import ModuleType
from typing import Any

from hf_rnn.commands.cli import COMMANDS
from hf_rnn.options import HelpShown, OptionText

RECIPES = Path(__file__).parent / "recipes"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put generated text in place of the comments that ask for it."""
    markdown = re.sub("<!-- options -->", lambda _: options_page(), markdown)
    markdown = re.sub("<!-- recipe (\\w+) -->", lambda found: _recipe(found[1]), markdown)
    return re.sub("<!-- recipes -->", lambda _: _recipes(), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Show types as the docstrings mean them, not as they are marked there, and mark options, whose dashes no line may part from them."""
    content = re.sub("<code>([^<]*--[^<]*)</code>", lambda found: f"<code>{_whole_options(found[1])}</code>", content)
    content = re.sub("<code>`([^`]*)`, [*]optional[*]</code>", r"<code>\1</code>, optional", content)
    return re.sub("<code>(`[^<]*)</code>", lambda found: f"<code>{found[1].replace('`', '')}</code>", content)


def _whole_options(code: str) -> str:
    return re.sub(r"--\w[\w-]{0,30}", lambda found: f'<span class="option">{found[0]}</span>', code)


def options_page() -> str:
    """Return a section for each command, with tables of its options; those of transformers once, at the end."""
    sections, inherited = [], ""
    first = {module: name for name, (module, _) in reversed(COMMANDS.items())}
    for name, (module_name, _) in COMMANDS.items():
        if first[module_name] != name:
            # an older name
            continue
        module = import_module(f"hf_rnn.commands.{module_name}")
        description, _, example = cleandoc(module.__doc__ or "").partition("\n\nExample:\n")
        sections.append(f"## {name}\n\n{description}\n\n```bash\n{cleandoc(example)}\n```")
        for title, options in _groups(module):
            if title.startswith("Options of"):
                inherited = _table(options)
            else:
                sections.append(f"**{title}**\n\n{_table(options)}")
    return "\n\n".join([*sections, "## Options of transformers.TrainingArguments", "The commands that train take them too.", inherited])


def _groups(module: ModuleType) -> list[tuple[str, list[OptionText]]]:
    """Return what the help text of a command tells."""
    with redirect_stdout(io.StringIO()):
        try:
            module.main(["--help-all"])
        except HelpShown as shown:
            return shown.groups
    raise RuntimeError(f"{module.__name__} shows no help.")


def _table(options: list[OptionText]) -> str:
    rows = "\n".join(f"| `--{each.name}` | {_code(each.default)} | {_inert(each.help)} |" for each in options)
    return f'<div class="options" markdown>\n\n| option | default | what it says |\n| --- | --- | --- |\n{rows}\n\n</div>'


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _inert(text: str) -> str:
    """Return text that means nothing to Markdown tables, links and HTML."""
    return re.sub(r"([\[\]|*_<>])", lambda found: f"&#{ord(found[1])};", html.unescape(text))


def _recipe(name: str) -> str:
    return f'```yaml title="scripts/recipes/{name}.yaml"\n{(RECIPES / f"{name}.yaml").read_text(encoding="utf-8").strip()}\n```'


def _recipes() -> str:
    """Return the page of the recipes without its title, its links to files as names."""
    text = (RECIPES / "README.md").read_text(encoding="utf-8").partition("\n")[2]
    return re.sub(r"\[(\w+)\]\(\w+\.yaml\)", r"`\1`", text)
