"""The recorded runs of the course and what they show together: means, intervals, comparisons, the table of results."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from course_utils.records import RecordError, Run
from course_utils.schedules import as_knots, value_at

RESULTS = Path(__file__).resolve().parents[2] / "notebooks" / "results"
# 97.5% quantiles of Student's t for 1 to 10 degrees of freedom, and their expansion in 1 / degrees beyond (Cornish and
# Fisher), right to four digits there.
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
EXPANSION = (1.95996, 2.3723, 2.8225, 2.5559, 1.5896)


def load_results(folder: str | Path = RESULTS) -> dict[str, Run]:
    """The recorded runs in `folder` by file stem, in order of name. Only finished runs on CIFAR-10 may stand there."""
    runs = {path.stem: Run.load(path) for path in sorted(Path(folder).glob("[!.]*.json"))}
    for name, run in runs.items():
        if run.data.name != "CIFAR-10" or not run.finished:
            raise RecordError(f"{name} is not a finished run on CIFAR-10 (data: {run.data.name}, finished: "
                              f"{run.finished}): take it out of {folder}")
    return runs


def by_recipe(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each recipe, by its name: of any seed and on any machine."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.recipe["name"], []).append(run)
    return groups


def by_machine(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each kind of machine; seconds only compare within one."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        hardware = run.hardware
        where = hardware.gpu or f"{hardware.processor}, {hardware.threads} threads"
        where = f"{hardware.processes} x {where}" if hardware.processes > 1 else where
        compiled = ", compiled" if hardware.compile else ""
        groups.setdefault(f"{where}, {hardware.precision}{compiled}", []).append(run)
    return groups


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of its 95% interval (Student's t); the half-width of a single value is nan."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan
    degrees = len(values) - 1
    if degrees <= len(STUDENT_T):
        t = STUDENT_T[degrees - 1]
    else:
        t = sum(term / degrees**power for power, term in enumerate(EXPANSION))
    return mean, t * statistics.stdev(values) / math.sqrt(len(values))


def accuracy_interval(accuracy: float, images: int) -> float:
    """Half-width of the 95% interval of one network's accuracy, measured on `images` images (normal approximation).

    It says how far the images drawn could mislead; that another seed gives another network is not in it.
    """
    return 1.96 * math.sqrt(accuracy * (1 - accuracy) / images)


def accuracy_and_interval(runs: Sequence[Run], measure: str = "accuracy") -> tuple[float, float]:
    """A recipe's `accuracy` or `accuracy_with_views` and its 95% interval: over seeds, or over one run's images."""
    accuracies = [getattr(run.result, measure) for run in runs]
    if len(runs) > 1:
        return mean_interval(accuracies)
    images = sum(map(sum, runs[0].result.confusion))
    return accuracies[0], accuracy_interval(accuracies[0], images)


def gain(after: Sequence[Run], before: Sequence[Run], measure: str = "accuracy") -> tuple[float, float]:
    """How much more accurate a recipe is than another, and the 95% interval: the differences between runs of one seed.

    The two share the order of the images and the crops, so that what a seed does to both cancels. Seeds that one of
    them lacks don't count; the half-width for a single pair is nan. For two single runs see `paired_difference`.
    """
    theirs = {run.recipe["seed"]: getattr(run.result, measure) for run in before}
    ours = {run.recipe["seed"]: getattr(run.result, measure) for run in after}
    return mean_interval([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])


def gain_table(steps: dict[str, Sequence[Run]]) -> str:
    """One step, or a step and the one before it, as a Markdown table: means over the seeds, with one view and six.

    Of two, the last column has the gain of the second, between runs of one seed.
    """
    groups = list(steps.values())
    run = groups[-1][0]
    heads = [f"recorded: {run.recipe['epochs']} epochs, {len(groups[-1])} seeds", *steps]
    rows = {"one view": "accuracy", "six views": "accuracy_with_views"}
    lines = []
    for view, measure in rows.items():
        cells = [_in_points(accuracy_and_interval(runs, measure)) for runs in groups]
        if len(groups) == 2:
            before, after = groups
            cells.append(_in_points(gain(after, before, measure), "+"))
        lines.append(f"| accuracy (%), {view} | " + " | ".join(cells) + " |")
    if len(groups) == 2:
        heads.append("gain (points)")
    return "\n".join(["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|", *lines])


def _in_points(mean_and_interval: tuple[float, float], sign: str = "") -> str:
    mean, interval = mean_and_interval
    return f"{100 * mean:{sign}.2f} ± {100 * interval:.2f}"


def paired_difference(ours: Run, theirs: Run, labels: Sequence[int]) -> tuple[float, float, float]:
    """How much more accurate one run is than another on the same images, its 95% interval, and McNemar's p.

    Only images that one of the two alone has right count (McNemar, 1947): where both are right, or both wrong, another
    draw of images would move both alike. p is how often two equally good networks would differ by as many or more, by
    the exact binomial. `labels` are those of the images scored. Raises ValueError where a record keeps no predictions
    or they are of other images.
    """
    answers = [run.result.predictions or "" for run in (ours, theirs)]
    if ours.result.on != theirs.result.on or {len(each) for each in answers} != {len(labels)}:
        raise ValueError(f"{ours.recipe['name']} and {theirs.recipe['name']}: expected predictions of the same "
                         f"{len(labels):,} images in both records")
    right = [[int(digit) == int(label) for digit, label in zip(each, labels, strict=True)] for each in answers]
    ours_alone = sum(a and not b for a, b in zip(*right, strict=True))
    theirs_alone = sum(b and not a for a, b in zip(*right, strict=True))
    apart, images = ours_alone + theirs_alone, len(labels)
    difference = (ours_alone - theirs_alone) / images
    half_width = 1.96 * math.sqrt(apart / images - difference**2) / math.sqrt(images)
    tail = sum(math.comb(apart, k) for k in range(min(ours_alone, theirs_alone) + 1))
    return difference, half_width, min(1.0, 2 * tail / 2**apart)


def epoch_seconds(runs: Sequence[Run]) -> float:
    """Seconds of training per epoch: the median; where pictures grow, the mean of their sizes' medians, by epochs."""
    by_side = defaultdict(list)
    for run in runs:
        sides = as_knots(run.recipe.get("side", 32))  # older records have none
        for row in run.curve:
            by_side[value_at(sides, row.epoch - 0.5)].append(row.seconds)
    groups = by_side.values()
    return sum(len(seconds) * statistics.median(seconds) for seconds in groups) / sum(map(len, groups))


def brief(number: float) -> str:
    """A number in two digits, more only where it has them before the point."""
    return f"{number:.0f}" if number >= 10 else f"{number:.2g}"


def results_table(runs: Iterable[Run]) -> str:
    """Finished runs as a Markdown table, a row per recipe: what, how long, where, and the accuracy it reached."""
    rows = ["| recipe | network | epochs | seeds | accuracy, 95% interval | scored on | parameters | MFLOPs | "
            "s/epoch | hardware |", "|---|---|--:|--:|--:|---|--:|--:|--:|---|"]
    for name, group in by_recipe(runs).items():
        run, (accuracy, interval) = group[0], accuracy_and_interval(group)
        text = f"{accuracy:.2%} ± {100 * interval:.2f}"
        if run.result.accuracy_with_views is not None:
            accuracy, interval = accuracy_and_interval(group, "accuracy_with_views")
            text += f"; with views {accuracy:.2%} ± {100 * interval:.2f}"
        machines = by_machine(group)
        seconds = [brief(epoch_seconds(alike)) for alike in machines.values()]
        rows.append(f"| {name} | {run.model.name} | {run.recipe['epochs']} | {len(group)} | {text} | "
                    f"{run.data.name} {run.result.on} | "
                    f"{run.model.parameters / 1e6:.2f} M | {run.model.flops / 1e6:,.0f} | "
                    f"{' / '.join(seconds)} | {' / '.join(machines)} |")
    return "\n".join(rows)
