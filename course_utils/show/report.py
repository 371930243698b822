"""A run record as one HTML page that needs nothing else: no network, no script, no file beside it.

It is in the spirit of the `report.html` of "92.45% on CIFAR-10 in Torch" (Zagoruyko, 2015): rewritten after
every epoch, and while the run lasts the browser reloads it.
"""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.plumbing.files import write_atomically
from course_utils.records import Run
from course_utils.show import page, plots
from course_utils.show.figure import Picture

TEMPLATE = Path(__file__).with_name("report.html.j2")
IMAGES_OF = {"test": "test images", "held_out": "held-out images"}


def write(run: Run, path: str | Path, images: np.ndarray | None = None) -> Path:
    """Write the page of `html` to `path`, whole or not at all: a browser never loads half a page."""
    return write_atomically(path, html(run, images).encode())


def html(run: Run, images: np.ndarray | None = None) -> str:
    """The page. `images` (N, 32, 32, 3) uint8, all of the split that `run.result` is on, show the mistakes.

    Raises ValueError where there are more or fewer images than were scored.
    """
    machine = asdict(run.hardware) | run.versions | {"started": run.started}
    return page.render(
        TEMPLATE, run=run, figures=figures(run, images), images_of=IMAGES_OF, recipe=_recipe(run),
        data=asdict(run.data), machine=machine, percent=_percent, number=_number, duration=_duration,
    )


def figures(run: Run, images: np.ndarray | None = None) -> dict[str, Picture]:
    """What the page draws of the numbers that there are so far: curves, rate, confusion and mistakes.

    Raises ValueError as `html` does.
    """
    drawn = {}
    if run.curve:
        drawn |= {"curves": plots.curves([run]), "rate": plots.learning_rate(run)}
    if run.result:
        classes, data_name = run.data.classes, run.data.name
        drawn["confusion"] = plots.confusion(run.result.confusion, classes, data_name=data_name)
        if images is not None:
            _check_number(images, run)
            drawn["mistakes"] = plots.mistakes(images, run.result.mistakes, classes, data_name=data_name)
    return drawn


def _check_number(images: np.ndarray, run: Run) -> None:
    split = run.result.on
    scored = {"test": run.data.test, "held_out": run.data.held_out}[split]
    if len(images) != scored:
        what = f"{scored:,} {IMAGES_OF[split]}"
        raise ValueError(f"these are {len(images):,} images, but the run scored {what}: give those")


def _recipe(run: Run) -> dict[str, Any]:
    """The recipe, its schedules (pairs of epoch and value) in words."""
    schedules = {
        name: [f"{value:g} (epoch {epoch:g})" for epoch, value in run.recipe[name]]
        for name in ("schedule", "momentum", "side") if isinstance(run.recipe.get(name), list)
    }
    return run.recipe | schedules


def _percent(value: float | None) -> str:
    return f"{value:.2%}" if _known(value) else "–"


def _number(value: float | None) -> str:
    return f"{value:.4g}" if _known(value) else "–"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
