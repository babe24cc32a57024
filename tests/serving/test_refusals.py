"""What clients send wrong is answered with a status of 400 to 499 and a message like those of the command line."""

import base64

import numpy as np
import pytest
from helpers.served import LATENT, images

from convzoo.serving.limits import Limits

PIXELS = images(1)
GOOD = base64.b64encode(PIXELS).decode()
JSON = {"content-type": "application/json"}
SIZE = "expected uint8 (N, 8, 8, 1) (raw pixels from 0 to 255, not scaled)"
FORM = "expected one image file or more in the field files, as in: curl -F files=@photo.png"

# The path, what is sent, the status and the message.
PREDICT = "/v1/pets/predict"
SAMPLE = "/v1/maker/sample"
BODIES = {
    "no JSON": (PREDICT, "{", 400, "the request is not JSON (Invalid JSON: EOF while parsing an object"),
    "nothing": (PREDICT, "", 400, "the request is not JSON (Invalid JSON: EOF while parsing a value"),
    "too deep": (PREDICT, '{"images":' + "[" * 10_000, 400, "the request is not JSON (Invalid JSON: recursion limit"),
    "no text": (PREDICT, b"\xff\xfe", 400, "the request is not JSON (Invalid JSON: "),
    "a list": (PREDICT, "[]", 422, "the request: got [], expected an object"),
    "no images": (PREDICT, "{}", 422, "images: is missing, expected one of: images"),
    "a key": (PREDICT, '{"image": []}', 422, "images: is missing, expected one of: images"),
    "more keys": (PREDICT, '{"images": [], "top": 1}', 422, "top: is not known, expected: images"),
    "a typo": (
        SAMPLE,
        '{"sede": 1}',
        422,
        "sede: is not known, did you mean 'seed'? expected: count, seed, class, latents",
    ),
    "a level": (PREDICT, '{"images": [[[[256]]]]}', 422, "images.0.0.0.0: got 256, expected less than or equal to 255"),
    "a share": (PREDICT, '{"images": [[[[0.5]]]]}', 422, "images.0.0.0.0: got 0.5, expected a valid integer"),
    "a truth": (PREDICT, '{"images": [[[[true]]]]}', 422, "images.0.0.0.0: got True, expected a valid integer"),
    "no number": (PREDICT, '{"images": [[[["9"]]]]}', 422, "images.0.0.0.0: got '9', expected a valid integer"),
    "flat": (PREDICT, '{"images": [1]}', 422, "images.0: got 1, expected a valid array"),
    "ragged": (
        PREDICT,
        '{"images": [[[[1],[2]],[[1]]]]}',
        422,
        "images: has lists of different lengths, or empty ones",
    ),
    "empty": (PREDICT, '{"images": []}', 422, "images: has lists of different lengths, or empty ones"),
    "a size": (PREDICT, '{"images": [[[[1]]]]}', 422, f"images: got (1, 1, 1, 1), {SIZE}"),
    "no base64": (PREDICT, '{"images":{"base64":"!","shape":[1,8,8,1]}}', 422, "images.base64: is not base64 ("),
    "other bytes": (
        PREDICT,
        '{"images":{"base64":"AAAA","shape":[1,8,8,1]}}',
        422,
        "images.base64: has 3 bytes, expected 64 for the shape (1, 8, 8, 1), one for each number",
    ),
    "three sizes": (
        PREDICT,
        f'{{"images":{{"base64":"{GOOD}","shape":[8,8,1]}}}}',
        422,
        "images.shape: got [8, 8, 1], ",
    ),
    "no shape": (PREDICT, f'{{"images":{{"base64":"{GOOD}"}}}}', 422, "images.shape: is missing"),
    "huge": (
        PREDICT,
        f'{{"images":{{"base64":"{GOOD}","shape":[{2**31},{2**31},9,9]}}}}',
        422,
        "images.base64: has 64",
    ),
    "no count": (SAMPLE, '{"count": 0}', 422, "count: got 0, expected greater than or equal to 1"),
    "half": (SAMPLE, '{"count": 1.5}', 422, "count: got 1.5, expected a valid integer"),
    "a seed": (SAMPLE, '{"seed": -1}', 422, "seed: got -1, expected greater than or equal to 0"),
    "a long seed": (
        SAMPLE,
        f'{{"seed": {2**63}}}',
        422,
        f"seed: got {2**63}, expected less than or equal to {2**63 - 1}",
    ),
    "both": (SAMPLE, '{"seed": 1, "latents": [[0]]}', 422, "seed: is not known, expected: count, seed, class, latents"),
    "a class": (
        SAMPLE,
        '{"class": "cat"}',
        422,
        "class: got 'cat', but maker was trained without classes, expected none",
    ),
    "a number": (SAMPLE, '{"class": 3}', 422, "class: got 3, expected a valid string"),
    "widths": (
        SAMPLE,
        '{"latents": [[1, 2], [3]]}',
        422,
        f"latents: got lists of 1, 2 numbers, expected lists of {LATENT}",
    ),
    "no latents": (SAMPLE, '{"latents": []}', 422, "latents: got [], expected "),
    "infinite": (SAMPLE, '{"latents": [[1e999, 0, 0, 0, 0]]}', 422, "latents.0.0: got inf, expected a finite number"),
    "too large": (
        SAMPLE,
        '{"latents": [[1e300, 0, 0, 0, 0]]}',
        422,
        "latents: got a number that is too large for 32 bits",
    ),
    "too many": (SAMPLE, '{"count": 257}', 413, "257 images were asked for, expected at most 256; ask several times"),
    "many latents": (
        SAMPLE,
        '{"latents": [' + "[0,0,0,0,0]," * 256 + "[0,0,0,0,0]]}",
        413,
        "257 images were asked for",
    ),
    "no network": (
        "/v1/pet/predict",
        "{}",
        404,
        "pet: there is no such network, did you mean 'pets'? expected: copier",
    ),
    "a task": (
        "/v1/pets/sample",
        "{}",
        404,
        "pets: classifies images, so it has no sample; use: POST /v1/pets/predict",
    ),
    "two tasks": (
        "/v1/copier/predict",
        "{}",
        404,
        "copier: reconstructs images, so it has no predict; use: POST /v1/copier/reconstruct or /v1/copier/encode",
    ),
    "a page": ("/v2", "{}", 404, "/v2: there is no such page, expected one of those in /docs"),
    "a method": ("/v1/models", "{}", 405, "/v1/models: does not answer POST, expected GET"),
    "top": (f"{PREDICT}?top=0", "{}", 422, "top: got '0', expected greater than or equal to 1"),
}


@pytest.mark.parametrize("wrong", BODIES)
def test_a_wrong_body_is_refused_with_what_was_expected(client, wrong):
    path, content, status, message = BODIES[wrong]
    answer = client.post(path, content=content, headers=JSON)
    assert answer.json()["error"].startswith(message)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"} and len(answer.text) < 600


FILES = {
    "another field": ({"file": ("a.png", b"x")}, 422, f"the form has the field 'file', {FORM}"),
    "no picture": ({"files": ("a.txt", b"x")}, 422, "a.txt: is not an image that can be read, expected JPEG, PNG"),
    "nothing": ({"files": ("a.png", b"")}, 422, "a.png: is empty, expected a complete image ("),
}


@pytest.mark.parametrize("wrong", FILES)
def test_a_wrong_form_is_refused_with_what_was_expected(client, wrong):
    files, status, message = FILES[wrong]
    answer = client.post(PREDICT, files=files)
    assert answer.json()["error"].startswith(message)
    assert answer.status_code == status


def test_text_in_a_form_is_named(client):
    answer = client.post(PREDICT, data={"files": "x"}, files={"other": ("a.png", b"")})
    assert (answer.status_code, answer.json()["error"]) == (422, f"the form has the field 'files', {FORM}")


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_other_types_are_refused(client, kind):
    answer = client.post(PREDICT, content=b"x", headers={"content-type": kind} if kind else {})
    shown = repr(kind) if kind else "none"
    assert answer.status_code == 415
    assert answer.json()["error"].startswith(f"the request has the type {shown[:10]}")


@pytest.mark.parametrize(
    "head", ["multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary="]
)
@pytest.mark.parametrize(
    "content", [b"", b"--x", b"\r\n--x\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\r\n--x--"]
)
def test_a_broken_form_is_refused(client, head, content):
    answer = client.post(PREDICT, content=content, headers={"content-type": head})
    assert answer.status_code in (400, 422) and FORM in answer.json()["error"]


def test_files_for_a_generator_are_refused(client):
    answer = client.post(SAMPLE, files={"files": ("a.png", b"x")})
    assert answer.status_code == 415 and "expected application/json with count and seed" in answer.json()["error"]


def test_every_unreadable_file_is_named(client):
    files = [("files", (name, b"x")) for name in ("a.png", "b.png")]
    answer = client.post(PREDICT, files=files)
    assert [line.split(":")[0] for line in answer.json()["error"].splitlines()] == ["a.png", "b.png"]


def test_more_images_than_allowed_are_refused(start):
    client = start(limits=Limits(images=2))
    pixels = images(3)
    body = {"images": {"base64": base64.b64encode(pixels).decode(), "shape": list(pixels.shape)}}
    message = "the request has more than 2 images, expected at most that; send several requests"
    for answer in (
        client.post(PREDICT, json=body),
        client.post(PREDICT, files=[("files", ("a.png", b"x"))] * 3),
    ):
        assert (answer.status_code, answer.json()["error"]) == (413, message)


@pytest.mark.parametrize("resize", ["crop", None])
def test_a_picture_with_more_pixels_than_allowed_is_refused_before_it_is_decoded(start, tmp_path, resize):
    from helpers.served import write_classifier
    from PIL import Image

    write_classifier(tmp_path / "zoo", "pets", resize=resize)
    Image.fromarray(np.zeros((11, 10), np.uint8)).save(tmp_path / "a.png")
    files = {"files": ("a.png", (tmp_path / "a.png").read_bytes())}
    answer = start(folder=tmp_path / "zoo", limits=Limits(pixels=109)).post(PREDICT, files=files)
    assert answer.status_code == 422 and "more than the allowed 109 pixels" in answer.json()["error"]
    assert start(folder=tmp_path / "zoo", limits=Limits(pixels=110)).post(PREDICT, files=files).status_code == 200
