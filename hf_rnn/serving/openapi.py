"""What the server answers, in the format of OpenAPI."""

from typing import Any

from ..version import __version__
from .engines import WAYS

TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
PARAMETERS = {
    "top_k": {"type": "integer", "minimum": 1, "description": "labels to tell, the likeliest first; all by default"},
    "details": {"type": "boolean", "description": "whether answers are the dictionaries of `Predictor.predict`"},
    "long_texts": {"type": "string", "enum": list(WAYS), "description": "how a classifier reads long texts; no more than the server does"},
}
QUESTION = {
    "type": "object",
    "required": ["inputs"],
    "properties": {"inputs": TEXTS, "parameters": {"type": "object", "properties": PARAMETERS}},
    "example": {"inputs": "a text"},
}
TENSOR = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "data": {"type": "array", "items": {}},
    },
}
INFER = {
    "type": "object",
    "required": ["inputs"],
    "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": TENSOR}},
    "example": {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a text"]}]},
}
OBJECT = {"type": "object"}
# address: (method, what it does, what it takes)
ADDRESSES: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "/predict": (
        "post",
        "Labels with scores, or spans, of texts, by the first model; predictions for Label Studio where there are `tasks`",
        QUESTION,
    ),
    "/models/{name}/predict": ("post", "The same, by a model of one's choice", QUESTION),
    "/v2/models/{name}/infer": ("post", "The same, in the protocol of KServe", INFER),
    "/v2/models/{name}": ("get", "Inputs and outputs of a model", None),
    "/v2/repository/models/{name}/load": ("post", "Load a model anew from where it came from; needs a token", None),
    "/v2/health/ready": ("get", "Whether the server answers", None),
    "/health": ("get", "Models and their versions", None),
    "/setup": ("post", "Label Studio connects", OBJECT),
    "/metrics": ("get", "Counts for Prometheus", None),
}
REFUSALS = {
    "400": "no JSON in UTF-8",
    "401": "no token",
    "404": "no such model",
    "408": "too slow",
    "413": "too large",
    "422": "not as it must be",
    "503": "too much waits",
}


def openapi(models: list[str], has_token: bool) -> dict[str, Any]:
    """Return the description of a server.

    Args:
        models (`list`): Names of its models.
        has_token (`bool`): Whether requests carry a token.
    """
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "hf_rnn", "version": __version__},
        "paths": {path: {method: _operation(path, text, takes, models)} for path, (method, text, takes) in ADDRESSES.items()},
        "components": {
            "schemas": {"Error": {"type": "object", "properties": {"error": {"type": "string"}, "error_type": {"type": "string"}}}}
        },
    }
    if has_token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _operation(path: str, text: str, takes: dict[str, Any] | None, models: list[str]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    told: dict[str, Any] = {"summary": text, "responses": {"200": {"description": "the answer"}}}
    if "{name}" in path:
        told["parameters"] = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": models}}]
    if takes is not None:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": takes}}}
        told["responses"] |= {status: {"description": reason, "content": error} for status, reason in REFUSALS.items()}
    return told
