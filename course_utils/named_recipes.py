"""The named recipes of the course: every network with the way to train it, from 2015 to the speedruns."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from course_utils.batches import Augmentation
from course_utils.models import NIN, VGG, DavidNet, GoogLeNet, ResNet, SpeedNet
from course_utils.models.resnet import cifar_resnet
from course_utils.optimizers import SGD, MuonAndSGD, SparingMuonAndSGD
from course_utils.recipe import Recipe
from course_utils.schedules import Knots, one_cycle, step_drops, triangle


@dataclass(frozen=True)
class Entry:
    """A network with its options, and the recipe to train it by.

    `published` is the accuracy that its source gives, where it gives one, and which source that is.
    """

    network: Callable[..., nn.Module]
    recipe: Recipe
    options: dict[str, Any] = field(default_factory=dict)
    published: str = ""

    def build(self) -> nn.Module:
        return self.network(**self.options)


NO_BN, NO_DROPOUT, NEITHER = {"bn": False}, {"dropout": False}, {"bn": False, "dropout": False}


def _recipe_2015(name: str, rate: float = 1.0) -> Recipe:
    """Torch7's SGD damps the gradient by 1 - momentum by default: its rate of 1 is 0.1 in PyTorch's sense.

    The networks without BN take the 0.01 of 2017.
    """
    return Recipe(name, 300, step_drops(rate, 0.5, 25, 300), optimizer=SGD(dampening=0.9),
                  augmentation=Augmentation("half"), colour="yuv", held_out=0)


OF_2015 = [
    Entry(VGG, _recipe_2015("vgg-2015"), published="92.45% (2015)"),
    Entry(VGG, _recipe_2015("vgg-2015-no-bn", 0.1), NO_BN, "91.4% (2015)"),
    Entry(VGG, _recipe_2015("vgg-2015-no-dropout"), NO_DROPOUT, "91.4% (2015)"),
    Entry(VGG, _recipe_2015("vgg-2015-plain", 0.1), NEITHER),
    Entry(NIN, _recipe_2015("nin-2015"), published="92% (2015)"),
    Entry(NIN, _recipe_2015("nin-2015-no-bn", 0.1), NO_BN, "88% (2015)"),
]


def _recipe_2017(name: str) -> Recipe:
    """The source names neither the factor of its drops nor the number of epochs: half and 100 are ours."""
    return Recipe(name, 100, step_drops(0.01, 0.5, 25, 100))


OF_2017 = [
    Entry(VGG, _recipe_2017("vgg-2017"), published="89.89% (2017)"),
    Entry(VGG, _recipe_2017("vgg-2017-no-bn"), NO_BN, "88.67% (2017)"),
    Entry(VGG, _recipe_2017("vgg-2017-no-dropout"), NO_DROPOUT, "88.73% (2017)"),
    Entry(VGG, _recipe_2017("vgg-2017-plain"), NEITHER, "86.65% (2017)"),
]


def _modern(name: str, peak: float, epochs: int) -> Recipe:
    """The networks and pictures of 2015 by a schedule of today: up for a fifth of the epochs, then down to zero.

    Each network has the best of three peaks, by its accuracy on the images held out after five such epochs.
    """
    return Recipe(name, epochs, triangle(peak, epochs / 5, epochs), augmentation=Augmentation("half"), colour="yuv",
                  held_out=0)


MODERN = [
    Entry(VGG, _modern("vgg-modern", 0.2, 50), published="92.45% (2015)"),
    Entry(VGG, _modern("vgg-modern-no-bn", 0.03, 50), NO_BN, "91.4% (2015)"),
    Entry(VGG, _modern("vgg-modern-no-dropout", 0.1, 50), NO_DROPOUT, "91.4% (2015)"),
    Entry(VGG, _modern("vgg-modern-plain", 0.06, 50), NEITHER),
    Entry(NIN, _modern("nin-modern", 0.2, 40), published="92% (2015)"),
    Entry(NIN, _modern("nin-modern-no-bn", 0.06, 40), NO_BN, "88% (2015)"),
    Entry(NIN, _modern("nin-modern-linear", 0.1, 40), {"average": False}),
]


def _residual(name: str) -> Recipe:
    """He et al. (2015): 64,000 steps of batch 128 on all of train, the rate divided by 10 after 32,000 and 48,000."""
    schedule = ((0.0, 0.1), (82.0, 0.1), (82.0, 0.01), (123.0, 0.01), (123.0, 0.001))
    return Recipe(name, 164, schedule, optimizer=SGD(weight_decay=1e-4), augmentation=Augmentation("random", crop=4),
                  held_out=0)


RESIDUAL = [
    Entry(cifar_resnet, _residual("plain20"), {"depth": 20, "shortcut": None}),
    Entry(cifar_resnet, _residual("plain32"), {"depth": 32, "shortcut": None}),
    Entry(cifar_resnet, _residual("resnet20"), {"depth": 20}, "91.25% (He 2015)"),
    Entry(cifar_resnet, _residual("resnet32"), {"depth": 32}, "92.49% (He 2015)"),
    Entry(cifar_resnet, _residual("resnet32-preactivation"), {"depth": 32, "preactivation": True}),
]


def _thirty(name: str) -> Recipe:
    """He's recipe in 30 epochs: warm-up, for 56 layers start badly at the full rate, then linearly down to zero."""
    return replace(_residual(name), epochs=30, schedule=triangle(0.1, 3, 30))


DEPTH = [
    Entry(cifar_resnet, _thirty("depth-plain20"), {"depth": 20, "shortcut": None}),
    Entry(cifar_resnet, _thirty("depth-plain56"), {"depth": 56, "shortcut": None}),
    Entry(cifar_resnet, _thirty("depth-resnet20"), {"depth": 20}),
    Entry(cifar_resnet, _thirty("depth-resnet56"), {"depth": 56}),
]


def _one_cycle(name: str) -> Recipe:
    """One cycle of 40 epochs and a cool-down of 10 (FPT Software). The source claims 94%, its table is lost."""
    return Recipe(name, 50, one_cycle(0.008, 0.12, 40, 10, 0.0008), augmentation=Augmentation("random", crop=4),
                  held_out=0)


ONE_CYCLE = [
    Entry(VGG, _one_cycle("onecycle-vgg"), published="94%, network unknown (FPT Software)"),
    Entry(ResNet, _one_cycle("onecycle-resnet"), published="94%, network unknown (FPT Software)"),
    Entry(GoogLeNet, _one_cycle("onecycle-inception"), published="94%, network unknown (FPT Software)"),
    Entry(GoogLeNet, _one_cycle("onecycle-inception-small"), {"width": 0.5, "early_pool": True}),
]


DAVIDNET = Recipe("davidnet", 24, triangle(0.4, 5, 24), 512, SGD(nesterov=True),
                  augmentation=Augmentation("random", crop=4, cutout=8), held_out=0)

# Page's ladder (2019): what the network gains on each rung, and what the recipe changes. A rung keeps all below.
POOL_FIRST = {"pool_first": True}
CELU = POOL_FIRST | {"celu": 0.075}
GHOSTS = CELU | {"ghosts": 16}
FROZEN = GHOSTS | {"celu": 0.3, "frozen_scales": True, "scale": 1 / 16}
WHITENING = FROZEN | {"whitening": True}
FAST_BIASES = SGD(nesterov=True, bias_boost=64.0)


def _rung(name: str, peak: float, rung: int, epochs: int = 8, held_out: int = 5000) -> Recipe:
    """Page's recipe on rung 0 to 8 of his ladder: up for a fifth of the epochs, then down to zero.

    From rung 7 on the average of the weights is scored, and the rate ends at a tenth two epochs before the end. The
    narrow networks, a quarter as wide, are for two cores: 8 epochs, and images held out.
    """
    recipe = replace(DAVIDNET, name=name, epochs=epochs, schedule=triangle(peak, epochs / 5, epochs), held_out=held_out)
    if rung >= 2:
        recipe = replace(recipe, label_smoothing=0.2)
    if rung >= 5:
        recipe = replace(recipe, optimizer=FAST_BIASES)
    if rung >= 6:
        recipe = replace(recipe, augmentation=Augmentation("random", crop=4, cutout=5))
    if rung >= 7:
        recipe = replace(recipe, averaging=0.99, schedule=((0.0, 0.0), (epochs / 5, peak), (epochs - 2.0, peak / 10)))
    if rung >= 8:
        recipe = replace(recipe, augmentation=Augmentation("random", crop=4), views="mirror")
    return recipe


DAVIDNETS = [
    Entry(DavidNet, DAVIDNET, published="94.08% (Page 2018)"),
    # As its Colab version has it, with a quarter of the weight decay.
    Entry(DavidNet, replace(DAVIDNET, name="davidnet-light-decay", optimizer=SGD(1.25e-4, nesterov=True))),
    Entry(DavidNet, _rung("narrow-0-baseline", 0.4, 0), {"width": 16}),
    Entry(DavidNet, _rung("narrow-1-pool-first", 0.4, 1), {"width": 16} | POOL_FIRST),
    Entry(DavidNet, _rung("narrow-2-smoothing", 0.4, 2), {"width": 16} | POOL_FIRST),
    Entry(DavidNet, _rung("narrow-3-celu", 0.4, 3), {"width": 16} | CELU),
    Entry(DavidNet, _rung("narrow-4-ghosts", 0.6, 4), {"width": 16} | GHOSTS),
    Entry(DavidNet, _rung("narrow-5-frozen", 0.6, 5), {"width": 16} | FROZEN),
    Entry(DavidNet, _rung("narrow-6-whitening", 1.0, 6), {"width": 16} | WHITENING),
    Entry(DavidNet, _rung("narrow-7-averaging", 1.0, 7), {"width": 16} | WHITENING),
    Entry(DavidNet, _rung("narrow-8-mirror", 1.0, 8), {"width": 16} | WHITENING),
    Entry(DavidNet, _rung("davidnet-1-pool-first", 0.4, 1, 25, 0), POOL_FIRST, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-2-smoothing", 0.4, 2, 23, 0), POOL_FIRST, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-3-celu", 0.4, 3, 20, 0), CELU, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-4-ghosts", 0.6, 4, 18, 0), GHOSTS, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-5-frozen", 0.6, 5, 17, 0), FROZEN, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-6-whitening", 1.0, 6, 14, 0), WHITENING, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-7-averaging", 1.0, 7, 13, 0), WHITENING, "94.1% (Page 2019)"),
    Entry(DavidNet, _rung("davidnet-8-mirror", 1.0, 8, 10, 0), WHITENING, "94.1% (Page 2019)"),
]


# Jordan's SGD: rate and decay are his per 1,024 examples of a summed loss, here of its mean. His logits are multiplied
# by 1/9; those of `SpeedNet(32)` are divided by the 128 channels of its head. To move the logits as fast, the head
# learns (128 / 9)**2 times faster.
JORDANS_SGD = SGD(0.00133, momentum=0.85, nesterov=True, head_boost=(128 / 9) ** 2)
WHITENING_RESTS = replace(JORDANS_SGD, whitening_part=3 / 8)
FAST_BN_BIASES = replace(WHITENING_RESTS, bias_boost=64.0)


def _sgd(name: str, optimizer: SGD) -> Recipe:
    """Jordan's recipe with SGD, in 4 epochs."""
    return Recipe(name, 4, triangle(1.5, 0.92, 4, start=0.3, end=0.105), 1024, optimizer, label_smoothing=0.2,
                  augmentation=Augmentation("random", crop=2), views="mirror-shift")


def speedrun(name: str, epochs: int, batch_size: int, rate: float, width: int = 64) -> Recipe:
    """Jordan's Muon: filters at `rate`; biases and head keep his proportion to it, 0.053 and 0.67 to 0.24.

    His rates for what SGD updates are those of a summed loss; rate times decay is 2e-6 per example there. His 0.67 is
    for logits that are divided by 256; a head of 4 * width channels, which divides by fewer, learns slower by the
    square of that, so that the logits move as fast.
    """
    per_example = batch_size / 0.24
    biases, head = 0.053 * per_example, 0.67 * per_example * (width / 64) ** 2
    optimizer = MuonAndSGD(2e-6 * per_example, momentum=0.85, nesterov=True, bias_boost=biases, head_boost=head,
                           whitening_boost=biases, whitening_part=3 / 8, muon=0.6)
    return Recipe(name, epochs, triangle(rate, 0, epochs), batch_size, optimizer, label_smoothing=0.2,
                  augmentation=Augmentation("alternating", crop=2), views="mirror-shift")


def growing(epochs: int) -> Knots:
    """Progressive resizing (Howard, 2018): pictures of 28 pixels for seven tenths of the epochs, then whole ones."""
    return ((0.0, 28), (0.7 * epochs, 28), (0.7 * epochs, 32))


def _hiverge() -> Recipe:
    """Hiverge's (2025): 7.59 epochs of 32 steps, its rates and decay per example as in `speedrun`.

    In the thirteen steps that are left of the eighth epoch the rate is zero. What it does to be quick on an A100
    (float16 throughout, views for the least sure quarter of the images) is left out; it whitens from 960 images, here
    5,000, and its six views weigh alike.
    """
    steps, batch_size, rate = 243, 1536, 0.205
    per_example, end = batch_size / rate, steps / (50_000 // batch_size)
    biases, head, decay = 0.0573 * per_example, 0.5415 * per_example, 1.0418e-6
    optimizer = SparingMuonAndSGD(decay * per_example, momentum=0.825, nesterov=True, bias_boost=biases,
                                  head_boost=head, whitening_boost=biases, whitening_part=7 / steps, muon=0.655,
                                  muon_decay=decay * batch_size, sparing_part=steps / (8 * (50_000 // batch_size)))
    augmentation = Augmentation("alternating", crop=2, brightness=0.1399, contrast=0.1308)
    return Recipe("hiverge", 8, triangle(rate, 0, end), batch_size, optimizer, label_smoothing=0.09,
                  augmentation=augmentation, views="mirror-shift", held_out=0)


# The speedrun as published, and two forms of it that suit a processor. Small batches take more steps in an epoch: a GPU
# is idle in them, two cores are as fast as in large ones. Small pictures take less time, which buys an epoch more.
SPEEDRUNS = [
    Entry(SpeedNet, replace(speedrun("speedrun", 8, 2000, 0.24), held_out=0), {"zero_bias": False},
          "94.01% (Jordan 2024)"),
    Entry(SpeedNet, _hiverge(), {"zero_bias": False, "silu": True, "bn_momentum": 0.4434}, "94.01% (Hiverge 2025)"),
    Entry(SpeedNet, replace(speedrun("speedrun-small-batches", 9, 500, 0.12), held_out=0)),
    Entry(SpeedNet, replace(speedrun("speedrun-progressive", 10, 500, 0.12), held_out=0, side=growing(10))),
]

# From SGD to the speedrun (Jordan, 2024) at half the width. A step keeps all before it.
STEPS = [
    Entry(SpeedNet, _sgd("step-0-sgd", JORDANS_SGD),
          {"width": 32, "whitening": False, "dirac": False, "frozen_scales": False}),
    Entry(SpeedNet, _sgd("step-1-whitening", WHITENING_RESTS),
          {"width": 32, "dirac": False, "frozen_scales": False}),
    Entry(SpeedNet, _sgd("step-2-dirac", WHITENING_RESTS), {"width": 32, "frozen_scales": False}),
    Entry(SpeedNet, _sgd("step-3-frozen", FAST_BN_BIASES), {"width": 32}),
    Entry(SpeedNet, replace(_sgd("step-4-alternating", FAST_BN_BIASES),
                            augmentation=Augmentation("alternating", crop=2)), {"width": 32}),
    Entry(SpeedNet, speedrun("step-5-muon", 4, 2000, 0.24, 32), {"width": 32}),
    Entry(SpeedNet, speedrun("step-6-small-batches", 4, 500, 0.12, 32), {"width": 32}),
]

ENTRIES = (*OF_2015, *OF_2017, *MODERN, *RESIDUAL, *DEPTH, *ONE_CYCLE, *DAVIDNETS, *SPEEDRUNS, *STEPS)
RECIPES = {entry.recipe.name: entry for entry in ENTRIES}
