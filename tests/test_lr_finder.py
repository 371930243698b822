"""The range test against theory on a quadratic, and that it leaves everything as it was; cycled momentum."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import random_dataset, random_split, recipe_of, same_weights, tiny_net, tiny_recipe
from torch import nn

from course_utils.data import Split
from course_utils.lr_finder import EXPLODED, range_test
from course_utils.schedules import constant, one_cycle, value_at
from course_utils.training import fit

SPLIT = random_split(80)
RECIPE = tiny_recipe()
SOURCE = one_cycle(0.008, 0.12, 40, 10, 0.0008)


def test_the_rates_are_geometric_from_low_to_high():
    rates = [rate for rate, _ in range_test(tiny_net(), RECIPE, SPLIT, 1e-4, 1e-2, 21)]
    assert rates == pytest.approx(np.geomspace(1e-4, 1e-2, 21), rel=1e-12)


def test_the_first_loss_is_that_before_any_step():
    assert range_test(tiny_net(), RECIPE, SPLIT, 1e-3, 1, 2)[0][1] == pytest.approx(math.log(10), abs=1e-6)


def test_it_goes_on_into_new_epochs_with_other_images():
    net = tiny_net()
    nn.init.normal_(net[-1].weight)
    losses = [loss for _, loss in range_test(net, RECIPE, SPLIT, 1e-9, 1e-8, 6)]  # two batches an epoch
    assert len(set(losses)) == 6


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_and_the_random_generators_are_left_as_they_were(mode):
    net = tiny_net().train(mode)  # with batch norm's averages in its state, and dropout, which draws
    net[0].weight.grad = torch.ones_like(net[0].weight)
    before, torch_state, numpy_state = copy.deepcopy(net), torch.get_rng_state(), np.random.get_state()[1].copy()
    measured = range_test(net, RECIPE, SPLIT, 1e-3, 1, 10)
    assert len({loss for _, loss in measured}) == 10  # something was trained
    assert same_weights(net, before)
    assert "1.running_mean" in net.state_dict()
    assert net.training == net[1].training == mode
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert all(p.grad is None for name, p in net.named_parameters() if name != "0.weight")
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_the_result_does_not_depend_on_what_was_drawn_before():
    first = range_test(tiny_net(), RECIPE, SPLIT, 1e-3, 1, 10)
    net = tiny_net()
    torch.rand(7)
    assert range_test(net, RECIPE, SPLIT, 1e-3, 1, 10) == first


class Curved(nn.Module):
    """Logits (w x, 0), x the brightness of the first pixel: near w = 0 two labels in balance make a parabola in w."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.01))

    def forward(self, images):
        logits = self.weight * images[:, :1, 0, 0]
        return torch.cat([logits, torch.zeros_like(logits)], 1)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_where_a_parabola_explodes_is_where_theory_says(momentum):
    """SGD on curvature c diverges above 2 (1 + momentum) / c, here to be found within a factor of 1.5."""
    draw = np.random.default_rng(0)
    half = draw.normal(0, 1, (32, 1, 1, 1)).astype(np.float32) * np.ones((1, 32, 32, 3), np.float32)
    images, labels = np.concatenate([half, half]), np.repeat([0, 1], 32)  # each image once with either label
    split = Split(images, labels)
    x = torch.tensor(images[:, 0, 0, 0], dtype=torch.float64)
    w = torch.zeros((), dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(torch.stack([w * x, torch.zeros(64)], 1), torch.tensor(labels))
    slope, = torch.autograd.grad(loss, w, create_graph=True)
    curvature = torch.autograd.grad(slope, w)[0].item()
    assert curvature == pytest.approx((x * x).mean().item() / 4)  # p (1 - p) = 1/4
    edge = 2 * (1 + momentum) / curvature
    recipe = recipe_of("parabola", 1, constant(1.0), batch_size=64, momentum=momentum, weight_decay=0.0, flip=None,
                    precision="float32")

    # Rates within 2 ** (1/400) of each other, so that the walk has time to show at each whether it grows.
    measured = range_test(Curved(), recipe, split, edge / 4, edge * 2, 1200)
    rates, losses = map(np.array, zip(*measured, strict=True))
    grown = rates[np.argmax(losses > math.log(2) * 1.01)]
    assert edge < grown < 1.5 * edge
    assert losses[rates < edge].max() < math.log(2) * 1.001


class Scaled(nn.Module):
    """A linear model with large inputs, whose loss runs away."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.linear = factor, nn.Linear(3 * 32 * 32, 10)

    def forward(self, images):
        return self.linear(images.flatten(1)) * self.factor


def test_it_stops_where_the_loss_explodes_and_the_last_pair_is_that_one():
    measured = range_test(Scaled(10.0), RECIPE, SPLIT, 1e-6, 10, 100)
    losses = [loss for _, loss in measured]
    assert len(measured) < 100
    assert losses[-1] > EXPLODED * min(losses)
    assert all(loss <= EXPLODED * min(losses[:number]) for number, loss in enumerate(losses[1:-1], 1))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_it_stops_where_the_loss_is_no_number(bad):
    class Fails(Scaled):
        calls = 0

        def forward(self, images):
            self.calls += 1
            return super().forward(images) * (bad if self.calls >= 3 else 1)

    measured = range_test(Fails(1.0), RECIPE, SPLIT, 1e-8, 1e-7, 50)
    assert len(measured) == 3
    assert not math.isfinite(measured[-1][1])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"low": 1.0, "high": 0.1}, r"100 steps from 1 to 0.1: expected at least 2, and rates 0 < low < high"),
    ({"low": 0.1, "high": 0.1}, r"steps from 0.1 to 0.1"),
    ({"low": 0.0}, r"steps from 0 to 10"),
    ({"high": math.inf}, r"steps from 0.0001 to inf"),
    ({"high": math.nan}, r"steps from 0.0001 to nan"),
    ({"steps": 1}, r"1 steps from 0.0001 to 10: expected at least 2"),
    ({"recipe": tiny_recipe(batch_size=81)}, r"a batch size of 81 for 80 images: choose 1 to 80"),
])
def test_bad_input_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        range_test(**{"model": tiny_net(), "recipe": RECIPE, "split": SPLIT} | arguments)
    assert "\n" not in str(caught.value)


def test_momentum_knots_reach_the_optimizer_at_every_step(monkeypatch):
    """Also where a recipe was stretched: the momentum is lowest where the rate is highest."""
    seen = []
    step = torch.optim.SGD.step

    def spy(self, *arguments, **options):
        seen.append((self.param_groups[0]["lr"], self.param_groups[0]["momentum"]))
        return step(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    knots = ((0.0, 0.95), (20.0, 0.85), (40.0, 0.95))
    recipe = tiny_recipe(50, schedule=SOURCE, momentum=knots).stretched(5)
    fit(tiny_net(), recipe, random_dataset(240), test=False)
    at = [50 * (epoch + batch / 5) / 5 for epoch in range(5) for batch in range(5)]
    assert [momentum for _, momentum in seen] == pytest.approx([value_at(knots, epoch) for epoch in at])
    assert [rate for rate, _ in seen] == pytest.approx([value_at(SOURCE, epoch) for epoch in at])
    rates, momenta = zip(*seen, strict=True)
    assert rates.index(max(rates)) == momenta.index(min(momenta)) == 10
