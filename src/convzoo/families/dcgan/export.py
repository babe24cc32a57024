"""Export of a DCGAN: the generator, and the features of the discriminator."""

from pathlib import Path

from convzoo.errors import ConvzooError
from convzoo.families.dcgan.latents import latents
from convzoo.families.dcgan.network import DiscriminatorFeatures, PixelGenerator, build, without_parametrizations
from convzoo.families.dcgan.settings import ExportSettings
from convzoo.files import read_json
from convzoo.shipping.export import Exported, export_files, load_trained, val_images

SEED = 0  # of the latents used to check the generator's file


def export(network: str, settings: ExportSettings) -> None:
    """Write to models/NETWORK/: model.onnx (latents float32 (B, L) in, images uint8 (B, H, W, C) out),
    parts/discriminator.onnx (images in, features float32 (B, D) out) and export.json.

    Raises ConvzooError, and writes nothing, if a file's outputs differ from those of the weights, or if the shape of
    the prepared images differs from that of generated ones.
    """
    described = read_json(Path("models", network, "architecture.json"))
    generator, discriminator = build(described["generator"], described["discriminator"])
    load_trained(generator, network, described)
    load_trained(discriminator, network, described, "discriminator.safetensors")
    images = val_images(described["dataset"], settings.parity_images)
    shape = list(images.shape[1:])
    if shape != described["shape"]:
        raise ConvzooError(
            f"{network}: generates images of {described['shape']}, but data/prepared/{described['dataset']} has "
            f"{shape}; train again: convzoo repro train@{network}"
        )
    noise = latents(len(images), described["generator"]["latents"], SEED)
    conditional = {"conditional": described["generator"]["classes"] > 0}
    features = DiscriminatorFeatures(without_parametrizations(discriminator))
    export_files(
        network,
        described,
        generator,
        Exported(PixelGenerator(generator), noise, "latents", "images", "grey level"),
        {"discriminator.onnx": Exported(features, images, "images", "features", "feature")},
        about=conditional,
        **conditional,
    )
