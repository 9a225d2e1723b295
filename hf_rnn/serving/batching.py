"""Requests of several connections are computed together."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from .engines import Answer, Engine, Source
from .limits import Limits, RequestError
from .opening import open_engine

logger = logging.getLogger(__name__)

# characters of texts that are computed together, at most: between such pieces it is seen whether anybody waits for them still
PIECE = 20_000


@dataclass(eq=False)
class _Job:
    """The texts of a request, how long ones are read, and what becomes of them."""

    texts: Sequence[str]
    way: str
    answers: asyncio.Future[list[Answer]]


@dataclass
class Counts:
    """What a model has done since the server began."""

    texts: int = 0
    batches: int = 0
    reloads: int = 0


@dataclass(eq=False)
class Model:
    """A model that is served: requests wait, and one thread answers them batch by batch.

    Args:
        source (`Source`): Where it comes from.
        engine (`Engine`): What it is now.
        limits (`Limits`): Bounds.
    """

    source: Source
    engine: Engine
    limits: Limits
    counts: Counts = field(default_factory=Counts)
    waiting: int = 0
    _jobs: deque[_Job] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, texts: Sequence[str], way: str | None = None) -> list[Answer]:
        """Return the answers to some texts, in their order.

        Args:
            texts (`Sequence`): The texts.
            way (`str`, *optional*): How long ones are read; as the model does by default.

        Raises:
            RequestError: Too many texts wait, or they waited too long, or the model fails on them.
        """
        if self.waiting + len(texts) > self.limits.max_waiting:
            raise RequestError(503, f"{self.waiting} texts wait already, of at most {self.limits.max_waiting}. Try again later.")
        loop = asyncio.get_running_loop()
        job = _Job(texts, way or self.engine.way, loop.create_future())
        late = RequestError(503, f"The answer took longer than {self.limits.request_timeout:g} seconds. Try again later.")
        timer = loop.call_later(self.limits.request_timeout, _finish, job.answers, late)
        self.waiting += len(texts)
        self._jobs.append(job)
        self._wake.set()
        try:
            return await job.answers
        finally:
            timer.cancel()
            self.waiting -= len(texts)

    async def run(self) -> None:
        """Answer what waits, for ever."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix=self.source.name) as thread:
            while True:
                await self._wake.wait()
                if self._count() < self.limits.batch_size:
                    await asyncio.sleep(self.limits.batch_wait / 1000)
                jobs = self._take()
                if jobs:
                    for job, told in zip(jobs, await loop.run_in_executor(thread, _compute, self.engine, jobs), strict=True):
                        _finish(job.answers, told)
                    self.counts.batches += 1
                    self.counts.texts += sum(len(job.texts) for job in jobs)

    def _count(self) -> int:
        return sum(len(job.texts) for job in self._jobs)

    def _has_room(self, count: int) -> bool:
        return count + len(self._jobs[0].texts) <= self.limits.batch_size

    def _take(self) -> list[_Job]:
        """Take the jobs of a batch off the queue, which read texts one way; those that nobody waits for any more are dropped."""
        jobs: list[_Job] = []
        count = 0
        while self._jobs and (not jobs or (self._jobs[0].way == jobs[0].way and self._has_room(count))):
            job = self._jobs.popleft()
            if not job.answers.done():
                jobs.append(job)
                count += len(job.texts)
        if not self._jobs:
            self._wake.clear()
        return jobs

    async def reload(self) -> None:
        """Load the model anew, while the old one goes on answering until the new one is there.

        Raises:
            ValueError: It cannot be loaded; the old one stays.
            OSError: The same.
        """
        async with self._reloading:
            self.engine = await asyncio.get_running_loop().run_in_executor(None, open_engine, self.source)
        self.counts.reloads += 1
        logger.info("model %s is now version %s", self.source.name, self.engine.version)


def _compute(engine: Engine, jobs: list[_Job]) -> list[list[Answer] | RequestError]:
    """Answer the texts of some jobs together; where that fails each job alone, so that none fails for another."""
    answers: list[Answer] = []
    try:
        for piece in _pieces([text for job in jobs for text in job.texts]):
            # a thread cannot be stopped, but need not begin what all have waited too long for
            if all(job.answers.done() for job in jobs):
                break
            answers += engine.predict(piece, jobs[0].way)
    except Exception as error:
        if len(jobs) > 1:
            return [told for job in jobs for told in _compute(engine, [job])]
        # what an error says may hold the text
        logger.error("a model failed: %s", type(error).__name__, exc_info="HF_RNN_TRACEBACK" in os.environ)
        return [RequestError(500, f"The model failed on this request ({type(error).__name__}).")]
    told = iter(answers)
    return [list(islice(told, len(job.texts))) for job in jobs]


def _pieces(texts: list[str]) -> Iterator[list[str]]:
    """Yield texts in their order, so many at a time as make up a piece."""
    piece, size = list[str](), 0
    for text in texts:
        if piece and size + len(text) > PIECE:
            yield piece
            piece, size = [], 0
        piece.append(text)
        size += len(text)
    if piece:
        yield piece


def _finish(future: asyncio.Future[Any], told: list[Answer] | RequestError) -> None:
    """Settle a future, unless nobody waits for it any more."""
    if future.done():
        return
    if isinstance(told, RequestError):
        future.set_exception(told)
    else:
        future.set_result(told)
