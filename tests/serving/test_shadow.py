"""A version in the shadow answers a share of the requests; nobody sees its answers, and the differences are counted."""

import base64
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.served import images, write_classifier
from starlette.testclient import TestClient

from convzoo.commands.shadow import as_text, ask
from convzoo.errors import ConvzooError
from convzoo.serving import shadow
from convzoo.serving.app import Service, create_app
from convzoo.serving.champions import Champions
from convzoo.serving.served import load
from convzoo.serving.shadow import WAITING, Shadow
from convzoo.serving.sources import Folder
from convzoo.shipping.model import Model


@pytest.fixture
def other(tmp_path):
    """Another version of the classifier, loaded."""
    write_classifier(tmp_path / "other", seed=1)
    [release] = Folder(tmp_path / "other").snapshot().releases["pets"].values()
    (tmp_path / "loaded").mkdir()
    return load(release, tmp_path / "loaded")


@pytest.fixture
def serve(zoo, other):
    """A service with the other version in the shadow."""

    def made(share: float) -> Service:
        champions = Champions(Folder(zoo))
        champions.start()
        champions.shadows["pets"] = other
        return Service(champions, shadow=Shadow(share))

    return made


def post(client: TestClient, pixels: np.ndarray) -> dict:
    body = {"images": {"base64": base64.b64encode(pixels).decode(), "shape": list(pixels.shape)}}
    return client.post("/v1/pets/predict", json=body).json()


def test_the_differences_are_those_of_the_two_files(serve, zoo, other, tmp_path):
    service, pixels = serve(1), images(60)
    with TestClient(create_app(service), "http://127.0.0.1") as client:
        answers = [post(client, part) for part in np.array_split(pixels, 3)]
        service.shadow._pool.shutdown()
        report = client.get("/v1/pets/shadow").json()
    assert {answer["sha256"] for answer in answers} == {report["serving"]["sha256"]}
    assert report["shadow"]["sha256"] == other.sha256
    ours, theirs = (Model(folder / "pets/model.onnx")(pixels) for folder in (zoo, tmp_path / "other"))
    differing = (ours.argmax(1) != theirs.argmax(1)).sum()
    assert 0 < differing < 60
    assert (report["requests"], report["images"], report["differing"]) == (3, 60, differing)
    assert report["share_differing"] == differing / 60
    assert report["mean_difference"] == pytest.approx(np.abs(ours - theirs).mean(), rel=1e-4)
    assert report["largest_difference"] == pytest.approx(np.abs(ours - theirs).max(), rel=1e-4)
    assert (report["unit"], report["dropped"], report["failed"]) == ("probability", 0, 0)
    text = as_text(report)
    assert text.startswith("pets: file ") and f"another class       {differing} images" in text


def test_only_a_share_of_the_requests_is_compared(serve):
    service = serve(0.25)
    served, other = service.champions.serving["pets"], service.champions.shadows["pets"]
    service.shadow._pool = SimpleNamespace(submit=lambda compare, *arguments: compare(*arguments))
    pixels, probabilities = images(1), served.model(images(1))
    for _ in range(1000):
        service.shadow.offer(served, other, pixels, probabilities)
    assert 200 < service.shadow.comparison(served, other).requests < 300
    service.shadow.offer(served, None, pixels, probabilities)


def test_what_would_have_to_wait_too_long_is_dropped(serve):
    service, may_end = serve(1), threading.Event()
    served, other = service.champions.serving["pets"], service.champions.shadows["pets"]
    service.shadow._pool.submit(may_end.wait)
    for _ in range(WAITING + 3):
        service.shadow.offer(served, other, images(1), served.model(images(1)))
    may_end.set()
    service.shadow._pool.shutdown()
    comparison = service.shadow.comparison(served, other)
    assert (comparison.requests, comparison.dropped) == (WAITING, 3)


def test_a_version_that_takes_something_else_fails_without_harm_and_the_log_says_why_once(serve, zoo, monkeypatch):
    service, logged = serve(1), []
    monkeypatch.setattr(shadow.log, "warning", lambda text, *values: logged.append(text % values))
    service.champions.shadows["pets"] = service.champions.serving["copier"]
    with TestClient(create_app(service), "http://127.0.0.1") as client:
        for _ in range(2):
            assert "answers" in post(client, images(1))
        service.shadow._pool.shutdown()
        assert client.get("/v1/pets/shadow").json()["failed"] == 2
    [line] = logged
    assert (
        "in the shadow: cannot answer: it takes uint8 (N, 8, 8, 3), but the version that serves got (1, 8, 8, 1)"
        in line
    )
    assert service.shadow._waiting == 0, "the next comparisons are not dropped"


def test_another_version_starts_another_comparison(serve):
    service = serve(1)
    served, other = service.champions.serving["pets"], service.champions.shadows["pets"]
    first = service.shadow.comparison(served, other)
    assert service.shadow.comparison(served, other) is first
    assert service.shadow.comparison(other, served) is not first


def test_without_a_shadow_the_route_says_how_to_have_one(client):
    answer = client.get("/v1/pets/shadow")
    assert answer.status_code == 404 and answer.json()["error"].endswith("start the server with --shadow candidate")


@pytest.mark.parametrize("server", ["http://127.0.0.1:9", "127.0.0.1:8000", "file:///etc/passwd"])
def test_a_server_that_does_not_answer_is_named(server):
    with pytest.raises(
        ConvzooError, match=r"does not answer as `convzoo serve` does \(.*\), expected a server with the"
    ):
        ask(server, "pets")
