"""Read requests: bodies within bounds, JSON, and the texts in them."""

import json
import re
from typing import Any, NoReturn

import anyio
from starlette.requests import Request

from .limits import Limits, RequestError

# halves of pairs of UTF-16, which are no characters
SURROGATES = re.compile("[\ud800-\udfff]")
# times the bytes of a request that are read and thrown away: who is still sending when the connection ends does not hear why
READ_ANYWAY = 8


async def read_object(request: Request, limits: Limits) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
        RequestError: It is too large, too slow, packed, or no JSON object.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError(415, "The body must not be packed. Send it without Content-Encoding.")
    if "inference-header-content-length" in request.headers:
        raise RequestError(415, "Tensors must be JSON. Send the data of inputs as lists.")
    declared = request.headers.get("content-length", "0")
    # so many digits are no size that is read
    if not declared.isdecimal() or len(declared) > 18 or int(declared) > READ_ANYWAY * limits.max_request_bytes:
        _refuse_size(limits)
    try:
        with anyio.fail_after(limits.request_timeout):
            body = await _read_body(request, limits)
    except TimeoutError:
        raise RequestError(408, f"The request did not arrive within {limits.request_timeout:g} seconds.") from None
    return parse_object(body)


async def _read_body(request: Request, limits: Limits) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > READ_ANYWAY * limits.max_request_bytes:
            break
        if size <= limits.max_request_bytes:
            parts.append(part)
    if size > limits.max_request_bytes:
        _refuse_size(limits)
    return b"".join(parts)


def _refuse_size(limits: Limits) -> NoReturn:
    raise RequestError(413, f"A request may have {limits.max_request_bytes} bytes, this one has more. Send fewer texts at a time.")


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the object that a body holds, JSON in UTF-8.

    Raises:
        RequestError: It is something else.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise RequestError(400, f"The body must be UTF-8; it is not at byte {error.start}.") from None
    except RecursionError:
        raise RequestError(400, "The body must be JSON of a few levels; this one is nested too deeply.") from None
    except ValueError as error:
        # what the parser says names a place, never content
        raise RequestError(
            400, f"The body must be JSON: {error if isinstance(error, json.JSONDecodeError) else 'a number is none'}."
        ) from None
    if not isinstance(value, dict):
        raise RequestError(400, f'The body must be a JSON object such as {{"inputs": "a text"}}, got {kind_of(value)}.')
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def read_texts(value: Any, name: str, limits: Limits) -> list[str]:
    """Return texts that a request gives as a list, with what is no character replaced by U+FFFD.

    Args:
        value (`Any`): What it gives.
        name (`str`): What it calls it.
        limits (`Limits`): Bounds.

    Raises:
        RequestError: They are none, too many, or too long.
    """
    if not isinstance(value, list):
        raise RequestError(422, f"`{name}` must be a text or a list of texts, got {kind_of(value)}.")
    if len(value) > limits.max_texts:
        raise RequestError(413, f"`{name}` may hold {limits.max_texts} texts, got {len(value)}. Send fewer at a time.")
    for place, text in enumerate(value):
        if not isinstance(text, str):
            raise RequestError(422, f"`{name}` must be a text or a list of texts, got {kind_of(text)} at place {place}.")
        if len(text) > limits.max_characters:
            raise RequestError(
                413, f"A text may have {limits.max_characters} characters, that at place {place} of `{name}` has {len(text)}."
            )
    return [SURROGATES.sub("\ufffd", text) for text in value]


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, in words."""
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
