"""Every network that the pipeline registered answers as its exported file does, within the tolerance of the export."""

import base64

import numpy as np
import pytest
from starlette.testclient import TestClient

from convzoo.files import read_json
from convzoo.serving.app import Service, create_app
from convzoo.serving.champions import Champions
from convzoo.serving.sources import Registry
from convzoo.settings.load import read_params
from convzoo.shipping.model import Model

IMAGES = 40


@pytest.fixture
def client(rebuilt, monkeypatch):
    monkeypatch.chdir(rebuilt.folder)
    champions = Champions(Registry())
    champions.start()
    with TestClient(create_app(Service(champions)), "http://127.0.0.1") as client:
        yield client


def test_the_answers_of_every_network_are_those_of_its_file(rebuilt, client):
    networks = {row["network"]: row for row in client.get("/v1/models").json()["networks"]}
    assert sorted(networks) == sorted(read_params().values["networks"])
    for network, row in networks.items():
        folder = rebuilt.folder / "models" / network
        export, model = read_json(folder / "export.json"), Model(folder / "model.onnx")
        shape, rng = (IMAGES, *model.input.shape[1:]), np.random.default_rng(0)
        if row["operations"] == ["sample"]:
            inputs = rng.standard_normal(shape, np.float32)
            answer = client.post(f"/v1/{network}/sample", json={"latents": inputs.tolist()}).json()
        else:
            inputs = rng.integers(0, 256, shape, np.uint8)
            body = {"images": {"base64": base64.b64encode(inputs).decode(), "shape": shape}}
            answer = client.post(f"/v1/{network}/{row['operations'][0]}", json=body).json()
        assert (answer["version"], answer["sha256"]) == (1, export["model_sha256"])
        allowed = export["parity"]["files"]["model.onnx"]["allowed"]
        np.testing.assert_allclose(outputs(answer, export), model(inputs), atol=allowed, rtol=0)


def outputs(answer: dict, export: dict) -> np.ndarray:
    """What the network made of the inputs, from the answer."""
    if "images" in answer:
        pixels = np.frombuffer(base64.b64decode(answer["images"]["base64"]), np.uint8)
        return pixels.reshape(answer["images"]["shape"]).astype(np.float64)
    return np.array([[row["probabilities"][name] for name in export["classes"]] for row in answer["answers"]])


def test_an_autoencoder_comes_with_its_encoder(rebuilt, client):
    network = "cifar10-autoencoder"
    model = Model(rebuilt.folder / "models" / network / "parts/encoder.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *model.input.shape[1:]), np.uint8)
    answer = client.post(f"/v1/{network}/encode", json={"images": pixels.tolist()}).json()
    np.testing.assert_allclose(answer["latents"], model(pixels), atol=1e-4)


def test_the_examples_in_the_description_of_every_network_run(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        if "post" in methods:
            example = methods["post"]["requestBody"]["content"]["application/json"]["example"]
            assert client.post(path, json=example).status_code == 200


def test_the_card_is_the_one_that_was_registered(client):
    assert client.get("/v1/mnist-classifier/card").text.startswith("Classifies 28x28 grey images of the data set mnist")
