"""What one request, and all of them together, may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a server.

    Args:
        max_body (`int`): Bytes of a request.
        max_texts (`int`): Texts of a request.
        max_characters (`int`): Characters of a text.
        max_waiting (`int`): Texts of a model that wait or are being answered, of all requests; what comes beyond is refused.
        max_connections (`int`): Connections that are open.
        timeout (`float`): Seconds in which a request has to arrive, and then to be answered.
        batch_size (`int`): Texts that are computed together, at most.
        batch_wait (`float`): Seconds that the first of a batch waits for others.
    """

    max_body: int = 2**20
    max_texts: int = 256
    max_characters: int = 200_000
    max_waiting: int = 4096
    max_connections: int = 1000
    timeout: float = 30.0
    batch_size: int = 16
    batch_wait: float = 0.002


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
