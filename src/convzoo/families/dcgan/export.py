"""The stage `export` of a DCGAN: the generator, and the discriminator's features."""

from pathlib import Path

import numpy as np

from convzoo.errors import ConvzooError
from convzoo.families.dcgan.network import DiscriminatorFeatures, PixelGenerator, build, without_parametrizations
from convzoo.families.dcgan.settings import ExportSettings
from convzoo.files import read_json
from convzoo.shipping.export import Exported, export_files, load_trained, val_images

SEED = 0  # of the latents on which the generator's file is checked


def export(network: str, settings: ExportSettings) -> None:
    """Write to models/NETWORK/: model.onnx (latents float32 (B, L) in, images uint8 (B, H, W, C) out),
    parts/discriminator.onnx (images in, features float32 (B, D) out) and export.json.

    Raises ConvzooError, and writes nothing, if a file does not agree with the weights, or if the prepared images have
    another shape than those that the generator makes.
    """
    described = read_json(Path("models", network, "architecture.json"))
    generator, discriminator = build(described["generator"], described["discriminator"])
    load_trained(generator, network, "weights.safetensors", described["weights_sha256"])
    load_trained(discriminator, network, "extra/discriminator.safetensors")
    images = val_images(described["dataset"], settings.parity_images)
    shape = list(images.shape[1:])
    if shape != described["shape"]:
        raise ConvzooError(
            f"{network}: generates images of {described['shape']}, but data/prepared/{described['dataset']} has "
            f"{shape}; train again: dvc repro train@{network}"
        )
    size = (len(images), described["generator"]["latents"])
    latents = np.random.Generator(np.random.PCG64(SEED)).standard_normal(size, dtype=np.float32)
    features = DiscriminatorFeatures(without_parametrizations(discriminator))
    export_files(
        network,
        described,
        generator,
        Exported(PixelGenerator(generator), latents, "latents", "images", "grey level"),
        {"discriminator.onnx": Exported(features, images, "images", "features", "feature")},
    )
