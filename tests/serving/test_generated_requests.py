"""Requests that schemathesis generates from the server's OpenAPI, most of them wrong, are answered as it describes.

`make bad-requests` sends over a thousand wrong ones.
"""

import os
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

from helpers.served import get, server

REQUESTS = int(os.environ.get("CONVZOO_REQUESTS", "5"))  # for each operation, besides those that cover the schema
# Images of the right size are too rare among those that fit the schema.
LEFT_OUT = "positive_data_acceptance"


def test_no_generated_request_gets_an_answer_that_the_api_does_not_describe(zoo, tmp_path):
    with server(tmp_path, "--models", str(zoo)) as (address, process, log):
        arguments = ["run", f"{address}/openapi.json", "--checks", "all", "--exclude-checks", LEFT_OUT]
        arguments += ["--max-examples", str(REQUESTS), "--seed", "1", "--no-color", "--continue-on-failure"]
        program = Path(sys.executable).with_name("schemathesis")
        done = subprocess.run([program, *arguments], cwd=tmp_path, capture_output=True, text=True)
        print(done.stdout[-1500:])
        assert done.returncode == 0, done.stdout
        statuses = answered(address)
        refused = sum(count for status, count in statuses.items() if 400 <= status < 500)
        print(f"answers by status: {statuses}; refused: {refused}")
        assert refused > 4 * REQUESTS and max(statuses) < 500
        assert "11 selected / 11 total" in done.stdout
        assert get(f"{address}/readyz")["ready"] and process.poll() is None
        assert "Traceback" not in log.read_text()


def answered(address: str) -> dict[int, int]:
    """How many requests the server answered with each status."""
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        metrics = answer.read().decode()
    statuses: Counter[int] = Counter()
    for status, count in re.findall(r'^convzoo_requests_total{.*status="(\d+)"} (\S+)$', metrics, re.MULTILINE):
        statuses[int(status)] += int(float(count))
    return dict(sorted(statuses.items()))
