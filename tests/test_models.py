"""Networks: sizes worked out by hand, their first weights, and our dropout against what dropout is."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny import CPU, NETWORKS
from torch import nn

from course_utils.author import lessons
from course_utils.data import stand_in
from course_utils.models import VGG, Small
from course_utils.models.layers import Dropout
from course_utils.schedules import triangle
from course_utils.training import Recipe, fit

WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)  # of the 13 convolutions, after the post


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_vgg_has_the_parameters_counted_by_hand():
    fan_in = (3, *WIDTHS)
    convolutions = sum(9 * fan * width + width for fan, width in zip(fan_in, WIDTHS, strict=False))
    linear = (512 * 512 + 512) + (512 * 10 + 10)
    bn = 2 * sum(WIDTHS) + 2 * 512
    assert convolutions + linear + bn == 14_991_946
    assert parameters(VGG()) == 14_991_946
    assert parameters(VGG(bn=False)) == parameters(VGG(bn=False, dropout=False)) == convolutions + linear


def test_small_has_the_parameters_counted_by_hand():
    assert parameters(Small()) == 27 * 16 + 9 * 16 * 32 + 9 * 32 * 64 + 2 * (16 + 32 + 64) + 650 == 24_346


@pytest.mark.parametrize("build", NETWORKS)
def test_every_network_gives_ten_logits_an_image(build):
    net = build()
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    with torch.inference_mode():
        assert net.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 10)


@pytest.mark.parametrize("bn", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
def test_an_ablation_lacks_what_it_leaves_out_and_nothing_else(bn, dropout):
    kinds = [type(module).__name__ for module in VGG(bn, dropout).modules()]
    assert sum(kind.startswith("BatchNorm") for kind in kinds) == 14 * bn
    assert kinds.count("Dropout") == 10 * dropout
    assert [kinds.count(kind) for kind in ("Conv2d", "Linear", "MaxPool2d", "ReLU")] == [13, 2, 5, 14]


def test_vggs_dropout_rates_are_those_of_the_post():
    rates = [module.dropped / 256 for module in VGG().modules() if isinstance(module, Dropout)]
    assert rates == pytest.approx([0.3, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.5, 0.5], abs=1 / 512)


def test_vggs_first_weights_are_drawn_as_he_proposed():
    torch.manual_seed(0)
    convolutions = [module for module in VGG().modules() if isinstance(module, nn.Conv2d)]
    assert [conv.out_channels for conv in convolutions] == list(WIDTHS)
    for conv in convolutions:
        std, count = math.sqrt(2 / (9 * conv.out_channels)), conv.weight.numel()
        assert conv.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count))
        assert abs(conv.weight.mean().item()) < 5 * std / math.sqrt(count)
        assert not conv.bias.any()


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_drops_at_its_rate_and_keeps_the_expectation(p):
    torch.manual_seed(0)
    layer, count = Dropout(p), 1_000_003
    rounded = round(p * 256) / 256
    out = layer(torch.ones(count))
    dropped = (out == 0).sum().item()
    assert abs(dropped - count * rounded) < 5 * math.sqrt(count * rounded * (1 - rounded))
    assert abs(rounded - p) <= 1 / 512
    assert set(out.unique().tolist()) == {0.0, out.max().item()}
    assert out.max().item() == pytest.approx(1 / (1 - rounded))
    assert out.mean().item() == pytest.approx(1, abs=5 * math.sqrt(rounded / (1 - rounded) / count))


def test_dropout_decides_for_each_activation_alone():
    """Neighbours, which share a 64-bit draw, are dropped together no more often than by chance."""
    torch.manual_seed(0)
    dropped = (Dropout(0.5)(torch.ones(100_000, 8)) == 0).double()
    correlation = np.corrcoef(dropped.numpy().T)
    assert np.abs(correlation - np.eye(8)).max() < 5 / math.sqrt(100_000)


def spread(x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(2, -1)[..., ::2]


LAYOUTS = {
    "plain": lambda x: x, "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(1, 3), "with gaps": spread, "expanded": lambda x: x[:1].expand(3, -1, -1, -1),
    "flat": lambda x: x.flatten(), "one": lambda x: x.flatten()[:1], "none": lambda x: x[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_works_in_every_layout_and_precision(layout, dtype):
    torch.manual_seed(0)
    leaf = (torch.rand(3, 5, 7, 9) + 1).to(dtype).requires_grad_()
    x = LAYOUTS[layout](leaf)
    layer = Dropout(0.5)
    out = layer(x)
    assert out.shape == x.shape
    assert out.dtype == dtype
    kept = out != 0
    assert torch.equal(out[kept], 2 * x[kept])
    if x.numel() > 100:
        assert 0.3 < kept.double().mean() < 0.7
    gradient, = torch.autograd.grad(out.sum(), x) if x.requires_grad else (None,)
    assert torch.equal(gradient, 2 * kept.to(dtype)), "the gradient is masked otherwise"
    if layout == "channels last":
        assert out.is_contiguous(memory_format=torch.channels_last)


def test_dropout_in_evaluation_is_the_identity():
    x = torch.randn(4, 5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_off_the_processor_dropout_is_torchs(monkeypatch):
    asked, x = [], torch.ones(3, device="meta")
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, p: asked.append(p) or x)
    assert Dropout(0.25)(x) is x
    assert asked == [0.25]


def test_dropout_follows_torchs_seed():
    x, layer = torch.ones(1000), Dropout(0.5)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(layer(x))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[2], layer(x))


@pytest.mark.parametrize("p", [-0.1, 1.0, 0.999, 1.5])
def test_a_dropout_that_leaves_nothing_is_refused(p):
    with pytest.raises(ValueError, match=f"{p}"):
        Dropout(p)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")  # near enough: more iterations gain nothing
def test_on_the_stand_in_a_linear_model_stays_far_below_the_small_convnet():
    """With what lesson 2 trains at the smoke preset."""
    preset = next(lesson for lesson in lessons.load(lessons.NOTEBOOKS) if lesson.number == 2).presets["smoke"]
    images, epochs, rate = preset["TRAIN_IMAGES"], preset["EPOCHS"], preset["LEARNING_RATE"]
    dataset = stand_in(train=images, test=2000)
    train, test = dataset.train, dataset.test
    pixels = {split: split.images.reshape(len(split), -1) / 255 - 0.5 for split in (train, test)}
    linear = LogisticRegression(C=0.01, max_iter=40).fit(pixels[train], train.labels)
    linear_accuracy = linear.score(pixels[test], test.labels)
    assert linear_accuracy > 0.12, "the linear model has learnt nothing"
    torch.manual_seed(0)
    schedule = triangle(rate, 0.3 * epochs, epochs)
    recipe = Recipe("smoke", epochs, schedule, held_out=images // 10, precision="float32")
    run = fit(Small(), recipe, dataset, machine=CPU)
    print(f"linear model {linear_accuracy:.1%}, small convnet {run.result.accuracy:.1%}")
    assert run.result.accuracy < 0.95, "the stand-in is too easy"
    assert run.result.accuracy > linear_accuracy + 0.15
