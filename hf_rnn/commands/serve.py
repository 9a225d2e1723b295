"""Answer texts over HTTP by trained models: checkpoints, or folders that `hf-rnn export` wrote.

Example:
    hf-rnn serve outputs/reviews-onnx pos=outputs/pos --port 8000
"""

import logging
import sys
from dataclasses import dataclass

from ..arguments import LoadArguments, ServeArguments, UseArguments
from ..options import check_given, option, pick, read_arguments
from ..serving.limits import Limits


@dataclass
class ServerArguments:
    """What to serve, and to whom: models as folders or Hub names, each after NAME= if it is to be called otherwise."""

    host: str = option("Address to listen at; 0.0.0.0 for all of this machine's.", "127.0.0.1", essential=True)
    token_file: str | None = option("File with a token that requests have to carry as `Authorization: Bearer TOKEN`.", essential=True)
    quantized: bool = option("Run the int8 graphs of exported folders.", False, essential=True)
    threads: int = option("Threads of one batch.", 1, within="[1, 1024]")
    log_requests: bool = option("Write a line for each request, without its texts.", True)
    log_texts: bool = option("Write the texts too.", False)


@dataclass
class BoundArguments:
    """How much a request, and all of them, may ask for."""

    max_request_bytes: int = option("Bytes of a request.", Limits.max_request_bytes, within="[1, 1073741824]")
    max_texts: int = option("Texts of a request.", Limits.max_texts, within="[1, inf)")
    max_characters: int = option("Characters of a text.", Limits.max_characters, within="[1, inf)")
    max_waiting: int = option("Texts of a model that may wait; further ones are refused.", Limits.max_waiting, within="[1, inf)")
    max_connections: int = option("Connections at a time.", Limits.max_connections, within="[1, inf)")
    request_timeout: float = option(
        "Seconds for a request to arrive, and again for its answer.", Limits.request_timeout, within="(0, 3600]"
    )
    batch_wait: float = option("Milliseconds that the first text of a batch waits for others.", Limits.batch_wait, within="[0, 10000]")


KINDS = (
    ServeArguments,
    ServerArguments,
    BoundArguments,
    pick(UseArguments, "long_texts", batch_size=Limits.batch_size),
    pick(LoadArguments, "trust_remote_code"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the command, until a signal ends it."""
    arguments = read_arguments(argv, __doc__, *KINDS, first="models")
    check_given(arguments, models="checkpoints or exported folders")
    # the help text does not need the extra
    from ..serving.app import Service
    from ..serving.engines import read_sources
    from ..serving.server import open_models, read_token, serve

    token = read_token(arguments.token_file)
    options = {name: getattr(arguments, name) for name in ("quantized", "threads", "trust_remote_code", "long_texts")}
    limits = Limits.of(arguments)
    models = open_models(read_sources(arguments.models, **options), limits)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("hf_rnn.serving").setLevel(logging.INFO if arguments.log_requests else logging.WARNING)
    serve(Service(models, limits, token, arguments.log_texts), arguments.host, arguments.port)
