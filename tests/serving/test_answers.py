"""The answers are those of the commands and of the exported files, for images of any size and mode."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.served import CLASSES, LATENT, images, write_classifier, write_generator
from PIL import Image

from convzoo.commands.predict import predict
from convzoo.commands.reconstruct import reconstruct
from convzoo.commands.sample import sample
from convzoo.files import sha256_of
from convzoo.shipping.model import Model

FORMS = [("L", "png", (8, 8)), ("RGB", "jpg", (40, 17)), ("RGBA", "png", (9, 30)), ("P", "gif", (8, 9))]
FORMS += [("1", "bmp", (100, 64)), ("I;16", "tif", (20, 20)), ("LA", "webp", (7, 7))]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> list[Path]:
    """Image files of several sizes and modes."""
    folder, files = tmp_path_factory.mktemp("pictures"), []
    for number, (mode, ending, (width, height)) in enumerate(FORMS):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 4), np.uint8)
        if mode == "I;16":
            image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
        else:
            image = Image.fromarray(pixels, "RGBA").convert(mode)
        files.append(folder / f"{number}.{ending}")
        image.save(files[-1])
    return files


def form(files: list[Path]) -> list[tuple]:
    return [("files", (file.name, file.read_bytes())) for file in files]


def as_json(pixels: np.ndarray) -> dict:
    return {"images": {"base64": base64.b64encode(pixels).decode(), "shape": list(pixels.shape)}}


def decoded(answer: dict) -> np.ndarray:
    pixels = np.frombuffer(base64.b64decode(answer["images"]["base64"]), np.uint8)
    return pixels.reshape(answer["images"]["shape"])


@pytest.mark.parametrize("invert", [False, True])
def test_files_of_any_size_and_mode_get_the_answers_of_convzoo_predict(client, zoo, pictures, invert):
    file = zoo / "pets/model.onnx"
    answer = client.post(f"/v1/pets/predict?invert={invert}", files=form(pictures)).json()
    assert (answer["network"], answer["version"], answer["sha256"]) == ("pets", None, sha256_of(file))
    rows = predict(file, pictures, top=len(CLASSES), invert=invert)
    for found, row, picture in zip(answer["answers"], rows, pictures, strict=True):
        assert (found["file"], found["class"]) == (picture.name, row["class"])
        assert found["probability"] == pytest.approx(row["probability"], abs=1e-6)
        expected = {guess["class"]: guess["probability"] for guess in row["top"]}
        assert found["probabilities"] == pytest.approx(expected, abs=1e-6)
        assert list(found["probabilities"]) == list(expected)
        assert [warning.replace("?invert=true", "--invert") for warning in found["warnings"]] == row["warnings"]
    assert any(found["warnings"] for found in answer["answers"])


def test_raw_pixels_get_the_answers_of_the_file_as_lists_and_as_base64(client, zoo):
    pixels = images(300)[:250]
    expected = Model(zoo / "pets/model.onnx")(pixels)
    for body in (as_json(pixels), {"images": pixels.tolist()}):
        answers = client.post("/v1/pets/predict", json=body).json()["answers"]
        found = [[row["probabilities"][name] for name in CLASSES] for row in answers]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert [row["class"] for row in answers] == [CLASSES[best] for best in expected.argmax(axis=1)]
        assert {row["file"] for row in answers} == {None}


def test_only_the_most_probable_classes_are_given_if_so_asked(client):
    [answer] = client.post("/v1/pets/predict?top=2", json=as_json(images(1))).json()["answers"]
    first, second = answer["probabilities"].values()
    assert first == answer["probability"] == answer["probabilities"][answer["class"]] >= second
    assert (
        len(client.post("/v1/pets/predict?top=99", json=as_json(images(1))).json()["answers"][0]["probabilities"]) == 3
    )


def test_reconstructions_are_those_of_convzoo_reconstruct(client, zoo, pictures, tmp_path):
    rows = reconstruct(zoo / "copier/model.onnx", pictures, tmp_path / "out")
    answer = client.post("/v1/copier/reconstruct", files=form(pictures)).json()
    expected = [np.asarray(Image.open(row["written"])) for row in rows]
    assert np.array_equal(decoded(answer), expected)
    assert [found["psnr"] for found in answer["answers"]] == [row["psnr"] for row in rows]
    assert [found["file"] for found in answer["answers"]] == [picture.name for picture in pictures]


def test_encodings_are_those_of_the_encoder(client, zoo):
    pixels = images(3, channels=3)
    answer = client.post("/v1/copier/encode", json=as_json(pixels)).json()
    np.testing.assert_allclose(answer["latents"], Model(zoo / "copier/parts/encoder.onnx")(pixels), atol=1e-5)
    assert answer["files"] == [None] * 3 and answer["sha256"] == sha256_of(zoo / "copier/model.onnx")


def test_a_seed_generates_the_images_of_convzoo_sample(client, zoo, tmp_path):
    *files, _ = sample(zoo / "maker/model.onnx", 105, 7, tmp_path / "samples")
    answer = client.post("/v1/maker/sample", json={"count": 105, "seed": 7}).json()
    assert np.array_equal(decoded(answer), [np.asarray(Image.open(file)) for file in files])
    assert answer["seed"] == 7
    fewer = client.post("/v1/maker/sample", json={"count": 5, "seed": 7}).json()
    assert np.array_equal(decoded(fewer), decoded(answer)[:5])


def test_images_of_a_class_are_those_of_convzoo_sample(start, tmp_path):
    file = write_generator(tmp_path / "zoo", classes=CLASSES[:2], conditional=True)
    client, by_class = start(folder=tmp_path / "zoo"), []
    for name in CLASSES[:2]:
        *files, _ = sample(file, 9, 7, tmp_path / name, name)
        answer = client.post("/v1/maker/sample", json={"count": 9, "seed": 7, "class": name}).json()
        by_class.append(decoded(answer))
        assert np.array_equal(by_class[-1], [np.asarray(Image.open(file)) for file in files])
    assert not np.array_equal(*by_class)
    refused = client.post("/v1/maker/sample", json={"class": "cow"})
    expected = f"class: got 'cow', expected one of: {', '.join(CLASSES[:2])}"
    assert (refused.status_code, refused.json()["error"]) == (422, expected)


def test_latents_generate_the_images_of_the_file(client, zoo):
    latents = np.random.default_rng(3).normal(size=(4, LATENT)).astype(np.float32)
    answer = client.post("/v1/maker/sample", json={"latents": latents.tolist()}).json()
    assert np.array_equal(decoded(answer), Model(zoo / "maker/model.onnx")(latents)) and answer["seed"] is None


def test_networks_are_listed_with_version_metrics_and_card(client, zoo):
    networks = {row["network"]: row for row in client.get("/v1/models").json()["networks"]}
    assert list(networks) == ["copier", "maker", "pets"]
    assert networks["copier"]["operations"] == ["reconstruct", "encode"]
    pets = networks["pets"]
    assert (pets["classes"], pets["input"], pets["sha256"]) == (
        CLASSES,
        "uint8 (N, 8, 8, 1)",
        sha256_of(zoo / "pets/model.onnx"),
    )
    assert pets["versions"][0]["metrics"] == {"test_accuracy": 0.75}
    assert client.get(pets["card"]).text == "# pets\n"


def test_it_is_healthy_and_ready(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {
        "ready": True,
        "serving": {"copier": None, "maker": None, "pets": None},
        "problems": [],
    }


def test_requests_images_and_versions_are_counted(client, zoo):
    client.post("/v1/pets/predict", json=as_json(images(3)))
    client.post("/v1/pets/predict", json={})
    client.get("/v1/made-up/predict")
    lines = client.get("/metrics").text.splitlines()
    assert 'convzoo_requests_total{network="pets",operation="predict",status="200"} 1.0' in lines
    assert 'convzoo_requests_total{network="pets",operation="predict",status="422"} 1.0' in lines
    assert 'convzoo_requests_total{network="",operation="other",status="405"} 1.0' in lines
    assert 'convzoo_images_total{network="pets",operation="predict",version=""} 3.0' in lines
    assert 'convzoo_request_seconds_count{network="pets",operation="predict"} 2.0' in lines
    sha256 = sha256_of(zoo / "pets/model.onnx")
    assert f'convzoo_serving{{alias="",network="pets",sha256="{sha256}",version=""}} 1.0' in lines


def test_the_examples_of_the_api_run_and_answer_as_it_says(client):
    document, ran = client.get("/openapi.json").json(), []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "post":
                example = operation["requestBody"]["content"]["application/json"]["example"]
                answer = client.post(path, json=example)
                schema = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
                assert answer.status_code == 200, answer.text
                assert set(answer.json()) == set(document["components"]["schemas"][schema.split("/")[-1]]["required"])
                ran.append(path)
            elif not path.endswith("/shadow"):
                assert client.get(path).status_code == 200
    assert ran == ["/v1/copier/reconstruct", "/v1/copier/encode", "/v1/maker/sample", "/v1/pets/predict"]


def test_everything_that_the_description_refers_to_is_in_it(client):
    text = client.get("/openapi.json").text
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert "Predictions" in references and references <= set(json.loads(text)["components"]["schemas"])


def test_the_page_of_the_api_asks_no_other_machine(client):
    page = client.get("/docs").text
    assert "SwaggerUIBundle" in page and '"validatorUrl": null' in page
    assert not re.search(r"(src|href)=.(https?:)?//", page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert client.get(address).status_code == 200
    assert json.loads(client.get("/openapi.json").text)["info"]["title"] == "convzoo"


def test_an_image_of_a_network_that_was_trained_on_one_size_is_cropped_with_a_note(start, tmp_path):
    write_classifier(tmp_path, "fixed", resize="none")
    stream = io.BytesIO()
    Image.fromarray(images(1)[0, :, :, 0]).resize((20, 30)).save(stream, "PNG")
    answer = start(folder=tmp_path).post("/v1/fixed/predict", files=[("files", ("a.png", stream.getvalue()))]).json()
    assert answer["notes"] == [
        "note: 1 image is not 8 wide and 8 high: the centre was cropped and scaled; the network was trained on images "
        "of that size only (resize: none)"
    ]
