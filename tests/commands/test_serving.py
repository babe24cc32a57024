"""`mlflow models serve` on the registered network."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np

from convzoo.shipping.model import Model


def test_the_candidate_is_served_and_answers_raw_pixels_with_classes_and_the_files_probabilities(rebuilt, tmp_path):
    folder = rebuilt.folder
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"-m mlflow models serve -m models:/mnist-classifier@candidate --env-manager local -p {port} -h 127.0.0.1"
    # mlflow starts `uvicorn` from the PATH, where it is in an active virtual environment.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlruns/mlflow.db", "PATH": path}
    log = tmp_path / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server, log)
        images = np.load(folder / "data/prepared/mnist/test/images.npy")[:3]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            data=json.dumps({"inputs": images.tolist()}).encode(),
            headers={"Content-Type": "application/json"},
        )
        answer = json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
    expected = Model(folder / "models/mnist-classifier/model.onnx")(images)
    np.testing.assert_allclose(np.float32(answer["probabilities"]), expected, atol=1e-6)
    assert answer["label"] == [str(best) for best in expected.argmax(axis=1)]
    np.testing.assert_allclose(np.float32(answer["probability"]), expected.max(axis=1), atol=1e-6)


def wait_for(address: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).read()
            return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(log.read_text())
