"""The demo: a page that asks this server, the project's report beside it, and where MLflow's UI answers."""

import asyncio
import ipaddress
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from convzoo.serving.limits import RefusedError

DEMO, REPORT = "/demo/", "/report"
PATIENCE = 1.0  # seconds that MLflow may take to answer
FOLDER = Path(__file__).with_name("demo")
ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
NOWHERE = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# The page loads its own files and asks its own server; it has no inline script or style.
PAGE_POLICY = f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; {NOWHERE}"
# The report is one file, whose style and pictures are in it.
REPORT_POLICY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {NOWHERE}"


class Page(StaticFiles):
    """The files of the page, each with the headers that bind it to this server."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The response with a file."""
        response = await super().get_response(path, scope)
        response.headers.update(ALWAYS | {"Content-Security-Policy": PAGE_POLICY})
        return response


def add_demo(app: FastAPI, report: Path | None, mlflow: str | None) -> None:
    """Add the page, and what it links to: the file `report` if it exists, MLflow's UI at `mlflow` if it answers."""

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse(DEMO)

    @app.get(f"{DEMO}links.json", include_in_schema=False)
    async def links(request: Request) -> Response:
        found = {"report": REPORT if report and report.is_file() else None, "mlflow": None}
        # An address of this machine means another one in a browser that is elsewhere.
        if mlflow and (not _is_local(mlflow) or _is_local(str(request.url))):
            found["mlflow"] = mlflow if await asyncio.to_thread(answers_as_mlflow, mlflow) else None
        return JSONResponse(found, headers=ALWAYS)

    @app.get(REPORT, include_in_schema=False)
    async def show_report() -> Response:
        if report is None or not report.is_file():
            where = f"{report.parent.name}/{report.name} of a project" if report else "that of a project"
            raise RefusedError(
                404, f"{REPORT}: there is no report, expected {where}; to write it, run: convzoo repro report"
            )
        return FileResponse(report, headers=ALWAYS | {"Content-Security-Policy": REPORT_POLICY})

    app.mount(DEMO.rstrip("/"), Page(directory=FOLDER, html=True))


def answers_as_mlflow(address: str) -> bool:
    """Whether MLflow's server answers at an address, which is asked without a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/health", timeout=PATIENCE) as answer:
            return answer.read(3) == b"OK"
    except (OSError, ValueError):  # ValueError: no address
        return False


def _is_local(address: str) -> bool:
    """Whether an address names the machine that uses it."""
    name = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
