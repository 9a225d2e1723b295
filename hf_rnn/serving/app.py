"""Which address answers what."""

import asyncio
import hmac
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ..version import __version__
from .batching import Model
from .limits import Limits, RequestError
from .metrics import Metrics
from .openapi import openapi
from .protocols import check_way, describe, read_infer, read_question, read_tasks, tell, tell_infer, tell_tasks
from .reading import read_object

logger = logging.getLogger(__name__)

# may lie in an archive
PAGE = files(__package__).joinpath("web", "index.html").read_bytes()
# the page runs nothing and asks nobody but this server
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'"
# escaped, as not all that goes back was cleaned
ENCODE = json.JSONEncoder(allow_nan=False).encode
# header of answers: texts of which only the beginning was read
CUT = "x-cut-texts"
# who left before the answer
GONE = 499

Handler = Callable[[Request], Awaitable[Response]]


@dataclass
class Service:
    """The models of a server, and what answers requests.

    Args:
        models (`dict`): By name; the first is meant where none is named.
        limits (`Limits`): Bounds.
        token (`str`, *optional*): What requests have to carry as `Authorization: Bearer TOKEN`, but for those about health.
        logs_texts (`bool`): Whether texts stand in the log.
    """

    models: dict[str, Model]
    limits: Limits
    token: str | None = None
    logs_texts: bool = False
    metrics: Metrics = field(default_factory=Metrics)

    async def predict(self, request: Request) -> Response:
        """Answer in the shape of Hugging Face's inference API, or that of Label Studio where there are `tasks`."""
        body, model = await read_object(request, self.limits), self._model(request)
        engine = model.engine
        if "tasks" in body:
            tasks = read_tasks(body, self.limits, engine.settings)
            return _json(tell_tasks(tasks, await self._answer(request, model, tasks.texts), engine))
        question = read_question(body, self.limits)
        return _json(tell(question, await self._answer(request, model, question.texts, question.long_texts), engine.settings))

    async def infer(self, request: Request) -> Response:
        """Answer in the shape of the KServe protocol, version 2."""
        body, model = await read_object(request, self.limits), self._model(request)
        asked, engine = read_infer(body, self.limits), model.engine
        return _json(tell_infer(asked, model.source.name, engine, await self._answer(request, model, asked.texts, asked.long_texts)))

    async def model(self, request: Request) -> Response:
        """Tell of a model."""
        model = self._model(request)
        return _json(describe(model.source.name, model.engine))

    async def ready(self, request: Request) -> Response:
        """Say that a model is there."""
        return _json({"name": self._model(request).source.name, "ready": True})

    async def reload(self, request: Request) -> Response:
        """Load a model anew; only where there is a token, as it costs more than a text."""
        if self.token is None:
            raise RequestError(403, "Models are loaded anew only by those who know the token, and this server has none. Send SIGHUP.")
        model = self._model(request)
        try:
            await model.reload()
        except (ValueError, OSError) as error:
            raise RequestError(400, f"{model.source.name} stays as it was: {' '.join(str(error).split())[:300]}") from None
        return _json(describe(model.source.name, model.engine))

    async def setup(self, request: Request) -> Response:
        """Answer Label Studio when it connects."""
        await read_object(request, self.limits)
        return _json({"model_version": self._model(request).engine.version})

    async def health(self, request: Request) -> Response:
        """Say that models are there; there is no server before they are."""
        models = {name: model.engine.version for name, model in self.models.items()}
        return _json({"status": "UP", "model_class": next(iter(self.models)), "models": models})

    async def server(self, request: Request) -> Response:
        """Tell of the server, as KServe's protocol has it."""
        return _json({"name": "hf_rnn", "version": __version__, "extensions": ["model_repository"]})

    async def prometheus(self, request: Request) -> Response:
        """Return all counts."""
        return Response(self.metrics.text(self.models.values()), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        """Describe the server."""
        return _json(openapi(list(self.models), self.token is not None))

    async def page(self, request: Request) -> Response:
        """Return a page to try the models on."""
        return Response(PAGE, media_type="text/html; charset=utf-8", headers={"content-security-policy": POLICY})

    def _model(self, request: Request) -> Model:
        name = request.path_params.get("name", next(iter(self.models)))
        if name not in self.models:
            raise RequestError(404, f"There is no such model; there are {', '.join(self.models)}.")
        return self.models[name]

    async def _answer(self, request: Request, model: Model, texts: list[str], way: str | None = None) -> list[dict[str, Any]]:
        check_way(way, model.engine)
        request.state.texts = texts
        answers = await model.answer(texts, way) if texts else []
        request.state.cut = sum(answer.get("cut", False) for answer in answers)
        return answers

    def endpoint(self, path: str, handler: Handler, method: str = "GET", *, is_open: bool = False) -> Route:
        """Return a route whose requests are checked for the token, counted and logged, and whose errors are JSON."""

        async def run(request: Request) -> Response:
            start = time.perf_counter()
            try:
                if not is_open:
                    self._check_token(request)
                response = await handler(request)
                if cut := getattr(request.state, "cut", 0):
                    response.headers[CUT] = str(cut)
            except RequestError as error:
                response = _refuse(error.status, error.message)
            except ClientDisconnect:
                response = Response(status_code=GONE)
            except Exception as error:
                # what an error says may hold the text
                logger.error("%s %s failed: %s", method, path, type(error).__name__, exc_info="HF_RNN_TRACEBACK" in os.environ)
                response = _refuse(500, f"The server failed on this request ({type(error).__name__}).")
            self._record(request, path, response.status_code, time.perf_counter() - start)
            return response

        return Route(path, run, methods=[method])

    def _check_token(self, request: Request) -> None:
        if self.token is None:
            return
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {self.token}".encode()):
            raise RequestError(401, "The token is missing or wrong. Send it as `Authorization: Bearer TOKEN`.")

    def _record(self, request: Request, path: str, status: int, seconds: float) -> None:
        self.metrics.add(path, status, seconds)
        if logger.isEnabledFor(logging.INFO):
            texts = getattr(request.state, "texts", [])
            told = f" {json.dumps(texts)}" if self.logs_texts and texts else ""
            logger.info("%s %s %d %.1f ms %d texts%s", request.method, path, status, 1000 * seconds, len(texts), told)

    def app(self) -> Starlette:
        """Return the application; while it runs, so do the models."""
        routes = [
            # the first are found first
            self.endpoint("/predict", self.predict, "POST"),
            self.endpoint("/", self.page, is_open=True),
            self.endpoint("/openapi.json", self.openapi, is_open=True),
            self.endpoint("/health", self.health, is_open=True),
            self.endpoint("/metrics", self.prometheus),
            self.endpoint("/", self.predict, "POST"),
            self.endpoint("/setup", self.setup, "POST"),
            self.endpoint("/models/{name}", self.predict, "POST"),
            self.endpoint("/models/{name}/predict", self.predict, "POST"),
            self.endpoint("/v2", self.server),
            self.endpoint("/v2/health/live", self.health, is_open=True),
            self.endpoint("/v2/health/ready", self.health, is_open=True),
            self.endpoint("/v2/models/{name}", self.model),
            self.endpoint("/v2/models/{name}/ready", self.ready, is_open=True),
            self.endpoint("/v2/models/{name}/infer", self.infer, "POST"),
            self.endpoint("/v2/repository/models/{name}/load", self.reload, "POST"),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: self._refuse_address})

    async def _refuse_address(self, request: Request, error: Exception) -> Response:
        """Answer an address or a method that there is not."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        self._record(request, "", status, 0.0)
        return _refuse(
            status, "There is no such address; GET / tells which there are." if status == 404 else "The method is not allowed here."
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        workers = [asyncio.create_task(model.run()) for model in self.models.values()]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


def _json(value: Any, status: int = 200) -> Response:
    return Response(ENCODE(value), status, media_type="application/json")


def _refuse(status: int, message: str) -> Response:
    response = _json(
        {"error": message, "error_type": "validation" if status < 500 else "overloaded" if status == 503 else "backend"}, status
    )
    if status in (408, 413):
        # what else of the body comes is not read
        response.headers["connection"] = "close"
    if status == 503:
        response.headers["retry-after"] = "1"
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response
