"""The description of the API: one operation for each network and what can be asked of it, with examples that run."""

import base64
import copy
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from convzoo.serving.champions import Champions
from convzoo.serving.inputs import FILES, FORM, IMAGES, JSON, SAMPLES
from convzoo.serving.schemas import Problem
from convzoo.serving.served import Served

TEMPLATE = "/v1/{network}/"
LARGEST_EXAMPLE = 2**17  # bytes of an image that is shown as base64
REFERENCES = "#/components/schemas/{model}"
REFUSALS = {
    400: "The request is not JSON or not a form.",
    401: "The token is missing or wrong.",
    403: "The request is for another host or from another site.",
    404: "There is no such network, or it does something else.",
    408: "The request took too long to arrive.",
    413: "The request is too large.",
    415: "The request is neither JSON nor a form.",
    422: "The request holds something else than was expected.",
    429: "Too many requests are under way.",
    503: "The answer takes too long, or the network is not loaded.",
}
FORM_SCHEMA = {
    "type": "object",
    "required": [FILES],
    "additionalProperties": False,
    "properties": {
        FILES: {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "format": "binary"},
            "description": "Image files of any size and mode.",
        }
    },
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: those that refuse."""
    return {status: {"model": Problem, "description": REFUSALS[status]} for status in statuses}


def describe(app: FastAPI, champions: Champions) -> dict[str, Any]:
    """The OpenAPI document for the networks that are served now."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = document["components"]["schemas"]
    bodies = {}
    for name, adapter in (("images", IMAGES), ("samples", SAMPLES)):
        bodies[name] = adapter.json_schema(ref_template=REFERENCES)
        schemas |= bodies[name].pop("$defs", {})
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's, which no answer has
        schemas.pop(unused, None)
    templates = {path: document["paths"].pop(path) for path in list(document["paths"]) if path.startswith(TEMPLATE)}
    for network, served in sorted(champions.serving.items()):
        answered = [*served.operations, "card", *(["shadow"] if network in champions.shadows else [])]
        for path, methods in templates.items():
            operation = path.removeprefix(TEMPLATE)
            if operation in answered:
                document["paths"][path.replace("{network}", network)] = {
                    method: _concrete(method, details, operation, served, bodies) for method, details in methods.items()
                }
    schemes = document["components"].setdefault("securitySchemes", {})
    schemes["token"] = {"type": "http", "scheme": "bearer", "description": "If the server has a token."}
    document["security"] = [{}, {"token": []}]
    return document


def example(served: Served, operation: str) -> dict[str, Any] | None:
    """JSON that the operation answers; None if it would be too long to show."""
    if operation == "sample":
        return {"count": 4, "seed": 0}
    shape = [1, *(size or 1 for size in served.model.input.shape[1:])]
    pixels = (np.indices(shape).sum(axis=0) * 255 // max(sum(shape), 1)).astype(np.uint8)
    if pixels.size > LARGEST_EXAMPLE:
        return None
    return {"images": {"base64": base64.b64encode(pixels).decode(), "shape": shape}}


def _concrete(
    method: str, details: dict[str, Any], operation: str, served: Served, bodies: dict[str, Any]
) -> dict[str, Any]:
    """The description of an operation for one network."""
    details = copy.deepcopy(details)
    details["tags"] = [served.network]
    details["operationId"] = f"{operation}-{served.network}"
    parameters = [parameter for parameter in details.pop("parameters", []) if parameter["in"] != "path"]
    if parameters:
        details["parameters"] = parameters
    if method == "get":  # FastAPI expects that a path may be wrong, which is a 404 here
        details["responses"].pop("422", None)
    if method == "post":
        body: dict[str, Any] = {"schema": bodies["samples" if operation == "sample" else "images"]}
        if shown := example(served, operation):
            body["example"] = shown
        forms = {} if operation == "sample" else {FORM: {"schema": FORM_SCHEMA}}
        details["requestBody"] = {"required": True, "content": {JSON: body} | forms}
        details["summary"] = f"{details['summary']} ({served.model.input} to {served.model.output})"
    return details
