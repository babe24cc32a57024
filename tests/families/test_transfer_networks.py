"""The networks of the transfer family: backbones of all kinds, what is changed in their images, their structure."""

import numpy as np
import pytest
import torch
from helpers.project import ROOT
from helpers.small.transfer import small_settings

from convzoo.errors import ConvzooError
from convzoo.families.transfer import augmentation
from convzoo.families.transfer import network as transfer
from convzoo.families.transfer.structure import structure
from convzoo.weights import backbones

# A name of each kind of torchvision's classifiers, and how many features are left of it.
BACKBONES = {
    **{"alexnet": 256, "convnext_tiny": 768, "densenet121": 1024, "efficientnet_b0": 1280, "googlenet": 1024},
    **{"inception_v3": 2048, "maxvit_t": 512, "mnasnet0_5": 1280, "mobilenet_v2": 1280, "mobilenet_v3_small": 576},
    **{"resnet18": 512, "resnet50": 2048, "shufflenet_v2_x0_5": 1024, "squeezenet1_1": 512, "swin_t": 768},
    **{"vgg16": 512, "vgg19_bn": 512, "vit_b_16": 768, "wide_resnet50_2": 2048},
    **{"efficientnet-lite0": 1280, "efficientnet-lite2": 1280},
}


@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_left_without_the_classifier_are_features(backbone):
    with torch.device("meta"), torch.no_grad():  # shapes alone, no memory
        network = backbones.cut(backbones.whole(backbone))
        assert network.train()(torch.zeros(2, 3, 224, 224)).shape == (2, BACKBONES[backbone])
    parts = [weight for block in transfer.blocks(network) for part in block for weight in part.parameters()]
    assert len({id(weight) for weight in parts}) == len(parts)
    assert sum(weight.numel() for weight in parts) > 0.99 * sum(weight.numel() for weight in network.parameters())


def test_an_unknown_backbone_is_named_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"backbone: got 'resnet51', expected efficientnet-lite0, .* resnet50, "):
        backbones.whole("resnet51")


def test_a_side_that_the_backbone_cannot_take_is_said():
    with torch.device("meta"), pytest.raises(ValueError, match="side: the backbone takes no pictures of 96x96"):
        backbones.features(backbones.cut(backbones.whole("vit_b_16")), 96)


def test_the_structure_of_resnet_50_has_five_stages_and_its_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = structure("resnet50")
    assert "resnet50: 5 stages, 17 blocks, 23,508,032 weights without the classifier" in told
    assert told.count("convolution block, + 1x1 of the input") == 4
    assert told.count("identity block, + input") == 12
    assert "1x1 2048->512, 3x3 512->512, 1x1 512->2048" in told


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnt50", "resnt50: is no network and no backbone, did you mean 'resnet50'?"),
        ("flowers-transfr", "is no network and no backbone, did you mean 'flowers-transfer'?"),
        (
            "zzz",
            "backbone: got 'zzz', expected efficientnet-lite0, efficientnet-lite1, ",
        ),
        (
            "mnist-dcgan",
            r"has no backbone \(family: dcgan\), expected a network of the family transfer \(flowers-trans",
        ),
    ],
)
def test_what_has_no_structure_is_answered_with_what_may_be_meant(monkeypatch, name, message):
    monkeypatch.chdir(ROOT / "docs")
    with pytest.raises(ConvzooError, match=message):
        structure(name)


def phase(**changes):
    still = {"flip": False, "crop": 1, "rotation": 0, "brightness": 0, "contrast": 0, "saturation": 0}
    return small_settings(finetune=still | {"mixup": 0, "cutmix": 0} | changes).finetune


def pictures(count: int = 6) -> torch.Tensor:
    return torch.randint(0, 256, (count, 12, 12, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def augmented(side: int, **changes) -> torch.Tensor:
    draws = augmentation.draw_augmentation(len(pictures()), phase(**changes), torch.Generator().manual_seed(0))
    return augmentation.augment(pictures(), draws, side)


def test_without_changes_images_are_resized_and_no_more():
    found = augmented(24)
    expected = backbones.resized(pictures().permute(0, 3, 1, 2).float(), 24).permute(0, 2, 3, 1)
    torch.testing.assert_close(found[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1], atol=1e-2, rtol=0)


def test_images_are_mirrored_cut_out_and_lit():
    def found(**changes) -> torch.Tensor:
        return augmented(12, **changes).round()

    mirrored = [torch.equal(new, old.flip(1).float()) for new, old in zip(found(flip=True), pictures(), strict=True)]
    kept = [torch.equal(new, old.float()) for new, old in zip(found(flip=True), pictures(), strict=True)]
    assert sum(mirrored) + sum(kept) == 6 and 0 < sum(kept) < 6
    for change in ({"crop": 0.3}, {"rotation": 30}, {"brightness": 0.5}, {"contrast": 0.5}, {"saturation": 0.5}):
        assert (found(**change) - pictures()).abs().flatten(1).amax(1).min() > 1, change
    assert found(brightness=1.0, contrast=1.0).amin() >= 0 and found(brightness=1.0).amax() <= 255
    grey = found(saturation=1.0)
    assert grey.isfinite().all()


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_images_are_mixed_in_pairs_and_their_shares_are_told(way):
    x = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 20, 20).contiguous()
    mixing = augmentation.draw_mixing(6, 20, phase(**{way: 1.0}), np.random.default_rng(3))
    found, partners, share = augmentation.mix(x.clone(), mixing), mixing.partners, mixing.share
    assert 0 < share < 1
    expected = share * torch.arange(6.0) + (1 - share) * partners
    torch.testing.assert_close(found.mean((1, 2, 3)), expected)
    assert (len(found[0].unique()) == 1) == (way == "mixup")
