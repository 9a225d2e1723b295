"""The server of exported folders alone, as `server.pyz` beside them runs it: without PyTorch, transformers and the options of commands."""

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path

from .app import Service
from .engines import read_sources
from .limits import Limits
from .opening import is_exported
from .server import open_models, read_token, serve


def main(argv: list[str] | None = None, home: str | Path = ".") -> int:
    """Serve exported folders until a signal ends it; return the exit status.

    Args:
        argv (`list`, *optional*): Arguments; those of the process by default.
        home (`str`): Folder that is served where none is named.
    """
    parser = argparse.ArgumentParser(prog="server.pyz", description="Answer texts over HTTP by exported models.")
    parser.add_argument("models", nargs="*", default=[str(home)], help="folders, each after NAME= if it is to be called otherwise")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for all of this machine's [127.0.0.1]")
    parser.add_argument("--port", type=int, default=8000, help="port; 0 for any that is free [8000]")
    parser.add_argument("--token_file", help="file with a token that requests have to carry as `Authorization: Bearer TOKEN`")
    parser.add_argument("--quantized", type=_truth, nargs="?", const=True, default=False, help="run the int8 graphs [false]")
    parser.add_argument("--threads", type=int, default=1, help="threads of one batch [1]")
    parser.add_argument("--long_texts", choices=("truncate", "windows", "whole"), help="how classifiers read long texts")
    parser.add_argument("--log_requests", type=_truth, default=True, help="write a line for each request, without its texts [true]")
    parser.add_argument("--log_texts", type=_truth, default=False, help="write the texts too [false]")
    for each in fields(Limits):
        parser.add_argument(f"--{each.name}", type=type(each.default), default=each.default, help=f"[{each.default}]")
    arguments = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger(__package__).setLevel(logging.INFO if arguments.log_requests else logging.WARNING)
    try:
        limits = Limits.of(arguments)
        sources = read_sources(arguments.models, **{name: getattr(arguments, name) for name in ("quantized", "threads", "long_texts")})
        for source in sources:
            if not is_exported(source.path):
                raise ValueError(
                    f"{source.path!r} is no folder that `hf-rnn export` wrote. Pass one; `hf-rnn serve` takes checkpoints too."
                )
        service = Service(open_models(sources, limits), limits, read_token(arguments.token_file), arguments.log_texts)
        serve(service, arguments.host, arguments.port)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _truth(text: str) -> bool:
    """Return what an option of a command says, as those of the package take it."""
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {text!r}")
    return text.lower() == "true"
