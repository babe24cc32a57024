"""MLflow's server, with pages that start in the mode for trainings: `mlflow server --app-name convzoo`.

By default, MLflow's pages start in the mode for language models, where an experiment shows no runs.
"""

import json
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from mlflow.server.fastapi_app import app

__all__ = ["app"]

# What the pages keep in the browser, unless the user chose otherwise: the mode, and that the assistant stays closed.
CHOICES = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.assistant.panelOpen_v1": False,
}
SCRIPT = f"""<script>
for (const [key, value] of Object.entries({json.dumps(CHOICES)}))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
</script>"""
REPLACED = ("content-length", "etag", "last-modified")  # headers that are wrong for a changed page


@app.middleware("http")
async def start_with_choices(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Add SCRIPT to the start page, of which all other pages are a part."""
    response = await call_next(request)
    if request.url.path != "/" or response.status_code != 200:
        return response
    page = b"".join([part async for part in response.body_iterator])
    headers = {key: value for key, value in response.headers.items() if key not in REPLACED}
    return Response(page.replace(b"<head>", b"<head>" + SCRIPT.encode(), 1), headers=headers)
