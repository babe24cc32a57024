"""A real server on a real registry: promotions and rollbacks take effect while clients ask, and no request fails."""

import asyncio
import signal
import threading
from pathlib import Path

import httpx2
import pytest
from helpers.promotions import stored_file, version, write_data, write_params
from helpers.served import get, light, server, wait_until

from convzoo.commands.shadow import ask
from convzoo.data.arrays import load_split
from convzoo.errors import ConvzooError
from convzoo.files import sha256_of
from convzoo.promotion.promote import promote, rollback
from convzoo.tracking import store
from convzoo.tracking.aliases import set_alias

NETWORK = "shapes"
ABOUT = {"network": NETWORK, "family": "classifier", "classes": ["a", "b", "c"], "resize": "none"}
CLIENTS = 4


class Load:
    """Clients that ask without a pause, from a thread of their own."""

    def __init__(self, address: str) -> None:
        self.address, self.answers, self.failures = address, [], []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.ask()))

    def __enter__(self) -> "Load":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    async def ask(self) -> None:
        image = load_split(Path("data/prepared/shapes/test")).images[:1]
        async with httpx2.AsyncClient(timeout=60) as client:
            await asyncio.gather(*(self.client(client, {"images": image.tolist()}) for _ in range(CLIENTS)))

    async def client(self, client: httpx2.AsyncClient, body: dict) -> None:
        while not self.ended.is_set():
            try:
                answer = await client.post(f"{self.address}/v1/{NETWORK}/predict", json=body)
            except httpx2.HTTPError as error:
                self.failures.append(repr(error))
                continue
            if answer.status_code == 200:
                self.answers.append((answer.json()["version"], answer.json()["sha256"]))
            else:
                self.failures.append(answer.text)

    def settle_on(self, number: int) -> None:
        """Wait until a version answers, and see that no other one does once the requests under way are answered."""
        wait_until(lambda: self.answers and self.answers[-1][0] == number)
        under_way = len(self.answers) + 2 * CLIENTS
        wait_until(lambda: len(self.answers) >= under_way + 2 * CLIENTS)
        assert {found for found, _ in self.answers[under_way:]} == {number}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "CONVZOO_TRACKING", "CONVZOO_TOKEN", "DVC_ROOT", "DVC_EXP_NAME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("src/convzoo").mkdir(parents=True)  # by which a project is found
    write_params(NETWORK)
    write_data()
    return tmp_path


def test_promotions_and_rollbacks_take_effect_under_load_and_broken_files_never_answer(project):
    assert version(NETWORK, "good", about=ABOUT) == 1
    assert promote(NETWORK).done
    assert version(NETWORK, "best", about=ABOUT) == 2
    shadow = ("--shadow", "candidate", "--shadow-share", "1")
    with server(project, *shadow, **light(project)) as (address, process, log), Load(address) as load:
        load.settle_on(1)
        assert get(f"{address}/readyz") == {"ready": True, "serving": {NETWORK: 1}, "problems": []}

        report = ask(address, NETWORK)
        assert (report["serving"]["version"], report["shadow"]["version"]) == (1, 2)
        assert report["images"] == report["requests"] > 0 and report["failed"] == 0

        assert promote(NETWORK).done
        load.settle_on(2)
        with pytest.raises(ConvzooError, match="no other version runs in the shadow"):
            ask(address, NETWORK)
        rollback(NETWORK)
        load.settle_on(1)

        # The next champion's file breaks after it was registered.
        assert version(NETWORK, "best", about=ABOUT, seed=1) == 3
        assert promote(NETWORK).done
        load.settle_on(3)
        rollback(NETWORK)
        load.settle_on(1)
        stored_file(NETWORK, 3).write_bytes(b"broken")
        set_alias(store.open_store(), NETWORK, "champion", "3")
        wait_until(lambda: get(f"{address}/readyz")["problems"])
        load.settle_on(1)
        [problem] = get(f"{address}/readyz")["problems"]
        assert problem.startswith(f"{NETWORK}: version 3: model.onnx: has sha256 ")
        assert problem.endswith("; version 1 continues to answer")
        assert problem in log.read_text()
        assert get(f"{address}/readyz")["ready"]

        assert load.failures == []
        files = {number: sha256_of(stored_file(NETWORK, number)) for number in (1, 2)}
        assert {answer for answer in load.answers if answer[0] < 3} == set(files.items())
        load.ended.set()
        load.thread.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "Traceback" not in log.read_text()
