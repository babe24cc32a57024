"""Export of an autoencoder: the whole network, its encoder and its decoder."""

from pathlib import Path

from convzoo.families.autoencoder.network import PixelAutoencoder, PixelDecoder, PixelEncoder, build
from convzoo.families.autoencoder.settings import ExportSettings
from convzoo.files import read_json
from convzoo.shipping.export import Exported, export_files, load_trained, results_of, val_images

ENCODER = "encoder.onnx"


def export(network: str, settings: ExportSettings) -> None:
    """Write to models/NETWORK/: model.onnx (uint8 images (B, H, W, C) in, reconstructions of the same shape out),
    parts/encoder.onnx (images in, latents float32 (B, L) out), parts/decoder.onnx (latents in, reconstructions out),
    parts/reference.npz (the measurements of val, with the latents as features) and export.json.

    Raises ConvzooError, and writes nothing, if a file's outputs differ from those of the weights.
    """
    described = read_json(Path("models", network, "architecture.json"))
    model = build(described["architecture"], described["arguments"])
    load_trained(model, network, described)
    images = val_images(described["dataset"], settings.parity_images)
    latents = results_of(PixelEncoder(model), images)
    export_files(
        network,
        described,
        model,
        Exported(PixelAutoencoder(model), images, "images", "reconstructions", "grey level"),
        {
            ENCODER: Exported(PixelEncoder(model), images, "images", "latents", "latent"),
            "decoder.onnx": Exported(PixelDecoder(model), latents, "latents", "reconstructions", "grey level"),
        },
        ENCODER,
        latent=latents.shape[1],
    )
