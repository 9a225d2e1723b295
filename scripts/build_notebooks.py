"""Write and run the notebooks of the documentation, each source of scripts/notebooks in two languages: `make notebooks`."""

import argparse
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SOURCES = Path(__file__).parent / "notebooks"
FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
LANGUAGES = ("en", "ko")


def main() -> None:
    """Write notebooks with what their cells print and draw."""
    sources = {source.stem: source for source in sorted(SOURCES.glob("*.py"))}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(sources)}; all by default")
    for name in parser.parse_args().names or sources:
        source = sources[name]
        for language in LANGUAGES:
            notebook = in_language(source, language)
            # what they write goes away with the folder that they run in
            with tempfile.TemporaryDirectory() as folder:
                NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
            for cell in notebook.cells:
                # when a cell ran, and what libraries say about the machine, is nobody's business
                cell.metadata.clear()
                if cell.cell_type == "code":
                    cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            nbformat.write(notebook, FOLDER / f"{source.stem}.{language}.ipynb")


def in_language(source: Path, language: str) -> nbformat.NotebookNode:
    """Return a source as a notebook with its code and the text of one language."""
    notebook = jupytext.read(source)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code" or cell.metadata.get("lang") == language]
    for index, cell in enumerate(notebook.cells):
        cell.id = f"cell-{index}"
        cell.metadata.clear()
    notebook.metadata = nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    return notebook


if __name__ == "__main__":
    main()
