"""A run record as one HTML page that needs nothing else: no network, no script, no file beside it.

It is in the spirit of the `report.html` of "92.45% on CIFAR-10 in Torch" (Zagoruyko, 2015): rewritten after
every epoch, and while the run lasts the browser reloads it.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave

from course_utils.plumbing.files import write_atomically
from course_utils.records import Run

REFRESH_SECONDS = 10
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # the browser loads nothing either
IMAGES_OF = {"test": "test images", "held_out": "held-out images"}


def write(run: Run, path: str | Path, images: np.ndarray | None = None) -> Path:
    """Write the page of `html` to `path`, whole or not at all: a browser never loads half a page."""
    return write_atomically(path, html(run, images).encode())


def html(run: Run, images: np.ndarray | None = None) -> str:
    """The page. `images` (N, 32, 32, 3) uint8, all of the split that `run.result` is on, show the mistakes.

    Raises ValueError where there are more or fewer images than were scored.
    """
    name, data = run.recipe["name"], run.data["name"]
    knots = {name: [f"{value:g} (epoch {epoch:g})" for epoch, value in run.recipe[name]]
             for name in ("schedule", "momentum", "side") if isinstance(run.recipe.get(name), list)}
    refresh = "" if run.finished else f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">'
    banner = '<p class="synthetic">SYNTHETIC data: these numbers say nothing about CIFAR-10.</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
{refresh}
<title>{escape(f"{name} on {data}")}</title>
<style>{Path(__file__).with_name("report.css").read_text()}</style>
</head>
<body>
<header>
{banner if data == "SYNTHETIC" else ""}
<h1>{escape(name)}: {escape(run.model["name"])} on {escape(data)}</h1>
{_progress(run)}
</header>
<main>
{_headline(run)}
{_curves(run)}
{_result(run, images)}
<h2>The run</h2>
<div class="grid">
{_facts("Recipe", run.recipe | knots)}
{_facts("Data", run.data)}
{_facts("Machine", run.hardware | run.versions | {"started": run.started})}
</div>
<h2>The model</h2>
<p>{run.model["parameters"]:,} parameters; {run.model["flops"]:,} FLOPs per image forward (multiply-add: 2).</p>
<pre tabindex="0">{escape(run.model["layers"])}</pre>
</main>
</body>
</html>
"""


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


def _progress(run: Run) -> str:
    done, epochs = len(run.curve), run.recipe["epochs"]
    if run.finished:
        tested = run.result and run.result["on"] == "test"
        text = f"Finished: {done} epochs, {_duration(run.seconds['wall'])} in all."
        return f"<p>{text}{'' if tested else ' The test images were not scored.'}</p>"
    left = f", about {_duration((epochs - done) * run.seconds['wall'] / done)} to go" if done else ""
    return f"""<p>Running: {done} of {epochs} epochs{left}. The test images are scored once, at the end.
This page reloads every {REFRESH_SECONDS} s.</p>
<progress max="{epochs}" value="{done}">{done} of {epochs}</progress>"""


def _headline(run: Run) -> str:
    """The few numbers that matter, each with the images that it comes from."""
    last = run.curve[-1] if run.curve else {}
    tiles = []
    if run.result and run.result["on"] == "test":
        what = f"accuracy on the {run.data['test']:,} test images, scored once, after the last epoch"
        tiles.append((_percent(run.result["accuracy"]), what))
        if run.result["accuracy_with_views"] is not None:
            tiles.append((_percent(run.result["accuracy_with_views"]), f"{what}, with test-time views"))
    if run.data["held_out"]:
        what = f"accuracy on {run.data['held_out']:,} held-out images, last epoch"
        tiles.append((_percent(last.get("held_out_accuracy")), what))
    tiles.append((_percent(last.get("accuracy")), "accuracy on the batches trained on, last epoch"))
    tiles.append((_duration(run.seconds["training"]), "training"))
    cards = [f'<p class="card"><b>{value}</b>{escape(what)}</p>' for value, what in tiles]
    return f'<div class="grid tiles">{"".join(cards)}</div>'


def _curves(run: Run) -> str:
    def points(key: str, scale: float = 1) -> list[tuple[int, float]]:
        return [(e["epoch"], scale * e[key]) for e in run.curve if e[key] is not None]

    def both(key: str, scale: float = 1) -> dict[str, list[tuple[int, float]]]:
        return {"held-out": points(f"held_out_{key}", scale), "train": points(key, scale)}

    charts = [
        _chart("Accuracy (%)", both("accuracy", 100), run.recipe["epochs"]),
        _chart("Loss (nats per image)", both("loss"), run.recipe["epochs"]),
        _chart("Learning rate", {"rate": points("rate")}, run.recipe["epochs"]),
    ]
    rows = [
        f"<tr><th scope='row'>{e['epoch']}</th>"
        f"<td>{_number(e['loss'])}</td><td>{_percent(e['accuracy'])}</td>"
        f"<td>{_number(e['held_out_loss'])}</td><td>{_percent(e['held_out_accuracy'])}</td>"
        f"<td>{_number(e['rate'])}</td><td>{_number(e['seconds'])}</td></tr>"
        for e in run.curve
    ]
    heads = ("epoch", "train loss", "train accuracy", "held-out loss", "held-out accuracy", "rate", "seconds")
    head = "".join(f"<th>{text}</th>" for text in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    note = "" if run.data["held_out"] else "<p>No image was held out: there is no held-out curve.</p>"
    return f"""<h2>Curves</h2>{note}
<div class="grid">{"".join(charts)}</div>
<details><summary>The numbers behind the curves</summary>
<div class="scroll" tabindex="0">{table}</div></details>"""


def _chart(title: str, series: Mapping[str, Sequence[tuple[float, float]]], epochs: int) -> str:
    """A line chart; what isn't finite is left out. The last value of each line is written at its head."""
    left, right, top, bottom = 42, 326, 30, 176
    known = {name: [p for p in points if _known(p[1])] for name, points in series.items()}
    highest = max((y for points in known.values() for _, y in points), default=0) or 1
    step = _tick_step(highest)
    ticks = math.ceil(highest / step)
    each = max(1, round(_tick_step(epochs)))

    def x(epoch: float) -> str:
        return f"{left + (right - left) * epoch / max(epochs, 1):.1f}"

    def y(value: float) -> str:
        return f"{bottom - (bottom - top) * value / step / ticks:.1f}"

    parts = []
    for tick in range(ticks + 1):
        at = y(tick * step)
        parts.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{left - 6}" y="{at}" dy="4" text-anchor="end">{tick * step:.4g}</text>')
    for tick in range(0, epochs + 1, each):
        parts.append(f'<text x="{x(tick)}" y="{bottom + 17}" text-anchor="middle">{tick}</text>')
    told, head = [], left
    for name, points in known.items():
        if not points:
            continue
        label = f"{name} {points[-1][1]:.4g}"
        line = "L".join(f"{x(epoch)} {y(value)}" for epoch, value in points)
        dot = f'<circle cx="{x(points[-1][0])}" cy="{y(points[-1][1])}" r="3.5"/>'
        text = f'<text x="{head}" y="16">{escape(label)}</text>'
        parts.append(f'<g class="{name}"><path d="M{line}"/>{dot}{text}</g>')
        told.append(label)
        head += 140
    alt = f"{title} against epoch; {', '.join(told) + ' after the last' if told else 'no'} epoch so far."
    return f"""<figure class="card"><h3>{title}</h3>
<svg viewBox="0 0 340 212" role="img" aria-label="{escape(alt)}">{"".join(parts)}
<text x="{(left + right) / 2}" y="{bottom + 33}" text-anchor="middle">epoch</text></svg></figure>"""


def _tick_step(span: float) -> float:
    """A round step (1, 2 or 5 times a power of ten) that divides `span` into at most five."""
    power = 10 ** math.floor(math.log10(span / 5))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= span * 0.999)


def _result(run: Run, images: np.ndarray | None) -> str:
    if not run.result:
        return "<h2>Confusion matrix and mistakes</h2><p>No images have been scored so far.</p>"
    on, scored = IMAGES_OF[run.result["on"]], run.data[run.result["on"]]
    if images is not None and len(images) != scored:
        raise ValueError(f"these are {len(images):,} images, but the run scored {scored:,} {on}: give those")
    classes = [escape(name) for name in run.data["classes"]]
    rows = []
    for name, counts, own in zip(classes, run.result["confusion"], range(len(classes)), strict=True):
        total = sum(counts)
        cells = []
        for count in counts:
            share = math.sqrt(count / total) if total else 0  # the root makes the rare mistakes visible
            deep = ' class="deep"' if share > 0.6 else ""
            cells.append(f'<td{deep} style="--share:{share:.2f}">{count}</td>')
        right = _percent(counts[own] / total if total else None)
        rows.append(f'<tr><th scope="row">{name}</th>{"".join(cells)}<td class="right">{right}</td></tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in classes)
    pictures = [_mistake(mistake, classes, images) for mistake in run.result["mistakes"]]
    return f"""<h2>Confusion matrix, {on}</h2>
<p class="soft">Row: true class. Column: the network's answer. Right: accuracy of the class.</p>
<div class="scroll" tabindex="0"><table class="confusion">
<thead><tr><td></td>{head}<th scope="col">right</th></tr></thead>
<tbody>{"".join(rows)}</tbody>
</table></div>
<h2>Hardest mistakes, {on}</h2>
<p class="soft">The wrong answers given with the most confidence.</p>
<div class="mistakes">{"".join(pictures)}</div>"""


def _mistake(mistake: Mapping[str, Any], classes: Sequence[str], images: np.ndarray | None) -> str:
    told, image = f"{classes[mistake['label']]}, taken for {classes[mistake['predicted']]}", ""
    if images is not None:
        png = io.BytesIO()
        imsave(png, images[mistake["index"]], format="png")
        source = base64.b64encode(png.getvalue()).decode()
        image = f'<img src="data:image/png;base64,{source}" alt="{told}">'
    return f"<figure>{image}<figcaption>{told} ({_percent(mistake['confidence'])})</figcaption></figure>"


def _facts(title: str, facts: Mapping[str, Any]) -> str:
    def text(value: Any) -> str:
        return ", ".join(map(text, value)) if isinstance(value, (list, tuple)) else str(value)

    items = [f"<dt>{escape(key)}</dt><dd>{escape(text(value))}</dd>" for key, value in facts.items()]
    return f'<section class="card"><h3>{title}</h3><dl>{"".join(items)}</dl></section>'
