"""Write a page that runs a trained classifier or tagger in the browser; open it, or push it to the Hub as a static Space.

Example:
    hf-rnn demo --model_name_or_path outputs/reviews --examples "정말 재미있어요" "시간이 아깝다" --output_dir page --serve true
"""

from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from huggingface_hub.utils import validate_repo_id

from ..arguments import CardArguments, HubArguments, LabelledTrainingArguments, LoadArguments, ServeArguments
from ..data.locking import locked
from ..data.writing import check_output_dir
from ..inference.loading import load
from ..options import check_given, option, pick, read_arguments
from ..sharing.hub import push_space


@dataclass
class DemoArguments:
    """What to show, and where."""

    # option() returns a field
    examples: list[str] | None = option("Texts to try.", essential=True)  # noqa: RUF009
    serve: bool = option("Serve the page on this machine until Ctrl+C.", False, essential=True)
    push: str | None = option("Space on the Hub, user/name, to push the page to.", essential=True)


KINDS = (
    DemoArguments,
    LoadArguments,
    HubArguments,
    pick(ServeArguments, "port"),
    pick(CardArguments, "title"),
    pick(LabelledTrainingArguments, output_dir="page"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    # what needs the extra [onnx] is not needed for a help text
    from ..demo.page import write_page

    check_given(arguments, model_name_or_path="the folder or Hub name of a trained model")
    check_output_dir(arguments.output_dir, "output_dir", arguments.model_name_or_path)
    if arguments.push:
        # before any work
        validate_repo_id(arguments.push)
    predictor = load(arguments.model_name_or_path, arguments.trust_remote_code)
    title = arguments.title or Path(arguments.model_name_or_path).name
    folder, card = Path(arguments.output_dir), Path(arguments.model_name_or_path) / "README.md"
    told = card.read_text(encoding="utf-8") if card.is_file() else None
    with locked(folder):
        files = write_page(predictor.model, predictor.tokenizer, folder, title, arguments.examples or (), told)
    size = sum((folder / name).stat().st_size for name in files)
    print(f"Wrote {folder} ({size / 2**20:.1f} MiB): a page for any server of static files.")
    if arguments.push:
        print(f"Pushed: {push_space(folder, files, arguments.push, arguments.private).commit_url}")
    if arguments.serve:
        serve(folder, arguments.port)


def serve(folder: Path, port: int) -> None:
    """Serve a folder on this machine alone, until Ctrl+C."""
    with ThreadingHTTPServer(("127.0.0.1", port), partial(SimpleHTTPRequestHandler, directory=str(folder))) as server:
        print(f"Open http://127.0.0.1:{server.server_port}; Ctrl+C ends it.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
