"""What one request, and all of them together, may ask for."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Args:
        max_request_bytes (`int`): Bytes of a request.
        max_texts (`int`): Texts of a request.
        max_characters (`int`): Characters of a text.
        max_waiting (`int`): Texts of a model that wait or are being answered, of all requests; what comes beyond is refused.
        max_connections (`int`): Connections that are open.
        request_timeout (`float`): Seconds in which a request has to arrive, and then to be answered.
        batch_size (`int`): Texts that are computed together, at most.
        batch_wait (`float`): Milliseconds that the first of a batch waits for others.
    """

    max_request_bytes: int = 2**20
    max_texts: int = 256
    max_characters: int = 200_000
    max_waiting: int = 4096
    max_connections: int = 1000
    request_timeout: float = 30.0
    batch_size: int = 16
    batch_wait: float = 2.0

    def __post_init__(self) -> None:
        """Raise a ValueError that names a bound which nothing could keep."""
        for each in fields(self):
            value = getattr(self, each.name)
            if value < 0 or (value == 0 and each.name != "batch_wait"):
                raise ValueError(f"`{each.name}` must be more than 0, got {value}. The default is {each.default}.")

    @classmethod
    def of(cls, arguments: Any) -> "Limits":
        """Return those that arguments of a command hold by the same names."""
        return cls(**{each.name: getattr(arguments, each.name) for each in fields(cls)})


class RequestError(Exception):
    """What is wrong with a request, to be told to who sent it.

    Args:
        status (`int`): Status of HTTP.
        message (`str`): One line: what is wrong, what is allowed, what was given.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
