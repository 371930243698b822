"""The named recipes of the course: every network with the way to train it, from 2015 to DavidNet."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from course_utils.models import NIN, VGG, DavidNet, GoogLeNet, ResNet, SpeedNet
from course_utils.models.resnet import cifar_resnet
from course_utils.schedules import Knots, one_cycle, step_drops, triangle
from course_utils.training import Recipe


@dataclass(frozen=True)
class Entry:
    """A network and the recipe to train it by.

    `published` is the accuracy that its source gives, where it gives one, and which source that is.
    """

    build: Callable[[], nn.Module]
    recipe: Recipe
    published: str = ""


VARIANTS = {"": {}, "-no-bn": {"bn": False}, "-no-dropout": {"dropout": False},
            "-plain": {"bn": False, "dropout": False}}
PUBLISHED_2015 = {"": "92.45% (2015)", "-no-bn": "91.4% (2015)", "-no-dropout": "91.4% (2015)"}
PUBLISHED_2017 = {"": "89.89% (2017)", "-no-bn": "88.67% (2017)", "-no-dropout": "88.73% (2017)",
                  "-plain": "86.65% (2017)"}


def _recipe_2015(name: str, bn: bool) -> Recipe:
    """Torch7's SGD damps the gradient by 1 - momentum unless told otherwise: its rate of 1 is 0.1 in PyTorch's sense.

    The networks without BN take the 0.01 of 2017.
    """
    schedule = step_drops(1.0 if bn else 0.1, 0.5, 25, 300)
    return Recipe(name, 300, schedule, dampening=0.9, flip="half", colour="yuv", held_out=0)


def _of_2015() -> list[Entry]:
    vggs = [Entry(partial(VGG, **variant), _recipe_2015(f"vgg-2015{suffix}", variant.get("bn", True)),
                  PUBLISHED_2015.get(suffix, "")) for suffix, variant in VARIANTS.items()]
    return [*vggs, Entry(NIN, _recipe_2015("nin-2015", True), "92% (2015)"),
            Entry(partial(NIN, bn=False), _recipe_2015("nin-2015-no-bn", False), "88% (2015)")]


def _of_2017() -> list[Entry]:
    """The source names neither the factor of its drops nor the number of epochs: half and 100 are ours."""
    return [Entry(partial(VGG, **variant), Recipe(f"vgg-2017{suffix}", 100, step_drops(0.01, 0.5, 25, 100)),
                  PUBLISHED_2017[suffix]) for suffix, variant in VARIANTS.items()]


def _short() -> list[Entry]:
    """The networks of 2015 in a few epochs, by one recipe for all, so that one thing changes at a time."""

    def short(name: str, build: Callable[[], nn.Module], epochs: int = 5) -> Entry:
        return Entry(build, Recipe(name, epochs, triangle(0.03, 1, epochs), flip="half"))

    vggs = [short(f"vgg-short{suffix}", partial(VGG, **variant)) for suffix, variant in VARIANTS.items()]
    # Do training and evaluation agree better after eight epochs than after five?
    nins = [short("nin-short", NIN), short("nin-short-no-bn", partial(NIN, bn=False)),
            short("nin-short-linear", partial(NIN, average=False))]
    return [*vggs, short("vgg-eight", VGG, 8), *nins]


def _residual() -> list[Entry]:
    """He et al. (2015): 64,000 steps of batch 128, the rate divided by 10 after 32,000 and 48,000."""
    schedule = ((0.0, 0.1), (82.0, 0.1), (82.0, 0.01), (123.0, 0.01), (123.0, 0.001))

    def entry(name: str, depth: int, shortcut: str | None, published: str = "", preactivation: bool = False) -> Entry:
        build = partial(cifar_resnet, depth, shortcut, preactivation)
        return Entry(build, Recipe(name, 164, schedule, weight_decay=1e-4, crop=4), published)

    return [entry("plain20", 20, None), entry("plain32", 32, None), entry("resnet20", 20, "pad", "91.25% (He 2015)"),
            entry("resnet32", 32, "pad", "92.49% (He 2015)"), entry("resnet32-preactivation", 32, "pad", "", True)]


def _one_cycle() -> list[Entry]:
    """94% in 50 epochs (2021): one cycle of 40 and a cool-down of 10. The source claims 94%, its table is lost."""
    networks: dict[str, Callable[[], nn.Module]] = {
        "vgg": VGG, "resnet": ResNet, "inception": GoogLeNet, "inception-small": partial(GoogLeNet, 0.5, True)}
    schedule = one_cycle(0.008, 0.12, 40, 10, 0.0008)
    return [Entry(build, Recipe(f"onecycle-{name}", 50, schedule, crop=4), "" if "small" in name else "94% (2021)")
            for name, build in networks.items()]


# Page's ladder (2019): name, what the network gains, the recipe's change, epochs and peak rate at 94.1% there.
LADDER: tuple[tuple[str, dict, dict, int, float], ...] = (
    ("baseline", {}, {}, 24, 0.4),
    ("pool-first", {"pool_first": True}, {}, 25, 0.4),
    ("smoothing", {}, {"label_smoothing": 0.2}, 23, 0.4),
    ("celu", {"celu": 0.075}, {}, 20, 0.4),
    ("ghosts", {"ghosts": 16}, {}, 18, 0.6),
    ("frozen", {"celu": 0.3, "frozen_scales": True, "scale": 1 / 16}, {"bias_boost": 64.0}, 17, 0.6),
    ("whitening", {"whitening": True}, {"cutout": 5}, 14, 1.0),
    ("averaging", {}, {"averaging": 0.99}, 13, 1.0),
    ("mirror", {}, {"views": "mirror", "cutout": 0}, 10, 1.0),
)


def _rate(peak: float, epochs: int, averaging: float) -> Knots:
    """Up for a fifth of the epochs, then down to zero; with averaging, to a tenth two epochs before the end."""
    if averaging:
        return ((0.0, 0.0), (epochs / 5, peak), (epochs - 2.0, peak / 10))
    return triangle(peak, epochs / 5, epochs)


def _davidnets() -> list[Entry]:
    """The DAWNBench entry, its Colab version with a quarter of the weight decay, and the ladder in two sizes.

    The narrow ladder, a quarter of the width and as many epochs on every rung, is what two cores can measure.
    """
    david = {"batch_size": 512, "nesterov": True, "crop": 4, "cutout": 8}
    whole = Recipe("davidnet", 24, triangle(0.4, 5, 24), held_out=0, **david)
    entries = [Entry(DavidNet, whole, "94.08% (Page 2018)"),
               Entry(DavidNet, replace(whole, name="davidnet-light-decay", weight_decay=1.25e-4))]
    network, change = {}, dict(david)
    for rung, (name, gained, changed, epochs, peak) in enumerate(LADDER):
        network, change = network | gained, change | changed
        averaging = change.get("averaging", 0.0)
        narrow = Recipe(f"narrow-{rung}-{name}", 8, _rate(peak, 8, averaging), **change)
        entries.append(Entry(partial(DavidNet, 16, **network), narrow))
        if rung:
            full = Recipe(f"davidnet-{rung}-{name}", epochs, _rate(peak, epochs, averaging), held_out=0, **change)
            entries.append(Entry(partial(DavidNet, **network), full, "94.1% (Page 2019)"))
    return entries


# From SGD to the speedrun (Jordan, 2024): name, what the network is given, the recipe's change. A rung keeps all below.
STEPS: tuple[tuple[str, dict, dict], ...] = (
    ("sgd", {"whitening": False, "dirac": False, "frozen_scales": False}, {}),
    ("whitening", {"whitening": True}, {"whitening_epochs": 1.5}),
    ("dirac", {"dirac": True}, {}),
    ("frozen", {"frozen_scales": True}, {"bias_boost": 64.0}),
    ("alternating", {}, {"flip": "alternating"}),
)


def _sgd(name: str, epochs: int, width: int) -> Recipe:
    """Jordan's SGD: rate and decay are his per 1,024 examples of a summed loss, here of its mean.

    His logits are multiplied by 1/9; those of `SpeedNet(width)` are divided by the 4 * width channels of its head. To
    move the logits as fast, the head learns (4 * width / 9)**2 times faster.
    """
    schedule = triangle(1.5, 0.23 * epochs, epochs, start=0.3, end=0.105)
    return Recipe(name, epochs, schedule, 1024, momentum=0.85, nesterov=True, weight_decay=0.00133,
                  head_boost=(4 * width / 9) ** 2, label_smoothing=0.2, crop=2, views="mirror-shift")


def speedrun(name: str, epochs: int, batch_size: int, rate: float, width: int = 64) -> Recipe:
    """Jordan's Muon: filters at `rate`; biases and head keep his proportion to it, 0.053 and 0.67 to 0.24.

    His rates for what SGD updates are those of a summed loss; rate times decay is 2e-6 per example there. His 0.67 is
    for logits that are divided by 256; a head of 4 * width channels, which divides by fewer, learns slower by the
    square of that, so that the logits move as fast.
    """
    per_example = batch_size / 0.24
    biases, head = 0.053 * per_example, 0.67 * per_example * (width / 64) ** 2
    return Recipe(name, epochs, triangle(rate, 0, epochs), batch_size, momentum=0.85, nesterov=True, muon=0.6,
                  weight_decay=2e-6 * per_example, bias_boost=biases, head_boost=head, whitening_boost=biases,
                  whitening_epochs=3 / 8 * epochs, label_smoothing=0.2, flip="alternating", crop=2,
                  views="mirror-shift")


def growing(epochs: int) -> Knots:
    """Progressive resizing (Howard, 2018): pictures of 28 pixels for seven tenths of the epochs, then whole ones."""
    return ((0.0, 28), (0.7 * epochs, 28), (0.7 * epochs, 32))


def _speedruns() -> list[Entry]:
    """The speedrun as published, two forms of it that suit a processor, and the steps to it at half the width.

    Small batches take more steps in an epoch. A GPU is idle in them; two cores are as fast as in large ones. Small
    pictures take less time, which buys an epoch more.
    """
    published, small = speedrun("speedrun", 8, 2000, 0.24), speedrun("speedrun-small-batches", 9, 500, 0.12)
    progressive = replace(speedrun("speedrun-progressive", 10, 500, 0.12), side=growing(10))
    entries = [Entry(partial(SpeedNet, zero_bias=False), replace(published, held_out=0), "94.01% (Jordan 2024)"),
               *(Entry(SpeedNet, replace(recipe, held_out=0)) for recipe in (small, progressive))]
    network, change = {}, {}
    for rung, (name, gained, changed) in enumerate(STEPS):
        network, change = network | gained, change | changed
        entries.append(Entry(partial(SpeedNet, 32, **network), replace(_sgd(f"step-{rung}-{name}", 4, 32), **change)))
    return [*entries, Entry(partial(SpeedNet, 32), speedrun("step-5-muon", 4, 2000, 0.24, 32)),
            Entry(partial(SpeedNet, 32), speedrun("step-6-small-batches", 4, 500, 0.12, 32))]


RECIPES: dict[str, Entry] = {
    entry.recipe.name: entry
    for entry in (*_of_2015(), *_of_2017(), *_short(), *_residual(), *_one_cycle(), *_davidnets(), *_speedruns())}
