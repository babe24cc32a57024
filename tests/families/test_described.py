"""Every setting of an architecture is that of the network that is built from architecture.json."""

import pytest
import torch
from helpers.loops import META, Backbone
from helpers.small import AUTOENCODER, CLASSIFIER, DCGAN, TRANSFER
from torch import nn

from convzoo.families.autoencoder import network as autoencoder
from convzoo.families.autoencoder.train import describe as describe_autoencoder
from convzoo.families.classifier import network as classifier
from convzoo.families.classifier.train import describe as describe_classifier
from convzoo.families.dcgan import network as dcgan
from convzoo.families.dcgan.train import describe as describe_dcgan
from convzoo.families.transfer.network import Transfer, blocks
from convzoo.families.transfer.train import describe as describe_transfer
from convzoo.weights.backbones import cut, whole


def built(network, described: dict) -> nn.Module:
    assert {name: described[name] for name in META} == META
    assert described["family"] == network.__name__.split(".")[-2]
    return network.build(described["architecture"], described["arguments"])


def of_kind(network: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(part, kinds)]


def filters(network: nn.Module) -> list[tuple[int, int]]:
    """The channels that each convolution takes and gives."""
    layers = of_kind(network, nn.Conv2d, nn.ConvTranspose2d)
    return [(layer.in_channels, layer.out_channels) for layer in layers]


@pytest.mark.parametrize(("dirac", "activation"), [(True, nn.SiLU), (False, nn.Tanh)])
def test_the_fast_classifier(dirac, activation):
    settings = CLASSIFIER.settings(activation=activation.__name__.lower())
    changes = {"widths": [5, 6], "whitening": not dirac, "dirac": dirac, "logit_scale": 0.25}
    settings = settings.model_copy(update={"fast": settings.fast.model_copy(update=changes)})
    network = built(classifier, describe_classifier(settings, META)).eval()
    assert filters(network) == [(3, 24), (24, 5), (5, 5), (5, 6), (6, 6)]
    assert len(of_kind(network, activation)) == 5 and network.head.weight.shape == (4, 6)
    assert network.stem.weight.requires_grad == dirac
    identity = nn.init.dirac_(torch.empty(6, 6, 3, 3))
    assert torch.equal(network.blocks[1].conv2.weight, identity) == dirac
    x, seen = torch.rand(2, 3, 8, 8), []
    network.head.register_forward_hook(lambda part, inputs, output: seen.append(output))
    torch.testing.assert_close(network(x), seen[0] / 4)


def test_the_reference_classifier():
    settings = CLASSIFIER.settings(architecture="reference", activation="relu")
    changes = {"blocks": [[3, 4], [5]], "padding": "same", "dense": 7, "dropout": 0.4}
    settings = settings.model_copy(update={"reference": settings.reference.model_copy(update=changes)})
    network = built(classifier, describe_classifier(settings, META))
    assert filters(network) == [(3, 3), (3, 4), (4, 5)] and len(of_kind(network, nn.MaxPool2d)) == 2
    assert {layer.padding for layer in of_kind(network, nn.Conv2d)} == {"same"}
    assert [layer.weight.shape for layer in of_kind(network, nn.Linear)] == [(7, 5 * 2 * 2), (4, 7)]
    assert [layer.p for layer in of_kind(network, nn.Dropout)] == [0.4]


def test_the_fast_autoencoder():
    settings = AUTOENCODER.settings(
        activation="tanh", latent=5, features=6, strides=[2, 4], encoder_blocks=1, decoder_blocks=2
    )
    network = built(autoencoder, describe_autoencoder(settings, META))
    assert [layer.weight.shape for layer in of_kind(network, nn.Linear)] == [(5, 192), (192, 5)]
    assert [layer.stride for layer in of_kind(network.encoder.down, nn.Conv2d)] == [(2, 2), (4, 4)]
    assert [layer.stride for layer in of_kind(network.decoder.up, nn.ConvTranspose2d)] == [(4, 4), (2, 2)]
    assert [len(part.blocks) for part in (network.encoder, network.decoder)] == [1, 2]
    assert filters(network.encoder)[1] == (6, 6) and of_kind(network, nn.Tanh) and not of_kind(network, nn.GELU)


def test_the_reference_autoencoder():
    settings = AUTOENCODER.settings(architecture="reference", activation="elu")
    settings = settings.model_copy(update={"reference": settings.reference.model_copy(update={"features": [6, 5]})})
    network = built(autoencoder, describe_autoencoder(settings, META))
    assert filters(network) == [(3, 6), (6, 5), (5, 6), (6, 3)] and len(of_kind(network, nn.ELU)) == 3


@pytest.mark.parametrize(("norm", "spectral"), [("batch", False), ("none", True)])
def test_the_networks_of_a_dcgan(norm, spectral):
    changes = {"latents": 9, "generator_width": 5, "discriminator_width": 7, "leak": 0.3}
    described = describe_dcgan(DCGAN.settings(discriminator_norm=norm, spectral_norm=spectral, **changes), META)
    assert described["family"] == "dcgan"
    generator, discriminator = dcgan.build(described["generator"], described["discriminator"])
    assert filters(generator) == [(9, 5), (5, 3)] and filters(discriminator) == [(3, 7), (7, 1)]
    assert {layer.negative_slope for layer in of_kind(discriminator, nn.LeakyReLU)} == {0.3}
    parametrized = {hasattr(layer, "parametrizations") for layer in of_kind(discriminator, nn.Conv2d)}
    assert parametrized == {spectral} and described["discriminator"]["norm"] == norm


@pytest.mark.parametrize(("head", "shapes"), [("linear", [(4, 6)]), ("dense", [(9, 6), (4, 9)])])
def test_the_head_of_a_transfer_network(head, shapes):
    about = {"backbone": "resnet50", "source": {}, "files": {"weights.safetensors": "0"}}
    described = describe_transfer(TRANSFER.settings(head=head, dense=9, side=16, dropout=0.4), about, META)
    assert described["family"] == "transfer"
    assert described["mean"] == [0.485, 0.456, 0.406], "those of the backbone, not of the images"
    network = Transfer(Backbone(), **described["arguments"])
    assert [layer.weight.shape for layer in of_kind(network.head, nn.Linear)] == shapes
    assert [layer.p for layer in of_kind(network.head, nn.Dropout)] == [0.4]
    sizes = []
    network.backbone.register_forward_hook(lambda part, inputs, output: sizes.append(inputs[0].shape[2:]))
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 4) and sizes == [(16, 16)]


def test_the_top_blocks_of_efficientnet_are_its_last_ones_with_their_norms():
    with torch.device("meta"):
        backbone = cut(whole("efficientnet-lite0"))
    names = {part: name for name, part in backbone.named_modules()}
    top = [[names[part] for part in block] for block in blocks(backbone)]
    assert top[0] == ["conv_stem", "bn1"] and top[-2:] == [["blocks.6"], ["conv_head", "bn2"]] and len(top) == 9
