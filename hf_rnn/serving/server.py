"""Listen: connections within bounds, models loaded anew on a signal, and an end that waits for answers."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .app import Service
from .batching import Model
from .engines import Source
from .limits import Limits
from .opening import open_engine

logger = logging.getLogger(__name__)

# bytes of an address and of headers
MAX_HEAD = 2**15
# seconds that a connection may be idle between requests
KEEP_ALIVE = 60


class Outlet:
    """A transport on which what comes too late is lost without an error, as with asyncio's own, whichever loop it belongs to.

    Args:
        transport (`Transport`): What is written to while it is open.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing
        self.close = transport.close
        self.pause_reading = transport.pause_reading
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        """Send data, unless nobody is there any more."""
        if not self.is_closing():
            self._transport.write(data)

    def resume_reading(self) -> None:
        """Read on, unless nobody is there any more."""
        if not self.is_closing():
            self._transport.resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """A connection on which the head of each request has to arrive soon, and is of a size."""

    head_timeout = 30.0
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a head."""
        super().connection_made(cast(asyncio.Transport, Outlet(transport)))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take what arrives; it belongs to a head unless a request is being answered."""
        if self._is_between_requests():
            self._await_head()
            self._head_bytes += len(data)
            # the rest of a piece may be the body
            if self._head_bytes > MAX_HEAD + len(data):
                self.send_400_response("The head of a request may have 32 KiB.")
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Go on with the body, which `reading` bounds."""
        self._cancel_timer()
        self._head_bytes = 0
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._cancel_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Tell what is wrong in JSON, and hang up."""
        body = json.dumps({"error": msg, "error_type": "validation"}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        if self.cycle is None or not self.cycle.response_started:
            self.transport.write(head.encode() + body)
        self._hang_up()

    def eof_received(self) -> None:
        """Hang up on who has hung up."""
        self._hang_up()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout, self._give_up)

    def _give_up(self) -> None:
        self._head_timer = None
        self._hang_up()

    def _hang_up(self) -> None:
        # an answer that is still being made has nowhere to go
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _cancel_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def open_models(sources: Iterable[Source], limits: Limits) -> dict[str, Model]:
    """Load models, by name.

    Raises:
        ValueError: One cannot be loaded.
        OSError: The same.
    """
    # batches are small, and threads that share them cost more than they save
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return {source.name: Model(source, open_engine(source), limits) for source in sources}


def read_token(path: str | None) -> str | None:
    """Return the token that a file holds, None without a file.

    Raises:
        ValueError: It holds none, or one that no header can carry.
    """
    if path is None:
        return None
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ValueError(f"`token_file` {path!r} must hold one line of ASCII characters. Write a token into it.")
    return token


def serve(service: Service, host: str, port: int) -> None:
    """Answer requests until a signal ends it; what was asked before is answered.

    Args:
        service (`Service`): Models and bounds.
        host (`str`): Address to listen at.
        port (`int`): Port; 0 for any that is free.

    Raises:
        OSError: The address is taken.
    """
    protocol = type("Protocol", (BoundedProtocol,), {"head_timeout": service.limits.request_timeout})
    config = uvicorn.Config(
        _with_signal(service),
        # that of uvloop where there is one
        loop="auto",
        http=protocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # nothing depends on where a request comes from
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(service.limits.request_timeout) + 5,
        limit_concurrency=service.limits.max_connections,
        backlog=2048,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        # what is loaded stays, and need not be searched for garbage again and again
        gc.freeze()
        print(f"Listening on http://{shown}:{listener.getsockname()[1]} ({', '.join(service.models)}); Ctrl+C ends it.", flush=True)
        uvicorn.Server(config).run(sockets=[listener])


def _with_signal(service: Service) -> Starlette:
    """Return the application of a service, whose models are loaded anew on SIGHUP where there is one."""
    app = service.app()
    within = app.router.lifespan_context
    if not hasattr(signal, "SIGHUP"):
        return app

    tasks: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.ensure_future(_reload_all(service))
        # a task that nobody holds may vanish
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def lifespan(app: Starlette) -> Any:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        return within(app)

    app.router.lifespan_context = lifespan
    return app


async def _reload_all(service: Service) -> None:
    """Load all models anew; those that cannot be stay as they were."""
    for model in service.models.values():
        try:
            await model.reload()
        except (ValueError, OSError) as error:
            logger.error("%s stays as it was: %s", model.source.name, " ".join(str(error).split())[:300])
