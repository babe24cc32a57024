"""`mlflow models serve` on the registered network."""

import json
import urllib.request

import numpy as np
from helpers.mlflow_serving import mlflow_serves

from convzoo.shipping.model import Model


def test_the_candidate_is_served_and_answers_raw_pixels_with_classes_and_the_files_probabilities(rebuilt, tmp_path):
    folder = rebuilt.folder
    with mlflow_serves(folder, "mnist-classifier@candidate", tmp_path / "log") as address:
        images = np.load(folder / "data/prepared/mnist/test/images.npy")[:3]
        request = urllib.request.Request(
            address,
            data=json.dumps({"inputs": images.tolist()}).encode(),
            headers={"Content-Type": "application/json"},
        )
        answer = json.load(urllib.request.urlopen(request, timeout=60))["predictions"]
    expected = Model(folder / "models/mnist-classifier/model.onnx")(images)
    np.testing.assert_allclose(np.float32(answer["probabilities"]), expected, atol=1e-6)
    assert answer["label"] == [str(best) for best in expected.argmax(axis=1)]
    np.testing.assert_allclose(np.float32(answer["probability"]), expected.max(axis=1), atol=1e-6)
