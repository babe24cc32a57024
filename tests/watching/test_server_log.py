"""The log of a real server, in a light installation that was given pyarrow: /metrics, a kill, and what is refused."""

import base64
import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.project import environment
from helpers.served import images, light, server, wait_until
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.watching.log import ROWS

BATCH = 256


def send(address: str, seed: int, count: int = BATCH) -> None:
    """Ask `pets` about some images."""
    encoded = base64.b64encode(images(count, seed=seed)).decode()
    body = json.dumps({"images": {"base64": encoded, "shape": [count, 8, 8, 1]}}).encode()
    request = urllib.request.Request(f"{address}/v1/pets/predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert len(json.load(answer)["answers"]) == count


def counted(address: str) -> int:
    """The rows in the log, as /metrics has them."""
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        lines = re.findall(r'^convzoo_log_rows_total\{network="pets"\} (\S+)$', answer.read().decode(), re.MULTILINE)
    return int(float(lines[0])) if lines else 0


def rows(folder: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(file) for file in folder.rglob("*.parquet")])


def test_a_kill_loses_only_what_metrics_has_not_counted_and_sigterm_loses_nothing(models, tmp_path):
    requests = -(-ROWS // BATCH)  # so many are written at once
    arguments = ("--models", str(models), "--log", "log")
    with server(tmp_path, *arguments, **light(tmp_path)) as (address, process, printed):
        assert counted(address) == 0
        for seed in range(requests):
            send(address, seed)
        wait_until(lambda: counted(address) >= ROWS)
        written = counted(address)
        send(address, 99, 10)
        process.kill()
        process.wait(30)
        assert "Traceback" not in printed.read_text()
    assert written <= len(rows(tmp_path / "log")) <= written + BATCH + 10
    before = len(rows(tmp_path / "log"))
    with server(tmp_path, *arguments, **light(tmp_path)) as (address, process, _):
        send(address, 1, 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    table = rows(tmp_path / "log")
    assert len(table) == before + 30 and table["feature_1"].null_count == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--log", "log"), "--log: cannot be written without pyarrow"),
    ],
)
def test_a_log_that_cannot_be_written_is_refused_at_the_start(arguments, message, models, tmp_path):
    variables = light(tmp_path)
    blocking = tmp_path / "blocking/sitecustomize.py"
    blocking.write_text(
        blocking.read_text().replace('("torch"', '("pyarrow", "torch"').replace("('torch'", "('pyarrow', 'torch'")
    )
    command = [sys.executable, "-m", "convzoo", "serve", "--models", str(models), "--port", "0", *arguments]
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment(**variables), capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout) == (1, "") and message in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--log-days", "30"], "--log-days: changes nothing without --log, expected both; add: --log DIR"),
        (["--log-images"], "--log-images: changes nothing without --log, expected both; add: --log DIR"),
        (
            ["--log", "log", "--log-images-size", "9"],
            "--log-images-size: changes nothing without --log-images, expected both; add: --log-images",
        ),
        (
            ["--log", "log", "--log-images-days", "9"],
            "--log-images-days: changes nothing without --log-images, expected both; add: --log-images",
        ),
        (
            ["--shadow-share", "1"],
            "--shadow-share: changes nothing without --shadow, expected both; add: --shadow ALIAS",
        ),
    ],
)
def test_an_option_that_changes_nothing_is_refused(arguments, message):
    result = CliRunner().invoke(app, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 1 and result.stderr == f"error: {message}\n"
