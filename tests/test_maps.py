"""Feature maps and class-activation maps, against hooks of our own, Zhou's formula and Captum."""

import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradCam
from torch import Tensor, nn

from course_utils.models import DavidNet, GoogLeNet, ResNet
from course_utils.models.resnet import cifar_resnet
from course_utils.show.maps import class_activation_maps, feature_maps

NETWORKS = {"resnet": (lambda: cifar_resnet(8, width=8), "stage3"), "conv before a ReLU": (
    lambda: GoogLeNet(0.25, early_pool=True), "stage5.1.branch3.1.0"), "davidnet": (lambda: DavidNet(8), "layer2")}


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def built(name: str) -> tuple[nn.Module, str]:
    torch.manual_seed(0)
    build, layer = NETWORKS[name]
    model = build()
    for _ in range(3):  # running statistics that belong to the images
        model(images(32))
    return model, layer


@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam_agrees_with_captums(name):
    model, layer = built(name)
    classes = torch.tensor([0, 3, 9, 3])
    ours = class_activation_maps(model, layer, images(), classes)
    model.eval()
    theirs = LayerGradCam(model, model.get_submodule(layer)).attribute(images(), classes, relu_attributions=True)
    theirs = F.interpolate(theirs.detach(), (32, 32), mode="bilinear").squeeze(1)
    expected = theirs / theirs.amax((1, 2), keepdim=True).clamp_min(1e-30)
    assert ours.shape == (4, 32, 32) and not ours.requires_grad
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_behind_a_global_average_it_is_the_map_of_zhou():
    model, layer = built("resnet")
    classes = [1, 2, 3, 4]
    ours = class_activation_maps(model, layer, images(), classes)
    weights = model.head[-1].weight[classes]  # (4, channels)
    zhou = torch.einsum("nc,nchw->nhw", weights, feature_maps(model, layer, images())).detach()
    zhou = F.interpolate(zhou.relu()[:, None], (32, 32), mode="bilinear").squeeze(1)
    torch.testing.assert_close(ours, zhou / zhou.amax((1, 2), keepdim=True), rtol=1e-3, atol=1e-4)


def test_feature_maps_are_what_the_layer_gives_and_leave_the_model_as_it_was():
    model, _ = built("resnet")
    model.train()
    model.stage1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    maps = feature_maps(model, "stage2", images())
    assert [module.training for module in (model, model.stage1, model.stage2)] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(maps, model.stage2(model.stage1(model.stem(images()))))


def test_a_relu_in_place_behind_the_layer_does_not_change_the_maps():
    model, layer = built("conv before a ReLU")
    assert feature_maps(model, layer, images()).min() < 0


@pytest.mark.parametrize("layer", ["stage9", ""])
def test_an_unknown_layer_is_refused_by_name(layer):
    with pytest.raises(ValueError, match=f"no layer '{layer}' in ResNet: its parts are stem, stage1"):
        feature_maps(ResNet(), layer, images())
