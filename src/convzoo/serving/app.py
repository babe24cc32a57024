"""The routes of the server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException

from convzoo.cards.tasks import TASKS
from convzoo.errors import ConvzooError, did_you_mean
from convzoo.serving import openapi, schemas
from convzoo.serving.answers import OPERATIONS
from convzoo.serving.bounded import BoundedRequests, Workers
from convzoo.serving.champions import Champions
from convzoo.serving.demo_page import add_demo
from convzoo.serving.inputs import JSON, Body, read_body
from convzoo.serving.limits import Limits, RefusedError, allowed_cpus
from convzoo.serving.metrics import MeasuredRequests, Metrics
from convzoo.serving.security import Guard, has_token
from convzoo.serving.served import Served
from convzoo.serving.shadow import Shadow

if TYPE_CHECKING:
    from convzoo.watching.log import RequestLog  # imports pyarrow, which a server without a log does not need

SHOWN = 80  # characters in a message of what a client sent
Inputs = Annotated[bool, Query(description="Also return what the network was given: images in its size, or latents.")]
POST = openapi.refusals(400, 401, 403, 404, 408, 413, 415, 422, 429, 503)
GET = openapi.refusals(401, 403)
DESCRIPTION = (
    "Answers of the networks of the zoo. Image files of any size and mode are brought to the network's size as its "
    "training images were; raw pixels must have that size."
)


class Markdown(PlainTextResponse):
    """A page of Markdown."""

    media_type = "text/markdown"


@dataclass
class Service:
    """Everything that the routes share."""

    champions: Champions
    limits: Limits = field(default_factory=Limits)
    shadow: Shadow | None = None
    token: str | None = None
    hosts: tuple[str, ...] = ()
    report: Path | None = None  # of the project whose networks these are
    mlflow: str | None = None  # where MLflow's UI may answer
    log: "RequestLog | None" = None

    def __post_init__(self) -> None:
        self.workers = Workers(self.limits, allowed_cpus())
        self.metrics = Metrics(self.champions, self.workers, self.log)

    def served(self, network: str, operation: str) -> Served:
        """The version that answers. Raises RefusedError if there is none, or if it does something else."""
        served = self.champions.serving.get(network)
        if served is None:
            if network in self.champions.networks():
                raise RefusedError(503, self.champions.problems.get(network, f"{network}: is not loaded yet; wait"))
            raise _unknown(self.champions, network)
        if operation not in served.operations:
            use = " or ".join(f"/v1/{network}/{name}" for name in served.operations)
            raise RefusedError(404, f"{network}: {TASKS[served.task]}, so it has no {operation}; use: POST {use}")
        return served

    def compute(self, served: Served, operation: str, body: Body, options: dict[str, Any]) -> tuple[bytes, int]:
        """The answer as JSON, and the number of images in it. Runs in a worker thread."""
        started = time.perf_counter()
        computed = OPERATIONS[operation](served, body, self.limits, **options)
        if self.log:
            self.log.offer(served, operation, computed.inputs, computed.outputs, time.perf_counter() - started)
        if self.shadow and operation == served.task:
            other = self.champions.shadows.get(served.network)
            self.shadow.offer(served, other, computed.inputs, computed.outputs)
        return to_json(computed.answer), len(computed.outputs)

    async def answer(self, network: str, operation: str, request: Request, **options: Any) -> Response:
        """The response to a request."""
        served = self.served(network, operation)
        body = await read_body(request, self.limits)
        answer, images = await self.workers.run(self.compute, served, operation, body, options)
        version = "" if served.release.version is None else str(served.release.version)
        self.metrics.images.labels(network, operation, version).inc(images)
        return Response(answer, media_type=JSON)


def create_app(service: Service) -> FastAPI:
    """The application; it watches the champions while it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(service.champions.watch())
        yield
        watching.cancel()
        if service.shadow:
            service.shadow.close()
        service.workers.close()
        if service.log:
            await asyncio.to_thread(service.log.close)

    app = FastAPIOffline(
        title="convzoo",
        version=version("convzoo"),
        description=DESCRIPTION,
        redoc_url=None,
        lifespan=lifespan,
        swagger_ui_parameters={"validatorUrl": None},  # its badge would ask another server
    )
    app.openapi = partial(openapi.describe, app, service.champions)
    _add_operations(app, service)
    _add_pages(app, service)
    add_demo(app, service.report, service.mlflow)
    _add_errors(app)
    app.add_middleware(BoundedRequests, workers=service.workers)
    app.add_middleware(Guard, token=service.token, hosts=service.hosts)
    app.add_middleware(MeasuredRequests, metrics=service.metrics, champions=service.champions)  # the outermost
    return app


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.post("/v1/{network}/predict", response_model=schemas.Predictions, responses=POST, summary="Classify images")
    async def predict(
        network: str,
        request: Request,
        top: Annotated[int | None, Query(ge=1, description="Only the most probable classes. Default: all.")] = None,
        invert: Annotated[bool, Query(description="Swap black and white first.")] = False,
        inputs: Inputs = False,
    ) -> Response:
        return await service.answer(network, "predict", request, top=top, invert=invert, inputs=inputs)

    @app.post(
        "/v1/{network}/reconstruct",
        response_model=schemas.Reconstructions,
        responses=POST,
        summary="Reconstruct images",
    )
    async def reconstruct(network: str, request: Request, inputs: Inputs = False) -> Response:
        return await service.answer(network, "reconstruct", request, inputs=inputs)

    @app.post("/v1/{network}/encode", response_model=schemas.Encodings, responses=POST, summary="Encode images")
    async def encode(network: str, request: Request) -> Response:
        return await service.answer(network, "encode", request)

    @app.post("/v1/{network}/sample", response_model=schemas.Samples, responses=POST, summary="Generate images")
    async def sample(network: str, request: Request, inputs: Inputs = False) -> Response:
        return await service.answer(network, "sample", request, inputs=inputs)


def _add_pages(app: FastAPI, service: Service) -> None:
    champions = service.champions

    @app.get("/v1/models", response_model=schemas.Networks, responses=GET, summary="The networks and their versions")
    async def models() -> Response:
        networks = [_network(champions, served) for _, served in sorted(champions.serving.items())]
        return Response(to_json({"networks": networks}), media_type=JSON)

    @app.get(
        "/v1/{network}/card",
        response_class=Markdown,
        responses=GET | openapi.refusals(404, 503),
        summary="The model card, in Markdown",
    )
    async def card(network: str) -> Response:
        served = _known(champions, network)
        text = await asyncio.to_thread(champions.source.card, network, served.release.version)
        return Markdown(text)

    @app.get(
        "/v1/{network}/shadow",
        response_model=schemas.ShadowReport,
        responses=GET | openapi.refusals(404),
        summary="How the version in the shadow differs",
    )
    async def shadow(network: str) -> Response:
        served, other = _known(champions, network), champions.shadows.get(network)
        if service.shadow is None or other is None:
            reason = "; start the server with --shadow candidate" if service.shadow is None else ""
            raise RefusedError(
                404, f"{network}: no other version runs in the shadow, expected one that is not the champion{reason}"
            )
        return Response(to_json(service.shadow.comparison(served, other).as_json()), media_type=JSON)

    @app.get("/healthz", response_model=schemas.Health, responses=openapi.refusals(403), summary="Whether it runs")
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get(
        "/readyz",
        response_model=schemas.Ready,
        responses={503: {"model": schemas.Ready}} | openapi.refusals(403),
        summary="Whether every network answers",
    )
    async def ready(request: Request) -> Response:
        serving = {network: served.release.version for network, served in sorted(champions.serving.items())}
        problems = champions.problems
        # Messages name paths, which are nothing for those without the token.
        shown = [*problems.values()] if has_token(request.scope, service.token) else [*problems]
        answer = {"ready": champions.is_ready, "serving": serving, "problems": shown}
        return JSONResponse(answer, 200 if champions.is_ready else 503)

    @app.get("/metrics", response_class=PlainTextResponse, responses=GET, summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return JSONResponse({"error": str(error)}, error.status, error.headers)

    @app.exception_handler(ConvzooError)
    async def failed(_: Request, error: ConvzooError) -> Response:
        return JSONResponse({"error": str(error)}, 503)

    @app.exception_handler(HTTPException)
    async def not_routed(request: Request, error: HTTPException) -> Response:
        path, method = request.url.path[:SHOWN], request.method
        message = {
            404: f"{path}: there is no such page, expected one of those in /docs",
            405: f"{path}: does not answer {method}, expected {(error.headers or {}).get('Allow', 'another method')}",
        }.get(error.status_code, str(error.detail))
        return JSONResponse({"error": message}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def misfit(_: Request, error: RequestValidationError) -> Response:
        mistake = error.errors()[0]
        expected = mistake["msg"].removeprefix("Input should ").removeprefix("be ")
        message = f"{mistake['loc'][-1]}: got {str(mistake.get('input'))[:SHOWN]!r}, expected {expected}"
        return JSONResponse({"error": message}, 422)


def _known(champions: Champions, network: str) -> Served:
    served = champions.serving.get(network)
    if served is None:
        raise _unknown(champions, network)
    return served


def _unknown(champions: Champions, network: str) -> RefusedError:
    known = sorted(champions.serving)
    hint = did_you_mean(network, known)
    return RefusedError(404, f"{network[:SHOWN]}: there is no such network, {hint}expected: {', '.join(known)}")


def _network(champions: Champions, served: Served) -> dict[str, Any]:
    release, shadow = served.release, champions.shadows.get(served.network)
    return {
        **served.identity(),
        "alias": release.alias,
        "operations": served.operations,
        "input": str(served.model.input),
        "output": str(served.model.output),
        "classes": served.classes,
        "shadow": shadow.release.version if shadow else None,
        "card": f"/v1/{served.network}/card",
        "versions": champions.snapshot.versions.get(served.network, []),
    }
