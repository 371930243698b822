"""Training: against a reference by hand, to the bit where the same is promised, with faults where it can go wrong."""

import copy
import json
import math
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import CPU, pixel_values, random_dataset, random_split, same_curve, same_weights, tiny_net, tiny_recipe
from torch import nn

from course_utils import data, evaluation, training, yuv
from course_utils.batches import Augmentation, Batches
from course_utils.data import Split
from course_utils.evaluation import Evaluation, evaluate
from course_utils.machine import Machine, this_machine
from course_utils.models.layers import Dropout
from course_utils.optimizers import SGD
from course_utils.plumbing.distributed import Processes
from course_utils.schedules import step_drops, triangle, value_at
from course_utils.training import Diverged, Trainer, fit

DATASET = random_dataset()


def linear_trainer(dtype: torch.dtype, **recipe) -> Trainer:
    """A linear network on images in `dtype`, whose gradient is known: p - y times the pixels, plus weight decay."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)).to(dtype)
    return Trainer(net, tiny_recipe(**recipe), Batches(random_split(40), 20, CPU))


def by_hand(trainer: Trainer, steps: int, rate: float, zero_buffer: bool = False) -> list[torch.Tensor]:
    """Weights and bias after `steps` of SGD, written out; the first step's buffer is the gradient, undamped."""
    recipe, sgd = trainer.recipe, trainer.recipe.optimizer
    weight, bias = (p.detach().clone() for p in trainer.model.parameters())
    buffers = [torch.zeros_like(weight), torch.zeros_like(bias)] if zero_buffer else None
    batches = [(images.flatten(1).to(weight.dtype), labels) for images, labels in trainer.batches]
    for step in range(steps):
        x, labels = batches[step % 2]
        target = F.one_hot(labels, 10) * (1 - recipe.label_smoothing) + recipe.label_smoothing / 10
        error = ((x @ weight.T + bias).softmax(1) - target) / len(x)
        gradients = [error.T @ x + sgd.weight_decay * weight, error.sum(0) + sgd.weight_decay * bias]
        buffers = gradients if buffers is None else [
            sgd.momentum * b + (1 - sgd.dampening) * g for b, g in zip(buffers, gradients, strict=True)]
        moves = [g + sgd.momentum * b if sgd.nesterov else b for b, g in zip(buffers, gradients, strict=True)]
        weight, bias = weight - rate * moves[0], bias - rate * moves[1]
    return [weight, bias]


def steps_of(trainer: Trainer, steps: int, rate: float) -> list[torch.Tensor]:
    dtype = next(trainer.model.parameters()).dtype
    trainer.optimizers[0].param_groups[0]["lr"] = rate
    batches = list(trainer.batches)
    for step in range(steps):
        images, labels = batches[step % 2]
        trainer.step(images.to(dtype), labels)
    return [p.detach() for p in trainer.model.parameters()]


# The loss is taken in float32 even of float64 logits, so that is as near as the two can come.
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("settings", [
    {"momentum": 0.0, "weight_decay": 0.0}, {"momentum": 0.9}, {"momentum": 0.9, "weight_decay": 0.1},
    {"dampening": 0.9}, {"nesterov": True}, {"label_smoothing": 0.2},
], ids=str)
def test_sgd_takes_the_steps_computed_by_hand(dtype, settings):
    trainer = linear_trainer(dtype, **settings)
    expected = by_hand(trainer, 6, 0.01)
    before = trainer.model[1].weight.detach().clone()
    ours = steps_of(trainer, 6, 0.01)
    moved = (before - expected[0]).abs().max().item()
    for mine, reference in zip(ours, expected, strict=True):
        assert (mine - reference).abs().max().item() < 1e-4 * moved


def test_torch7_damping_is_a_tenth_of_the_rate_but_for_the_first_buffer():
    """Rate 1 damped by 0.9 takes the very steps of rate 0.1 undamped when both begin with an empty buffer.

    Begun with the first gradient g, undamped as in Torch7 and PyTorch, the damped one carries 0.9 g along besides:
    its first step is ten times as long, and the surplus dies out as 0.9^t.
    """
    runs = {}
    for name, rate, dampening, empty in (("damped", 0.1, 0.9, True), ("plain", 0.01, 0.0, True),
                                         ("damped, full", 0.1, 0.9, False), ("plain, full", 0.01, 0.0, False)):
        trainer = linear_trainer(torch.float64, dampening=dampening)
        start = [p.detach().clone() for p in trainer.model.parameters()]
        if empty:
            for p in trainer.model.parameters():
                trainer.optimizers[0].state[p]["momentum_buffer"] = torch.zeros_like(p)
        first = steps_of(trainer, 1, rate)[0].clone() - start[0]
        runs[name] = first, steps_of(trainer, 4, rate)
    for one, other in zip(runs["damped"][1], runs["plain"][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(runs["damped, full"][0], 10 * runs["plain, full"][0])
    assert not torch.allclose(runs["damped, full"][1][0], runs["plain, full"][1][0])


def test_the_first_loss_of_a_zero_head_is_ln_10():
    trainer = Trainer(tiny_net(), tiny_recipe(), Batches(random_split(40), 40, CPU))
    loss, _ = trainer.step(*next(iter(trainer.batches)))
    assert loss.item() == pytest.approx(math.log(10), abs=1e-6)


def test_training_learns():
    run = fit(tiny_net(), tiny_recipe(8, weight_decay=0.0), DATASET, machine=CPU)
    assert run.curve[-1].loss < run.curve[0].loss - 0.02


@pytest.mark.parametrize("schedule", [triangle(0.2, 1, 3), step_drops(0.1, 0.5, 1, 3)])
def test_the_schedule_is_applied_at_every_step(schedule, monkeypatch):
    rates = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step",
                        lambda self, *a, **k: (rates.append(self.param_groups[0]["lr"]), step(self, *a, **k))[1])
    run = fit(tiny_net(), tiny_recipe(3, schedule=schedule), DATASET, machine=CPU)
    assert rates == [value_at(schedule, epoch + step / 5) for epoch in range(3) for step in range(5)]
    assert [row.rate for row in run.curve] == rates[4::5]


def test_pictures_grow_by_the_recipe_and_what_is_scored_is_whole():
    """Also where the recipe was stretched. The tiny network ends in an average over all places, so any side will do."""
    sides = {"training": [], "scoring": []}
    net = tiny_net()
    net.register_forward_pre_hook(
        lambda model, inputs: sides["training" if model.training else "scoring"].append(inputs[0].shape[2]))
    recipe = tiny_recipe(4, side=((0.0, 20), (2.0, 20), (2.0, 32))).stretched(6)
    assert recipe.side == ((0.0, 20), (3.0, 20), (3.0, 32))
    fit(net, recipe, random_dataset(240), machine=CPU)
    assert sides["training"] == [20] * 15 + [32] * 15
    assert set(sides["scoring"]) == {32}


def test_the_same_seed_gives_the_same_curve_and_weights():
    nets, runs = [tiny_net(), tiny_net()], []
    for net in nets:
        torch.rand(3)  # what was drawn before doesn't matter
        runs.append(fit(net, tiny_recipe(seed=5), DATASET, machine=CPU))
    assert same_curve(runs[0].curve, runs[1].curve)
    assert same_weights(*nets)
    assert runs[0].result == runs[1].result


def test_another_seed_gives_another_run():
    nets = [tiny_net(), tiny_net()]
    runs = [fit(net, tiny_recipe(seed=seed), DATASET, machine=CPU) for seed, net in enumerate(nets)]
    assert not same_curve(runs[0].curve, runs[1].curve)
    assert not same_weights(*nets)


def test_a_run_on_all_of_train_has_no_held_out_curve_and_says_so():
    run = fit(tiny_net(), tiny_recipe(1, held_out=0), DATASET, machine=CPU)
    assert run.data.train == 240
    assert run.data.held_out == 0
    assert run.curve[0].held_out_loss is None
    assert run.curve[0].held_out_accuracy is None
    assert run.result.on == "test"


class Untouchable(Split):
    """A test set that may be counted but not looked at."""

    def __getattribute__(self, name: str):
        if name == "images":
            raise AssertionError("the test set was looked at")
        return super().__getattribute__(name)


def test_a_run_without_a_test_never_touches_the_test_set():
    sealed = Untouchable.__new__(Untouchable)
    object.__setattr__(sealed, "labels", DATASET.test.labels)
    run = fit(tiny_net(), tiny_recipe(), replace(DATASET, test=sealed), machine=CPU, test=False)
    assert run.result.on == "held_out"
    assert run.finished
    with pytest.raises(AssertionError, match="looked at"):
        fit(tiny_net(), tiny_recipe(), replace(DATASET, test=sealed), machine=CPU, test=True)


def test_the_test_set_is_scored_once_after_the_last_epoch(monkeypatch):
    scored = []
    monkeypatch.setattr(training, "evaluate",
                        lambda model, batches: (scored.append(len(batches.labels)), evaluate(model, batches))[1])
    run = fit(tiny_net(), tiny_recipe(3), DATASET, machine=CPU)
    assert scored == [40, 40, 40, 60]
    assert run.result.on == "test"
    assert sum(map(sum, run.result.confusion)) == 60


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_step_and_rate():
    net = tiny_net()
    with torch.no_grad():
        net[-1].weight.normal_()
    with pytest.raises(Diverged, match=r"(nan|inf) by step \d+ \(epoch 1\) at learning rate 1e\+0?20; lower") as stop:
        fit(net, tiny_recipe(schedule=((0, 1e20),)), DATASET, machine=CPU)
    assert "\n" not in str(stop.value)


def test_a_last_step_that_breaks_the_weights_is_noticed_and_not_kept(tmp_path):
    """The loss of the only step is a number still; that of the evaluation isn't."""
    with pytest.raises(Diverged, match=r"step 1 \(epoch 1\)"):
        fit(tiny_net(), tiny_recipe(1, schedule=((0, 1e39),), batch_size=200), DATASET, machine=CPU, folder=tmp_path)
    assert not list(tmp_path.glob("*.pt"))
    with pytest.raises(Diverged, match=r"step 1 \(epoch 1\)"):
        fit(tiny_net(), tiny_recipe(1, schedule=((0, 1e39),), batch_size=200, held_out=0), DATASET, machine=CPU)


def test_evaluation_uses_evaluation_mode_and_gives_the_mode_back():
    net, batches = tiny_net(), Batches(random_split(60), 25, CPU)
    for training_mode in (True, False):
        net.train(training_mode)
        state = {name: value.clone() for name, value in net.state_dict().items()}
        scores = [evaluate(net, batches).logits for _ in range(2)]
        assert net.training is training_mode
        assert all(module.training is training_mode for module in net.modules())
        assert torch.equal(*scores), "dropout was active"
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items()), "statistics moved"
    frozen = next(module for module in net.train().modules() if isinstance(module, nn.BatchNorm2d)).eval()
    evaluate(net, batches)
    assert net.training and not frozen.training


def test_evaluation_pairs_each_image_with_its_label_in_any_order():
    """A network that reads the label from the image is always right, in shuffled training batches too."""
    labels = np.arange(50) % 10
    split = Split(np.tile(labels[:, None, None, None].astype(np.uint8), (1, 32, 32, 3)), labels)

    class Reader(nn.Module):
        def forward(self, images):
            return F.one_hot(pixel_values(images)[:, 0, 0, 0].round().long(), 10).float()

    for augmentation in (None, tiny_recipe().augmentation):
        scores = evaluate(Reader(), Batches(split, 20, CPU, augmentation))
        assert scores.accuracy == 1
        assert len(scores.labels) == (40 if augmentation else 50)


def test_the_scores_agree_with_those_by_hand():
    logits = torch.tensor([[2.0, 0, 0], [0, 3, 0], [0, 5, 0], [0, 0, 1], [4, 0, 0], [1, 0, 0]])
    scores = Evaluation(logits, torch.tensor([0, 1, 0, 1, 2, 0]))
    assert scores.accuracy == 0.5
    assert scores.confusion.tolist() == [[2, 1, 0], [0, 1, 1], [1, 0, 0]]
    assert scores.confusion.sum(1).tolist() == [3, 2, 1]  # of each class
    assert [(m.index, m.label, m.predicted) for m in scores.mistakes()] == [(2, 0, 1), (4, 2, 0), (3, 1, 2)]
    assert scores.mistakes()[0].confidence == pytest.approx(math.exp(5) / (math.exp(5) + 2), abs=1e-4)
    probabilities = [math.exp(row[label]) / sum(map(math.exp, row))
                     for row, label in zip(logits.tolist(), scores.labels.tolist(), strict=True)]
    assert scores.loss == pytest.approx(-sum(map(math.log, probabilities)) / 6, rel=1e-6)


def test_a_record_holds_the_recipe_the_scores_and_the_clearest_mistakes():
    records = []
    run = fit(tiny_net(), tiny_recipe(2), DATASET, machine=CPU,
              on_epoch=lambda run: records.append((len(run.curve), run.finished, run.result.on)))
    assert records == [(1, False, "held_out"), (2, False, "held_out")]
    assert np.array(run.result.confusion).sum(1).tolist() == [6] * 10
    confidence = [mistake.confidence for mistake in run.result.mistakes]
    assert confidence == sorted(confidence, reverse=True)
    assert 0 < len(confidence) <= evaluation.LISTED_MISTAKES
    assert run.recipe == tiny_recipe(2).to_json() == json.loads(json.dumps(run.recipe))
    assert (run.recipe["schedule"], run.recipe["weight_decay"], run.recipe["crop"]) == ([[0.0, 0.05]], 5e-4, 4)
    assert run.model.parameters == sum(p.numel() for p in tiny_net().parameters())
    assert run.data.name == "SYNTHETIC"
    assert run.seconds.wall >= run.seconds.training > 0
    assert run.finished


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_and_memory_format_are_the_machines(precision):
    seen = []

    class Probe(nn.Module):
        def forward(self, x):
            seen.append((x.dtype, x.is_contiguous(memory_format=torch.channels_last)))
            return x

    net = tiny_net()
    net.insert(1, Probe())
    run = fit(net, tiny_recipe(1, precision=precision), DATASET, machine=this_machine("cpu", precision))
    dtype = getattr(torch, precision)
    training_steps = seen[1:]  # the first counts FLOPs
    assert set(training_steps) == {(dtype, True)}
    assert all(p.dtype == torch.float32 for p in net.parameters())
    assert net[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert run.recipe["precision"] == run.hardware.precision == precision


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a compiler")
def test_a_compiled_run_is_the_run(tmp_path, monkeypatch):
    """Small pictures, then whole ones, a layer that stops learning, and a run that was cut off: compiled or not."""

    def network():
        torch.manual_seed(0)
        whiten = nn.Conv2d(3, 4, 2, stride=4)
        whiten.weight.requires_grad_(False)
        return nn.Sequential(whiten, nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
                             nn.Linear(16, 10))

    def stop(run):
        if len(run.curve) == 2:
            raise KeyboardInterrupt

    real, modes = torch.compile, []
    monkeypatch.setattr(torch, "compile", lambda call, **how: modes.append(how["mode"]) or real(call, **how))
    recipe = tiny_recipe(4, optimizer=SGD(whitening_part=0.5), side=((0, 28), (3, 28), (3, 32)))
    compiled = replace(CPU, compile="default")
    net, resumed = network(), network()
    run = fit(net, recipe, DATASET, machine=CPU)
    with pytest.raises(KeyboardInterrupt):
        fit(network(), recipe, DATASET, machine=compiled, folder=tmp_path, on_epoch=stop)
    again = fit(resumed, recipe, DATASET, machine=compiled, folder=tmp_path)
    assert [row.loss for row in again.curve] == pytest.approx([row.loss for row in run.curve], rel=1e-5)
    for ours, theirs in zip(resumed.state_dict().values(), net.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert all(p.requires_grad == q.requires_grad for p, q in zip(net.parameters(), resumed.parameters(), strict=True))
    assert (run.hardware.compile, again.hardware.compile) == (None, "default")
    assert modes == ["default"] * 2


def test_the_average_is_what_is_scored_and_handed_back():
    recipe, net, twin = tiny_recipe(2, averaging=0.9), tiny_net(), tiny_net()
    run = fit(net, recipe, DATASET, machine=CPU)
    train, _, test = training.prepare(recipe, DATASET, CPU, test=True)
    trainer = Trainer(twin, recipe, train)
    for epoch in range(2):
        trainer.epoch(epoch)
    assert same_weights(net, trainer.scored) and not same_weights(net, twin)
    assert run.result.loss == evaluate(trainer.scored, test).loss


def test_every_process_drops_out_by_draws_of_its_own():
    losses = []
    for rank in (0, 0, 1):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), Dropout(0.5), nn.Linear(3 * 32 * 32, 10))
        trainer = Trainer(net, tiny_recipe(), Batches(DATASET.train, 40, CPU), Processes(1, rank))
        losses.append(trainer.epoch(0)[0])
    assert losses[0] == losses[1] != losses[2]


def test_the_record_says_how_many_images_the_caller_held_out():
    run = fit(tiny_net(), tiny_recipe(1, held_out=7), data.hold_out(DATASET, 40), machine=CPU)
    assert run.recipe["held_out"] == run.data.held_out == 40


def test_the_accuracy_of_an_epoch_counts_a_short_batch_as_it_is():
    class Oracle(nn.Module):
        """Right on every image: its class is what the brightness of the first pixel says."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * F.one_hot(x[:, 0, 0, 0].round().long(), 10).float()

    labels = np.arange(41) % 10
    split = Split(np.zeros((41, 32, 32, 3), np.uint8), labels)
    batches = Batches(split, 40, CPU)
    whole = [(torch.from_numpy(part).float().view(-1, 1, 1, 1).expand(-1, 3, 32, 32), torch.from_numpy(part))
             for part in (labels[:40], labels[40:])]
    batches.epoch = lambda number, side=32: iter(whole)
    assert Trainer(Oracle(), tiny_recipe(), batches).epoch(0)[1] == 1.0


@dataclass(frozen=True)
class HoldsAll:
    """A reader's own optimizer that is given frozen parameters too."""

    def build(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(model.parameters(), 0.0)]


def test_frozen_weights_stay_frozen_whatever_the_optimizer_holds():
    net = tiny_net()
    net[0].weight.requires_grad_(False)
    trainer = Trainer(net, tiny_recipe(optimizer=HoldsAll()), Batches(DATASET.train, 40, CPU))
    trainer.warm_up()
    before = net[0].weight.clone()
    trainer.epoch(0)
    assert not net[0].weight.requires_grad and torch.equal(net[0].weight, before)


def test_warming_up_puts_everything_back():
    recipe = tiny_recipe(2, averaging=0.9)
    trainer = Trainer(tiny_net(), recipe, Batches(DATASET.train, 40, CPU, recipe.augmentation))
    before = copy.deepcopy(trainer.state_dict())
    trainer.warm_up()
    assert trainer.steps == 0 and all(optimizer.state_dict()["state"] == {} for optimizer in trainer.optimizers)
    for part in ("model", "average"):
        assert all(torch.equal(value, before[part][name]) for name, value in trainer.state_dict()[part].items())


@dataclass(frozen=True)
class SignSGD:
    """A reader's own optimizer: every weight moves by the rate, whatever the size of its gradient."""

    share: float = 1.0

    class Steps(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.sub_(group["lr"] * weight.grad.sign())

    def build(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        return [self.Steps([{"params": list(model.parameters()), "boost": self.share}], {"lr": 0.0})]


def test_a_readers_own_optimizer_trains_resumes_and_is_named_in_the_record(tmp_path):
    recipe = tiny_recipe(2, optimizer=SignSGD(0.5), schedule=((0, 0.01),))
    net, resumed = tiny_net(), tiny_net()
    before = [p.detach().clone() for p in net.parameters()]
    trainer = Trainer(net, recipe, Batches(DATASET.train, 40, CPU, recipe.augmentation))
    trainer.set_rates(0.0)
    trainer.step(*next(iter(trainer.batches)))
    moves = torch.cat([(p - old).abs().flatten() for p, old in zip(net.parameters(), before, strict=True)])
    assert moves[moves > 0].tolist() == pytest.approx([0.005] * int((moves > 0).sum()), rel=1e-3)
    run = fit(tiny_net(), recipe, DATASET, machine=CPU)
    assert run.recipe["optimizer"] == "SignSGD(share=0.5)" and "weight_decay" not in run.recipe
    assert json.loads(json.dumps(run.recipe)) == run.recipe

    def stop(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(resumed, recipe, DATASET, machine=CPU, folder=tmp_path, on_epoch=stop)
    assert same_curve(fit(tiny_net(), recipe, DATASET, machine=CPU, folder=tmp_path).curve, run.curve)


def test_the_colours_of_2015_are_prepared_with_statistics_of_the_images_trained_on():
    recipe = tiny_recipe(1, colour="yuv", crop=0, flip=None)
    train, held_out, test = training.prepare(recipe, DATASET, CPU, test=True)
    part, rest = data.split(DATASET.train, 40)
    expected = yuv.preprocess(part, rest, DATASET.test)
    for batches, split in ((held_out, expected[1]), (test, expected[2])):
        images = torch.cat([images for images, _ in batches])
        assert torch.equal(images, torch.tensor(split.images).permute(0, 3, 1, 2).float())
    trained_on = torch.cat([images for images, _ in train.epoch(0)])
    assert trained_on[:, 1:].mean((0, 2, 3)).abs().max() < 1e-2  # the whole epoch: U and V are centred
    assert trained_on.dtype == torch.float32
    run = fit(tiny_net(), recipe, DATASET, machine=CPU)
    assert run.result.on == "test"
    assert not same_curve(run.curve, fit(tiny_net(), replace(recipe, colour="rgb"), DATASET, machine=CPU).curve)


class NoDataclass:
    """Its `repr` is another in every process, so that no run could be resumed."""

    def build(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(model.parameters(), lr=0.0)]


@pytest.mark.parametrize(("changes", "message"), [
    ({"epochs": 0}, "epochs 0: expected a whole number from 1"), ({"epochs": 2.5}, "epochs 2.5"),
    ({"epochs": "5"}, "epochs '5'"), ({"seed": 2**32}, "seed 4294967296"), ({"seed": -1}, "seed -1"),
    ({"colour": "grey"}, "'grey'"), ({"label_smoothing": 1.0}, "smoothing 1.0"),
    ({"schedule": 0.1}, "schedule 0.1: expected a tuple"), ({"schedule": (0, 0.1)}, "expected a tuple"),
    ({"schedule": [(0, 0.1)]}, "expected a tuple"), ({"schedule": ()}, "schedule"),
    ({"schedule": ((3, 0.1), (1, 0.2))}, "in order of epoch"), ({"schedule": ((0, math.nan),)}, "schedule"),
    ({"schedule": ((0, -1.0),)}, "no value below 0"), ({"flip": "twice"}, "'twice'"), ({"crop": 99}, "crop of 99"),
    ({"held_out": -1}, "held_out -1"), ({"optimizer": torch.optim.SGD}, r"with a method build\(model\)"),
    ({"optimizer": SGD}, r"expected SGD\(\)"), ({"optimizer": NoDataclass()}, "dataclass"),
    ({"augmentation": Augmentation}, r"expected Augmentation\(\)"), ({"side": 33}, "side 33: expected 1 to 32 pixels"),
    ({"side": 7, "cutout": 8}, "side 7: expected 8 to 32 pixels"),
    ({"side": ((0.0, 28), (3.0, 0))}, "expected 1 to 32"), ({"side": ((3.0, 28), (0.0, 32))}, "in order of epoch"),
])
def test_a_recipe_that_makes_no_sense_is_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as refusal:
        tiny_recipe(**changes)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("recipe", "machine", "message"), [
    (tiny_recipe(held_out=240), CPU, "240 images held out of 240"),
    (tiny_recipe(batch_size=500), CPU, "batch size of 500 for 200 images"),
    (tiny_recipe(), Machine(torch.device("cpu"), torch.bfloat16), "asks for float32, the machine for bfloat16"),
    (tiny_recipe(precision="int4"), None, "'int4' is unknown"),
])
def test_a_recipe_that_does_not_fit_is_refused_before_training(recipe, machine, message):
    with pytest.raises(ValueError, match=message):
        fit(tiny_net(), recipe, DATASET, machine=machine)
