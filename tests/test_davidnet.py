"""DavidNet and Page's ladder: the network written out a second time, his numbers, and every trick by hand."""

import copy
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import TruncatedSVD
from tiny import CPU, random_split, recipe_of, tiny_net
from torch import nn

from course_utils.batches import Augmentation, Batches
from course_utils.data import MEAN, STD
from course_utils.evaluation import VIEWS, evaluate
from course_utils.models import DavidNet
from course_utils.models.davidnet import GhostBatchNorm
from course_utils.models.whitening import whitening_filters
from course_utils.named_recipes import RECIPES
from course_utils.optimizers import SGD
from course_utils.schedules import constant, value_at
from course_utils.show import anatomy
from course_utils.training import Recipe, Trainer

RUNGS = ("baseline", "pool-first", "smoothing", "celu", "ghosts", "frozen", "whitening", "averaging", "mirror")


def norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]


def awake(net: nn.Module) -> nn.Module:
    """The network with scales, biases and running averages that are no longer 1 and 0."""
    generator = torch.Generator().manual_seed(1)
    for norm in norms(net):
        for tensor in (norm.weight.data, norm.bias.data, norm.running_mean):
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
        norm.running_var.uniform_(0.5, 2.0, generator=generator)
    return net


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def batches(count: int, batch: int, recipe: Recipe) -> Batches:
    return Batches(random_split(count), batch, CPU, recipe.augmentation, recipe.seed)


# The network

def test_davidnet_has_the_parameters_counted_by_hand():
    convolutions = 9 * (3 * 64 + 64 * 128 + 2 * 128 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512)
    bn = 2 * (64 + 3 * 128 + 256 + 3 * 512)
    assert convolutions + bn + 512 * 10 == 6_573_120
    assert anatomy.parameters(DavidNet()) == 6_573_120


def test_every_stage_does_the_same_work():
    work: dict[str, int] = {}
    for layer in anatomy.layers(DavidNet()):
        stage = layer.name.split(".")[0]
        work[stage] = work.get(stage, 0) + layer.flops
    stage = 2 * 9 * 64 * 128 * 32 * 32
    assert work == {"prep": 2 * 9 * 3 * 64 * 32 * 32, "layer1": 2 * stage, "layer2": stage, "layer3": 2 * stage,
                    "head": 2 * 512 * 10}
    assert round(sum(work.values()) / 1e5) == 7585


def functional(net: DavidNet, x: torch.Tensor, training: bool) -> torch.Tensor:
    """The network of 2018 as a chain of functions."""
    weights = iter(net.state_dict().values())

    def conv_bn_relu(x: torch.Tensor) -> torch.Tensor:
        conv, scale, bias, mean, variance, _ = (next(weights) for _ in range(6))
        x = F.conv2d(x, conv, padding=1)
        if training:
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        return F.relu(F.batch_norm(x, mean, variance, scale, bias, eps=1e-5))

    x = conv_bn_relu(x)
    x = F.max_pool2d(conv_bn_relu(x), 2)
    x = x + conv_bn_relu(conv_bn_relu(x))
    x = F.max_pool2d(conv_bn_relu(x), 2)
    x = F.max_pool2d(conv_bn_relu(x), 2)
    x = x + conv_bn_relu(conv_bn_relu(x))
    x = F.max_pool2d(x, 4).flatten(1)
    return 0.125 * x @ next(weights).T


@pytest.mark.parametrize("training", [True, False])
def test_the_network_computes_what_plain_functions_compute(training):
    torch.manual_seed(0)
    net = awake(DavidNet(16)).double().train(training)
    x = images(8).double()
    with torch.no_grad():
        expected = functional(net, x, training)
        assert torch.allclose(net(x), expected, rtol=0, atol=1e-12)
    assert expected.std() > 1e-3


# The ladder's options

def blocks(net: nn.Module) -> dict[str, list[str]]:
    """Kinds of modules by block, in order."""
    found = {}
    for name, module in net.named_modules():
        kinds = [type(child).__name__ for child in module.children()]
        if name and kinds[:1] == ["Conv2d"]:
            found[name] = kinds
    return found


POOLED = {"layer1.0", "layer2", "layer3.0"}
ALL = {"prep", "layer1.1.0", "layer1.1.1", "layer3.1.0", "layer3.1.1"} | POOLED


@pytest.mark.parametrize(("options", "plain", "pooled"), [
    ({}, "Conv2d BatchNorm2d ReLU", "Conv2d BatchNorm2d ReLU MaxPool2d"),
    ({"pool_first": True}, "Conv2d BatchNorm2d ReLU", "Conv2d MaxPool2d BatchNorm2d ReLU"),
    ({"celu": 0.075}, "Conv2d BatchNorm2d CELU", "Conv2d BatchNorm2d CELU MaxPool2d"),
    ({"ghosts": 4}, "Conv2d GhostBatchNorm ReLU", "Conv2d GhostBatchNorm ReLU MaxPool2d"),
    ({"frozen_scales": True}, "Conv2d BatchNorm2d ReLU", "Conv2d BatchNorm2d ReLU MaxPool2d"),
    ({"whitening": True}, "Conv2d BatchNorm2d ReLU", "Conv2d BatchNorm2d ReLU MaxPool2d"),
])
def test_an_option_changes_what_it_says_and_nothing_else(options, plain, pooled):
    net = DavidNet(8, **options)
    assert blocks(net) == {name: (pooled if name in POOLED else plain).split() for name in ALL}
    trained = {name: p.shape for name, p in net.named_parameters() if p.requires_grad}
    expected = {name: p.shape for name, p in DavidNet(8).named_parameters()}
    if options.get("pool_first"):
        moved = {f"{block}.1.{kind}": f"{block}.2.{kind}" for block in POOLED for kind in ("weight", "bias")}
        expected = {moved.get(name, name): shape for name, shape in expected.items()}
    if options.get("frozen_scales"):
        expected = {name: shape for name, shape in expected.items() if not (len(shape) == 1 and "weight" in name)}
    if options.get("whitening"):
        expected["prep.0.weight"] = (8, 27, 1, 1)
        assert net.whiten.weight.shape == (27, 3, 3, 3)
        assert not net.whiten.weight.requires_grad
    assert trained == expected
    assert all(module.alpha == 0.075 for module in net.modules() if isinstance(module, nn.CELU))
    assert net(images(8)).shape == (8, 10)


def test_scale_classes_and_width_do_what_they_say():
    torch.manual_seed(0)
    net = DavidNet(8, scale=1.0, classes=7)
    torch.manual_seed(0)
    other = DavidNet(8, scale=1 / 16, classes=7)
    with torch.no_grad():
        assert net(images(4)).shape == (4, 7)
        assert torch.allclose(net(images(4)) / 16, other(images(4)))
    assert net.prep[0].out_channels == 8
    assert net.head[2].in_features == 64


def test_pooling_commutes_with_relu_but_not_with_bn():
    torch.manual_seed(0)
    ours, other = DavidNet(8), DavidNet(8, pool_first=True)
    other.load_state_dict(dict(zip(other.state_dict(), ours.state_dict().values(), strict=True)))
    with torch.no_grad():
        assert torch.allclose(ours.eval()(images(4)), other.eval()(images(4)), atol=1e-6)  # all scales are positive
        assert not torch.allclose(ours.train()(images(4)), other.train()(images(4)), atol=1e-2)


# Ghost batch norm

def test_ghost_bn_is_bn_of_each_part():
    x = images(12).repeat(1, 2, 1, 1) * 3 + 1
    ghost = awake(GhostBatchNorm(6, 4))
    plain = nn.BatchNorm2d(6)
    plain.load_state_dict(ghost.state_dict())
    assert torch.allclose(ghost(x), torch.cat([plain(part) for part in x.split(3)]), atol=1e-5)
    assert not torch.allclose(ghost(x), plain(x), atol=1e-2)
    assert torch.allclose(GhostBatchNorm(6, 1)(x), nn.BatchNorm2d(6)(x), atol=1e-5)


def test_in_evaluation_ghost_bn_is_bn_of_any_batch():
    x, ghost, plain = images(5), awake(GhostBatchNorm(3, 4)), nn.BatchNorm2d(3)
    plain.load_state_dict(ghost.state_dict())
    assert torch.equal(ghost.eval()(x), plain.eval()(x))


def test_a_batch_that_does_not_split_is_refused_in_one_line():
    with pytest.raises(ValueError, match="a batch of 10 does not split into 4 ghost batches: choose a multiple of 4"):
        GhostBatchNorm(3, 4)(images(10))
    with pytest.raises(ValueError, match="a batch of 24 does not split into 16"):
        DavidNet(4, ghosts=16)(images(24))


def test_ghost_bns_running_averages_are_near_bns():
    ghost, plain = GhostBatchNorm(3, 8), nn.BatchNorm2d(3)
    for step in range(60):
        x = 2 * images(256, step) + 5
        ghost(x), plain(x)
    # The parts' means scatter around the batch's, so their variances are a little smaller; of 32 x 1024 values, hardly.
    assert torch.allclose(ghost.running_mean, plain.running_mean, rtol=0.005)
    assert torch.allclose(ghost.running_var, plain.running_var, rtol=0.005)
    assert ghost.running_mean.mean() == pytest.approx(5, rel=0.01)


# Training: frozen scales, groups of parameters, averaging, the published step

def test_frozen_scales_stay_one_and_biases_learn():
    torch.manual_seed(0)
    net = DavidNet(4, frozen_scales=True)
    recipe = recipe_of("frozen", 1, constant(0.1), 16, nesterov=True, bias_boost=64.0, weight_decay=0.01, held_out=0)
    Trainer(net, recipe, batches(64, 16, recipe)).epoch(0)
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms(net))
    assert all(norm.bias.abs().max() > 0 for norm in norms(net))


@pytest.mark.parametrize(("boost", "groups"), [(1.0, 1), (64.0, 2)])
def test_biases_learn_faster_and_decay_as_much_slower(boost, groups):
    net = DavidNet(4, frozen_scales=True, whitening=True)
    recipe = recipe_of("boost", 1, ((0.0, 0.1), (1.0, 0.3)), 16, bias_boost=boost, weight_decay=5e-4, held_out=0)
    trainer = Trainer(net, recipe, batches(64, 16, recipe))
    names = {id(p): name for name, p in net.named_parameters()}
    trainer.epoch(0)
    found = [({names[id(p)] for p in group["params"]}, group["lr"], group["weight_decay"])
             for group in trainer.optimizers[0].param_groups]
    biases = {name for name in names.values() if name.endswith("bias")}
    rest = {name for name, p in net.named_parameters() if p.requires_grad} - biases
    assert len(found) == groups
    assert set().union(*(members for members, _, _ in found)) == rest | biases
    last = 0.1 + 0.2 * 3 / 4  # the rate of the fourth and last step
    for members, rate, decay in found:
        assert rate * decay == pytest.approx(last * 5e-4)
        assert rate == pytest.approx(last * (boost if members == biases else 1))
    if groups == 2:
        assert [members for members, _, _ in found] == [rest, biases]


def test_the_average_is_an_ema_over_every_fifth_step():
    net = tiny_net()
    recipe = recipe_of("average", 2, constant(0.1), 20, averaging=0.9, held_out=0)
    trainer = Trainer(net, recipe, batches(240, 20, recipe))
    net.train()
    by_hand = {name: tensor.double() for name, tensor in net.state_dict().items()}
    steps = 0
    for epoch in range(2):
        for batch in trainer.batches.epoch(epoch):
            trainer.optimizers[0].param_groups[0]["lr"] = 0.1
            trainer.step(*batch)
            steps += 1
            if steps % 5 == 0:
                by_hand = {name: 0.9**5 * by_hand[name] + (1 - 0.9**5) * tensor.double()
                           for name, tensor in net.state_dict().items()}
    assert steps == 24
    for name, tensor in trainer.scored.state_dict().items():
        if tensor.is_floating_point():  # BN's running averages too
            assert torch.allclose(tensor.double(), by_hand[name], atol=1e-6), name
    assert not torch.allclose(trainer.scored[0].weight, net[0].weight, atol=1e-3)


def test_without_averaging_the_network_itself_is_scored():
    recipe = recipe_of("plain", 1, constant(0.1), 20, held_out=0)
    trainer = Trainer(tiny_net(), recipe, batches(40, 20, recipe))
    assert trainer.scored is trainer.model


def test_a_step_is_pages_step_on_the_summed_loss():
    """Velocity that contains the rate, loss summed, decay times the batch: equal for a constant rate."""
    torch.manual_seed(0)
    net, size = DavidNet(4).double(), 16
    recipe = recipe_of("page", 1, constant(0.1), size, nesterov=True, weight_decay=5e-3, held_out=0)
    other = copy.deepcopy(net).train()
    trainer = Trainer(net, recipe, batches(5 * size, size, recipe))
    trainer.optimizers[0].param_groups[0]["lr"] = 0.1
    velocities = [torch.zeros_like(p) for p in other.parameters()]
    net.train()
    for pixels, labels in trainer.batches:
        trainer.step(pixels.double(), labels)
        loss = F.cross_entropy(other(pixels.double()).float(), labels, reduction="sum")
        gradients = torch.autograd.grad(loss, list(other.parameters()))
        with torch.no_grad():
            for p, velocity, gradient in zip(other.parameters(), velocities, gradients, strict=True):
                change = -0.1 / size * (gradient + 5e-3 * size * p)
                velocity.mul_(0.9).add_(change)
                p.add_(change + 0.9 * velocity)
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


# The published numbers

def test_the_davidnet_recipe_is_the_published_one():
    recipe = RECIPES["davidnet"].recipe
    assert recipe.batch_size == 512 and 50_000 // recipe.batch_size == 97
    for step in range(0, 24 * 97 + 1, 31):
        assert value_at(recipe.schedule, step / 97) == pytest.approx(np.interp(step / 97, [0, 5, 24], [0, 0.4, 0]))
    for epoch, rate in ((0, 0), (1, 0.08), (5, 0.4), (14.5, 0.2), (24, 0)):
        assert value_at(recipe.schedule, epoch) == pytest.approx(rate)
    assert (recipe.epochs, recipe.optimizer, recipe.held_out) == (24, SGD(5e-4, momentum=0.9, nesterov=True), 0)
    assert recipe.augmentation == Augmentation("random", crop=4, cutout=8)
    light = RECIPES["davidnet-light-decay"].recipe
    assert light.optimizer.weight_decay == recipe.optimizer.weight_decay / 4 == 1.25e-4


@pytest.mark.parametrize(("rung", "epochs", "peak", "cutout", "boost", "views"), [
    (1, 25, 0.4, 8, 1, None), (2, 23, 0.4, 8, 1, None), (3, 20, 0.4, 8, 1, None), (4, 18, 0.6, 8, 1, None),
    (5, 17, 0.6, 8, 64, None), (6, 14, 1.0, 5, 64, None), (7, 13, 1.0, 5, 64, None), (8, 10, 1.0, 0, 64, "mirror"),
])
def test_the_rungs_of_the_ladder_are_the_published_ones(rung, epochs, peak, cutout, boost, views):
    entry = RECIPES[f"davidnet-{rung}-{RUNGS[rung]}"]
    recipe, net = entry.recipe, entry.build()
    assert (recipe.epochs, recipe.augmentation.cutout, recipe.views) == (epochs, cutout, views)
    assert recipe.optimizer == SGD(nesterov=True, bias_boost=boost)
    assert recipe.label_smoothing == (0.2 if rung >= 2 else 0)
    assert recipe.averaging == (0.99 if rung >= 7 else 0)
    assert value_at(recipe.schedule, 0) == 0
    assert value_at(recipe.schedule, epochs / 5) == max(rate for _, rate in recipe.schedule) == peak
    end = peak / 10 if rung >= 7 else 0
    assert value_at(recipe.schedule, epochs) == end
    assert value_at(recipe.schedule, epochs - 2) == pytest.approx(end or peak * 2 / (0.8 * epochs))
    alphas = {module.alpha for module in net.modules() if isinstance(module, nn.CELU)}
    assert alphas == (set() if rung < 3 else {0.075} if rung < 5 else {0.3})
    assert {getattr(norm, "ghosts", 1) for norm in norms(net)} == {16 if rung >= 4 else 1}
    assert {norm.weight.requires_grad for norm in norms(net)} == {rung < 5}
    assert hasattr(net, "whiten") == (rung >= 6)
    assert net.head[3].factor == (1 / 16 if rung >= 5 else 0.125)
    assert blocks(net)["layer2"][1] == "MaxPool2d"


def test_the_narrow_ladder_is_the_same_but_for_width_epochs_and_held_out():
    for rung, name in enumerate(RUNGS[1:], start=1):
        narrow, full = RECIPES[f"narrow-{rung}-{name}"], RECIPES[f"davidnet-{rung}-{name}"]
        changed = ("name", "epochs", "schedule", "held_out")
        assert narrow.recipe == replace(full.recipe, **{field: getattr(narrow.recipe, field) for field in changed})
        assert max(rate for _, rate in narrow.recipe.schedule) == max(rate for _, rate in full.recipe.schedule)
        assert blocks(narrow.build()) == blocks(full.build())
        assert (narrow.build().prep[0].out_channels, narrow.recipe.held_out) == (16, 5000)


# Whitening

def smooth_images(count: int = 600) -> torch.Tensor:
    """Normalised images whose neighbouring pixels are alike, as in photographs."""
    noise = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(0)) + 0.2
    grown = F.interpolate(noise, (32, 32), mode="bilinear", align_corners=False)
    grown = grown + 0.03 * torch.rand(grown.shape, generator=torch.Generator().manual_seed(1))
    return (grown / 1.3 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def patches(pixels: torch.Tensor) -> np.ndarray:
    """Every 3x3 patch as a row of 27, written with NumPy's windows."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels.numpy().astype(float), (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 27)


def test_whitened_patches_are_uncorrelated_and_of_one_size():
    pixels, eps = smooth_images(), 1e-2
    filters = whitening_filters(pixels, 3, eps)
    assert filters.shape == (27, 3, 3, 3)
    out = F.conv2d(pixels, filters).permute(0, 2, 3, 1).reshape(-1, 27).double()
    covariance = (out.T @ out / len(out)).numpy()
    values = np.sort(np.linalg.eigvalsh(patches(pixels).T @ patches(pixels) / len(out)))[::-1]
    assert np.abs(covariance - np.diag(values / (values + eps))).max() < 1e-3
    assert values[0] / (values[0] + eps) > 0.99
    assert values[-1] < eps  # eps counts here: without it the last would be blown up to 1


def test_the_whitening_filters_agree_with_scikit_learns_components():
    pixels, eps = smooth_images(), 1e-2
    rows = patches(pixels)
    svd = TruncatedSVD(26, algorithm="arpack", random_state=0).fit(rows)  # uncentred, largest first
    values = svd.singular_values_**2 / len(rows)
    assert (np.diff(values) < 0).all()
    filters = whitening_filters(pixels, 3, eps).reshape(27, 27).numpy()[:26]
    expected = svd.components_ / np.sqrt(values + eps)[:, None]
    apart = np.abs(np.diff(values)) / values[:-1] > 0.02  # two nearly equal eigenvalues may mix their directions
    alone = np.r_[True, apart] & np.r_[apart, True]
    assert alone.sum() >= 10
    signs = np.sign((filters * expected).sum(1, keepdims=True))
    assert np.abs(filters - signs * expected)[alone].max() < 0.01 * np.abs(expected).max()
    lengths = np.linalg.norm(filters, axis=1)
    assert lengths == pytest.approx(1 / np.sqrt(values + eps), rel=1e-3)
    assert (np.diff(lengths) > 0).all()


def test_the_first_layer_is_set_from_images_and_never_trained():
    torch.manual_seed(0)
    net = DavidNet(4, whitening=True)
    net.set_whitening(smooth_images())
    before = net.whiten.weight.clone()
    assert torch.equal(before, whitening_filters(smooth_images(), 3, 1e-2))
    recipe = recipe_of("whitened", 1, constant(0.1), 16, held_out=0, weight_decay=0.1)
    Trainer(net, recipe, batches(32, 16, recipe)).epoch(0)
    assert torch.equal(net.whiten.weight, before)


# Views

def test_mirror_views_are_the_mean_of_both_and_symmetric():
    torch.manual_seed(0)
    net = awake(DavidNet(4)).eval()
    split = random_split(30)
    mirrored = type(split)(split.images[:, :, ::-1], split.labels)
    ours, theirs = (evaluate(net, Batches(part, 7, CPU), VIEWS["mirror"]).logits for part in (split, mirrored))
    x = next(iter(Batches(split, 30, CPU)))[0]
    with torch.no_grad():
        by_hand = (net(x) + net(x.flip(3))) / 2
        assert torch.allclose(ours, by_hand, atol=1e-5)
        assert not torch.allclose(ours, net(x), atol=1e-3)
    assert torch.allclose(ours, theirs, atol=1e-6)
    once = [evaluate(net, Batches(part, 7, CPU)).logits for part in (split, mirrored)]
    assert not torch.allclose(*once, atol=1e-3)


def test_the_smoothed_loss_agrees_with_that_by_hand():
    net = tiny_net().eval()
    nn.init.normal_(net[-1].weight)
    recipe = recipe_of("smooth", 1, constant(0.0), 20, label_smoothing=0.2, held_out=0)
    trainer = Trainer(net, recipe, batches(20, 20, recipe))
    pixels, labels = next(iter(trainer.batches))
    with torch.no_grad():
        log_p = net(pixels).log_softmax(1)
    target = torch.full_like(log_p, 0.02)
    target[torch.arange(20), labels] = 0.82
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, _ = trainer.step(pixels, labels)
    assert loss.item() == pytest.approx(-(target * log_p).sum(1).mean().item(), rel=1e-5)
    assert loss.item() > -(0.82 * math.log(0.82) + 9 * 0.02 * math.log(0.02))
