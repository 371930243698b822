"""The speedrun: its network written out a second time, Muon against the SVD, flips and views by hand."""

import ast
import copy
import re
from dataclasses import replace

import nbformat
import pytest
import torch
import torch.nn.functional as F
from tiny import CPU, random_dataset, random_split, recipe_of
from torch import nn

from course_utils.author import lessons
from course_utils.batches import Augmentation, Batches
from course_utils.evaluation import VIEWS
from course_utils.models import SpeedNet
from course_utils.named_recipes import RECIPES
from course_utils.optimizers import COEFFICIENTS, SGD, Muon, MuonAndSGD, SparingMuon, SparingMuonAndSGD, orthogonalise
from course_utils.schedules import triangle
from course_utils.show import anatomy
from course_utils.training import Trainer, fit


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


# The network

def test_speednet_has_the_parameters_counted_by_hand():
    convolutions = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    biases = 2 * (64 + 256 + 256)
    trained = 24 + convolutions + biases + 256 * 10
    frozen = 24 * 3 * 2 * 2 + biases  # the whitening filters, and as many scales as biases
    net = SpeedNet()
    assert anatomy.parameters(net) == trained + frozen == 1_972_792
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == trained == 1_971_352


def functional(net: SpeedNet, x: torch.Tensor) -> torch.Tensor:
    """The network as a chain of functions, on the statistics of the batch."""
    weights = net.state_dict()
    x = F.gelu(F.conv2d(x, weights["whiten.weight"], weights["whiten.bias"]))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        x = x - x.mean((0, 2, 3), keepdim=True)
        return F.gelu(x / (x.square().mean((0, 2, 3), keepdim=True) + 1e-12).sqrt()
                      + weights[f"{name}.bias"][:, None, None])

    for group in ("group1", "group2", "group3"):
        x = norm(F.max_pool2d(F.conv2d(x, weights[f"{group}.0.weight"], padding=1), 2), f"{group}.2")
        x = norm(F.conv2d(x, weights[f"{group}.4.weight"], padding=1), f"{group}.5")
    x = F.max_pool2d(x, 3).flatten(1)
    return F.linear(x, weights["head.2.weight"]) / x.shape[1]


def test_the_network_computes_what_the_published_definition_computes():
    torch.manual_seed(0)
    net, x = SpeedNet().double(), images(6).double()
    net.set_whitening(x.float())
    for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.normal_(norm.bias)
    nn.init.normal_(net.whiten.bias)
    torch.testing.assert_close(net(x), functional(net, x))


def test_whitened_patches_are_uncorrelated_and_come_with_their_negatives():
    net, x = SpeedNet(), F.avg_pool2d(images(40), 3, 1, 1)
    net.set_whitening(x)
    patches = F.conv2d(x, net.whiten.weight).transpose(0, 1).flatten(1)
    torch.testing.assert_close(patches[:12], -patches[12:])
    moments = patches[:12] @ patches[:12].T / patches.shape[1]
    # eigenvalue / (eigenvalue + 5e-4): hardly below 1
    torch.testing.assert_close(moments, torch.eye(12), atol=0.06, rtol=0)
    assert (moments - torch.diag(moments.diag())).abs().max() < 1e-3


def test_a_convolution_passes_its_input_on_at_first():
    conv, x = SpeedNet(16).group2[0], images(2).repeat(1, 6, 1, 1)[:, :16]
    torch.testing.assert_close(conv(x)[:, :16], x)
    assert not torch.equal(SpeedNet(16, dirac=False).group2[0](x)[:, :16], x)


def test_the_head_starts_at_standard_deviation_1():
    assert SpeedNet().head[2].weight.std().item() == pytest.approx(1)


# Muon

@pytest.mark.parametrize("coefficients", [COEFFICIENTS, (3.4576, -4.7391, 2.0843)], ids=["Jordan", "Hiverge"])
@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_newton_schulz_maps_singular_values_by_its_polynomial_and_keeps_the_vectors(shape, coefficients):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    a, b, c = coefficients
    values = values / values.norm()
    for _ in range(3):
        values = a * values + b * values**3 + c * values**5
    result = orthogonalise(matrix, coefficients=coefficients).double()
    torch.testing.assert_close(result, left * values @ right, atol=0.02, rtol=0.02)


def test_with_more_steps_newton_schulz_comes_close_to_the_orthogonal_factor_of_the_svd():
    matrix = torch.randn(32, 100, generator=torch.Generator().manual_seed(2))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    product = orthogonalise(matrix, 6).float()
    values = torch.linalg.svdvals(product)
    assert values.min() > 0.6 and values.max() < 1.25
    assert (product * (left @ right)).sum() / product.norm() / 32**0.5 > 0.98


def muon_by_hand(weight: torch.Tensor, gradients: list[torch.Tensor], rate: float, momentum: float) -> torch.Tensor:
    buffer = torch.zeros_like(weight)
    for gradient in gradients:
        buffer = momentum * buffer + gradient
        nesterov = gradient + momentum * buffer
        weight = weight * len(weight) ** 0.5 / weight.norm()
        weight = weight - rate * orthogonalise(nesterov.reshape(len(weight), -1)).reshape(weight.shape)
    return weight


def test_muon_takes_the_steps_computed_by_hand_whatever_the_gradients_scale():
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(8, 4, 3, 3, generator=generator)
    gradients = [torch.randn(8, 4, 3, 3, generator=generator) for _ in range(3)]
    expected = muon_by_hand(start, gradients, 0.24, 0.6)
    for scale in (1.0, 2.0**20):  # a power of two: nothing is rounded otherwise
        bank = nn.Parameter(start.clone())
        optimizer = Muon([bank], lr=0.24, momentum=0.6)
        for gradient in gradients:
            bank.grad = gradient * scale
            optimizer.step()
        torch.testing.assert_close(bank.detach(), expected, atol=1e-3, rtol=1e-3)


# The steps of 243 in which the published code of Hiverge, run for them all, scales its banks.
SCALING = (2, 4, 6, 8, 10, 12, 14, 16, 19, 22, 25, 28, 31, 35, 39, 43, 47, 52, 57, 62, 68, 74, 80, 87, 94, 102, 110,
           119, 128, 138, 149, 160, 172, 185, 199, 214, 230)


def test_the_sparing_muon_scales_its_banks_in_the_published_steps_and_lets_them_decay():
    bank = nn.Parameter(torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(4)))
    optimizer, scaled = SparingMuon([bank], lr=0.1, momentum=0.6, weight_decay=0.5, sparing_part=1.0), []
    optimizer.param_groups[0]["run_steps"] = 243
    bank.grad = torch.zeros_like(bank)  # what is left is the scaling and the decay
    for step in range(1, 244):
        before = bank.detach().clone()
        optimizer.step()
        if not torch.allclose(bank, 0.95 * before):
            scaled.append(step)
            torch.testing.assert_close(bank.norm(), torch.tensor(0.95 * 2))
    assert tuple(scaled) == SCALING


def test_the_sparing_muon_goes_on_where_it_was_cut_off():
    banks = [nn.Parameter(torch.ones(4, 2, 3, 3)) for _ in range(2)]
    one, other = (SparingMuon([bank], lr=0.1, momentum=0.6, weight_decay=0.0, sparing_part=1.0) for bank in banks)
    one.param_groups[0]["run_steps"] = 20
    gradients = torch.randn(7, 4, 2, 3, 3, generator=torch.Generator().manual_seed(5))
    for step, gradient in enumerate(gradients):
        banks[0].grad = gradient
        one.step()
        if step == 3:
            other.load_state_dict(copy.deepcopy(one.state_dict()))
            banks[1].data.copy_(banks[0].data)
        elif step > 3:
            banks[1].grad = gradient
            other.step()
    assert torch.equal(*banks)


@pytest.mark.parametrize("epochs", [8, 4])
def test_the_loop_tells_every_group_how_many_steps_the_run_has(epochs):
    recipe = replace(RECIPES["hiverge"].recipe.stretched(epochs), batch_size=20)
    trainer = Trainer(SpeedNet(8), recipe, Batches(random_split(100), 20, CPU, recipe.augmentation))
    assert {group["run_steps"] for group in trainer.groups} == {5 * epochs}


def test_filters_that_start_at_zero_stay_numbers():
    bank = nn.Parameter(torch.zeros(2, 2, 3, 3))
    bank.grad = torch.ones_like(bank)
    optimizer = Muon([bank], lr=0.1, momentum=0.6)
    for _ in range(2):
        optimizer.step()
        assert bank.isfinite().all() and bank.abs().max() > 0


def test_a_network_of_convolutions_alone_is_trained_by_muon_alone():
    (muon,) = MuonAndSGD().build(nn.Sequential(nn.Conv2d(3, 10, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    assert isinstance(muon, Muon)


def test_warming_up_takes_every_kind_of_step_that_the_run_takes():
    recipe = replace(RECIPES["speedrun-progressive"].recipe.stretched(2), batch_size=20)
    net, seen = SpeedNet(8), set()
    net.register_forward_pre_hook(
        lambda model, inputs: seen.add((inputs[0].shape[2], model.whiten.bias.requires_grad)))
    trainer = Trainer(net, recipe, Batches(random_split(100), 20, CPU, recipe.augmentation))
    trainer.warm_up()
    warmed = set(seen)
    seen.clear()
    for epoch in range(2):
        trainer.epoch(epoch)
    assert warmed == seen == {(28, True), (28, False), (32, False)}


def test_filters_without_a_gradient_stay_as_they_are():
    bank = nn.Parameter(torch.ones(2, 2, 3, 3))
    Muon([bank], lr=0.1, momentum=0.6).step()
    assert torch.equal(bank, torch.ones(2, 2, 3, 3))


# The recipe

def speedrun_trainer(name: str = "speedrun", batch_size: int = 10) -> Trainer:
    torch.manual_seed(0)
    entry = RECIPES[name]
    model = SpeedNet(8)
    model.set_whitening(images(50))
    batches = Batches(random_split(batch_size), batch_size, CPU, entry.recipe.augmentation)
    return Trainer(model, entry.recipe, batches)


def test_muon_wants_filters_and_boosts_are_above_zero():
    with pytest.raises(ValueError, match=r"Linear has no convolution for Muon to update: choose SGD\(\)"):
        MuonAndSGD().build(nn.Linear(2, 2))
    for optimizer in (SGD, MuonAndSGD):
        with pytest.raises(ValueError, match="expected boosts above 0"):
            optimizer(bias_boost=0)


def test_a_network_is_handed_back_with_every_trained_parameter_trainable():
    net = SpeedNet(8)
    before = [parameter.requires_grad for parameter in net.parameters()]
    recipe = replace(RECIPES["speedrun"].recipe.stretched(2), batch_size=20, held_out=0)
    fit(net, recipe, random_dataset(20, 10), machine=CPU, test=False)
    assert [parameter.requires_grad for parameter in net.parameters()] == before


def test_an_interrupted_network_is_handed_back_awake():
    net = SpeedNet(8)
    before = [parameter.requires_grad for parameter in net.parameters()]

    def interrupt(run):
        if len(run.curve) == 5:  # the whitening layer's bias has rested since the third
            assert not net.whiten.bias.requires_grad
            raise KeyboardInterrupt

    recipe = replace(RECIPES["speedrun"].recipe, batch_size=20, held_out=0)
    with pytest.raises(KeyboardInterrupt):
        fit(net, recipe, random_dataset(20, 10), machine=CPU, test=False, on_epoch=interrupt)
    assert [parameter.requires_grad for parameter in net.parameters()] == before


def test_an_interrupt_while_warming_up_hands_the_network_back_as_it_was(monkeypatch):
    net, recipe = SpeedNet(8), replace(RECIPES["speedrun"].recipe, batch_size=20, held_out=0)
    weights, trained = copy.deepcopy(net.state_dict()), [parameter.requires_grad for parameter in net.parameters()]
    trainer = Trainer(net, recipe, Batches(random_dataset(40, 10).train, 20, CPU, recipe.augmentation))
    steps, step = [], trainer.step

    def interrupted(images, labels):
        steps.append(net.whiten.bias.requires_grad)
        if len(steps) == 5:  # the second kind of step, in which the whitening layer's bias rests
            raise KeyboardInterrupt
        return step(images, labels)

    monkeypatch.setattr(trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.warm_up()
    assert not steps[-1]
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert [parameter.requires_grad for parameter in net.parameters()] == trained


@pytest.mark.parametrize("settings", [{"sparing_part": 0}, {"sparing_part": 1.1}, {"muon_decay": -0.1}])
def test_a_sparing_muon_of_no_or_too_many_steps_or_a_negative_decay_is_refused(settings):
    with pytest.raises(ValueError, match=r"expected a sparing_part in \(0, 1\] and a muon_decay from 0"):
        SparingMuonAndSGD(**settings)


def test_knots_of_momentum_are_not_given_to_muon():
    with pytest.raises(ValueError, match="its knots would replace Muon's momentum too"):
        replace(RECIPES["speedrun"].recipe, momentum=((0.0, 0.85), (4.0, 0.95)))


def test_hiverge_s_settings_are_in_its_record_one_by_one():
    settings = RECIPES["hiverge"].recipe.to_json()
    assert (settings["muon"], settings["momentum"], settings["sparing_part"]) == (0.655, 0.825, 243 / 256)
    assert "brightness" in settings and "brightness" not in RECIPES["speedrun"].recipe.to_json()


def test_rates_and_decay_are_the_published_ones():
    recipe, trainer = RECIPES["speedrun"].recipe, speedrun_trainer()
    trainer.set_rates(0.0)
    sgd, muon = trainer.optimizers
    assert (muon.param_groups[0]["lr"], muon.param_groups[0]["momentum"]) == (0.24, 0.6)
    assert all(p.ndim == 4 for p in muon.param_groups[0]["params"]) and len(muon.param_groups[0]["params"]) == 6
    # of the loss summed over 2,000 images: biases 0.053 and head 0.67; here of its mean
    assert sorted(group["lr"] / 2000 for group in sgd.param_groups) == pytest.approx([0.053, 0.053, 0.67])
    for group in sgd.param_groups:
        assert group["lr"] * group["weight_decay"] == pytest.approx(2e-6 * 2000)
        assert group["momentum"] == 0.85 and group["nesterov"]
    assert (recipe.epochs, recipe.batch_size, recipe.label_smoothing) == (8, 2000, 0.2)
    assert recipe.augmentation == Augmentation("alternating", crop=2)


def test_rates_fall_to_zero_and_the_whitening_bias_stops_after_three_epochs():
    trainer = speedrun_trainer()
    bias = trainer.model.whiten.bias
    whitening = next(group for group in trainer.optimizers[0].param_groups if group["params"][0] is bias)
    trainer.set_rates(1.5)
    assert whitening["lr"] / 2000 == pytest.approx(0.053 / 2)
    assert trainer.optimizers[1].param_groups[0]["lr"] == pytest.approx(0.24 * (1 - 1.5 / 8))
    for epoch in range(3):
        trainer.epoch(epoch)
    before = copy.deepcopy(trainer.model.state_dict())
    assert before["whiten.bias"].abs().max() > 0
    trainer.epoch(3)
    after = trainer.model.state_dict()
    assert torch.equal(before["whiten.bias"], after["whiten.bias"])
    assert not torch.equal(before["head.2.weight"], after["head.2.weight"])


def test_the_rates_of_hiverge_are_the_published_ones_and_end_after_243_steps():
    """There a step's factors are 1 - step / 243 and, for the whitening's bias, 1 - step / 7, of the summed loss."""
    trainer = speedrun_trainer("hiverge")
    bias, decay = trainer.model.whiten.bias, 1.0418e-6 * 1536
    for step in (0, 3, 6, 100, 242, 243, 255):
        trainer.set_rates(step / 32)
        left = max(0, 1 - step / 243)
        sgd, (muon,) = (optimizer.param_groups for optimizer in trainer.optimizers)
        assert muon["lr"] == pytest.approx(0.205 * left)
        for group in sgd:
            rate = 0.5415 if group["params"][0].ndim == 2 else 0.0573
            part = max(0, 1 - step / 7) if group["params"][0] is bias else left
            assert group["lr"] / 1536 == pytest.approx(rate * part, abs=1e-9)
            assert group["lr"] * group["weight_decay"] == pytest.approx(decay * part, abs=1e-9)
    assert muon["weight_decay"] == pytest.approx(decay)
    assert (muon["momentum"], sgd[0]["momentum"]) == (0.655, 0.825)
    assert muon["sparing_part"] * 8 * 32 == 243


def test_the_network_of_hiverge_has_silus_and_shorter_averages_of_the_statistics():
    layers = list(RECIPES["hiverge"].build().modules())
    assert [type(layer).__name__ for layer in layers if isinstance(layer, nn.GELU | nn.SiLU)] == ["GELU"] + 6 * ["SiLU"]
    assert {layer.momentum for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {0.4434}  # it keeps 0.5566


def test_half_the_epochs_train_the_whitening_bias_half_as_long():
    assert RECIPES["speedrun"].recipe.stretched(4).to_json()["whitening_epochs"] == 1.5


def test_the_progressive_recipe_is_the_one_of_small_batches_on_growing_pictures():
    small, progressive = (RECIPES[f"speedrun-{name}"].recipe for name in ("small-batches", "progressive"))
    assert progressive == replace(small.stretched(10), name=progressive.name, side=progressive.side,
                                  schedule=triangle(0.12, 0, 10))
    whole = {epochs: [progressive.stretched(epochs).side_in(epoch) for epoch in range(epochs)].count(32)
             for epochs in (1, 2, 3, 5, 7, 20)}
    assert [progressive.side_in(epoch) for epoch in range(10)] == [28] * 7 + [32] * 3
    assert whole == {1: 0, 2: 1, 3: 1, 5: 2, 7: 2, 20: 6}


@torch.no_grad()
def test_the_network_takes_pictures_of_28_pixels():
    """Sides of 27, 13, 6 and 3: the last pool finds 3x3, as it does for 32."""
    shapes = []
    net = SpeedNet(8).eval()
    net.group3.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape[2:]))
    for side in (28, 32):
        assert net(torch.zeros(1, 3, side, side)).shape == (1, 10)
    assert shapes == [(3, 3)] * 2


def test_without_muon_only_the_boosts_differ():
    recipe = recipe_of("plain", 1, ((0, 0.1),), 10, bias_boost=64.0, head_boost=2.0, nesterov=True)
    trainer = Trainer(SpeedNet(8), recipe, Batches(random_split(10), 10, CPU, recipe.augmentation))
    trainer.set_rates(0.0)
    sgd, = trainer.optimizers
    assert sorted(group["lr"] for group in sgd.param_groups) == pytest.approx([0.1, 0.2, 6.4])
    assert all(group["lr"] * group["weight_decay"] == pytest.approx(0.1 * 5e-4) for group in sgd.param_groups)


def moved_logits(head: nn.Module, features: torch.Tensor, gradient: torch.Tensor, rate: float) -> torch.Tensor:
    """How far a step of plain SGD at `rate` moves the logits of a head that is linear."""
    before = head(features)
    filters, = torch.autograd.grad(before, head.parameters(), gradient)
    with torch.no_grad():
        next(head.parameters()).sub_(filters, alpha=rate)
        return head(features) - before


def head_and_features(name: str) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """The head of a recipe's network from its linear layer on, features for it, and a gradient of the logits."""
    generator = torch.Generator().manual_seed(4)
    head = RECIPES[name].build().head[2:]
    return head, torch.randn(5, head[0].in_features, generator=generator), torch.randn(5, 10, generator=generator)


def test_a_step_of_the_sgd_head_moves_logits_as_jordans_does():
    """His head: default start, logits times 1/9. Ours: standard deviation 1, over its channels; the boost makes up."""
    head, features, gradient = head_and_features("step-0-sgd")
    his = features @ (1.5 / 9 * features.T @ gradient) / 9
    ours = moved_logits(head, features, gradient, 1.5 * RECIPES["step-0-sgd"].recipe.optimizer.head_boost)
    torch.testing.assert_close(ours, -his, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["speedrun", "step-5-muon", "step-6-small-batches"])
def test_a_step_of_the_muon_head_moves_logits_as_one_divided_by_256_does_whatever_the_width(name):
    """Jordan's 0.67 is of a loss summed over the batch, at filters' rate 0.24, for logits divided by 256."""
    head, features, gradient = head_and_features(name)
    recipe = RECIPES[name].recipe
    peak = recipe.schedule[1][1]
    rate = 0.67 * recipe.batch_size * peak / 0.24
    expected = -features @ (rate * features.T @ gradient) / 256**2
    ours = moved_logits(head, features, gradient, peak * recipe.optimizer.head_boost)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_the_published_network_starts_with_a_random_whitening_bias_and_the_steps_by_sgd_with_none():
    """Both as published: Jordan's SGD sets the bias to zero, his Muon leaves PyTorch's start, within 1/sqrt(12)."""
    torch.manual_seed(0)
    random, zero = (RECIPES[name].build().whiten.bias for name in ("speedrun", "step-1-whitening"))
    assert 0.2 < random.abs().max() <= 12**-0.5 and random.unique().numel() == 24
    assert not zero.any()


def test_the_boost_of_bns_biases_is_not_the_whitening_biass():
    trainer = speedrun_trainer("step-3-frozen")
    trainer.set_rates(1.0)
    bias = trainer.model.whiten.bias
    boosts = {group["params"][0] is bias: group["boost"] for group in trainer.optimizers[0].param_groups
              if group["params"][0].ndim == 1}
    assert boosts == {True: 1.0, False: 64.0}


# Flips and views

def test_alternating_flips_show_each_image_both_ways_in_two_epochs():
    split = random_split(40)
    batches = Batches(split, 40, CPU, Augmentation("alternating"), seed=3)
    plain = torch.cat([x for x, _ in Batches(split, 40, CPU)])

    def sides(epoch: int) -> list[bool]:
        shown = torch.cat([x for x, _ in batches.epoch(epoch)])
        flipped = [any(torch.equal(image.flip(2), one) for one in shown) for image in plain]
        unflipped = [any(torch.equal(image, one) for one in shown) for image in plain]
        assert all(a != b for a, b in zip(flipped, unflipped, strict=True))
        return flipped

    first, second, third = sides(0), sides(1), sides(2)
    assert all(a != b for a, b in zip(first, second, strict=True)) and first == third
    assert 8 < sum(first) < 32


def test_the_six_views_are_those_published():
    x = images(2)
    padded = F.pad(x, (1,) * 4, "reflect")
    up_left, down_right = padded[:, :, 2:, 2:], padded[:, :, :-2, :-2]
    expected = [(x, 0.25), (x.flip(3), 0.25), (down_right, 0.125), (down_right.flip(3), 0.125),
                (up_left, 0.125), (up_left.flip(3), 0.125)]
    views = [(view(x), weight) for view, weight in VIEWS["mirror-shift"]]
    assert len(views) == 6 and sum(weight for _, weight in views) == 1
    for image, weight in expected:
        assert [w for view, w in views if torch.equal(view, image)] == [weight]


# The lessons

def test_the_lesson_draws_the_seconds_of_a_step_from_the_table_of_speed_md():
    nb = nbformat.read(lessons.NOTEBOOKS / "11_record.ipynb", as_version=4)
    cell, = [cell for cell in nb.cells if cell.source.startswith("GAINS = ")]
    gains = list(ast.literal_eval(ast.parse(cell.source).body[0].value).values())
    table = (lessons.NOTEBOOKS / "results" / "speed.md").read_text(encoding="utf-8").partition("| change |")[2]
    rows = table.partition("\n\n")[0].splitlines()
    assert [float(gain) for row in rows for gain in re.findall(r"\| (\d\.\d\d)x \|$", row)] == gains
    pace, = re.findall(r"\*\*all of them\*\*: (\d+) to", table)
    assert f"USUAL = 500 / {pace}" in cell.source
