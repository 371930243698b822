"""Figures from arrays and run records.

Every function returns a `Picture`, a matplotlib figure outside pyplot's care: a notebook shows it once, where
it is the value of a cell, and keeps its alternative text. What shows the stand-in data says SYNTHETIC,
so a figure made from data or results asks for the data's name (`dataset.name`, `run.data.name`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from course_utils.records import Mistake, Run
from course_utils.show import figure
from course_utils.show.anatomy import Layer
from course_utils.show.figure import (
    BLUE,
    COLOURS,
    GREEN,
    INK,
    MARKERS,
    PALE,
    VERMILION,
    WIDTH,
    Picture,
    literal,
    styled,
)


def _array(values: Any) -> np.ndarray:
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def _pictures(images: Any) -> np.ndarray:
    """Images (N, H, W, 3) from an array of them, as a split has it, or a tensor (N, 3, H, W), as a network takes it."""
    pictures = images if isinstance(images, np.ndarray) else _array(images).transpose(0, 2, 3, 1)
    if pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ValueError(f"images of shape {tuple(images.shape)}: expected an array (N, H, W, 3) or "
                         "a tensor (N, 3, H, W)")
    return pictures


def _mosaic(tiles: np.ndarray, titles: Sequence[str], columns: int, title: str, data_name: str) -> Picture:
    """Tiles (N, H, W) or (N, H, W, 3) in rows, enlarged without smoothing, a title above each."""
    if len(titles) not in (0, len(tiles)):
        raise ValueError(f"{len(titles)} titles for {len(tiles)} images: expected one each, or none")
    height, width = tiles.shape[1:3]  # pixels, as are all lengths here without a unit of their own
    columns = max(5, min(columns, len(tiles)))  # a single tile need not fill the page
    rows = math.ceil(len(tiles) / columns)
    gap = max(1, width // 10)
    step = width + gap
    pixels_per_inch = columns * step / WIDTH

    lines = max((t.count("\n") + 1 for t in titles), default=0)
    longest = max((len(line) for t in titles for line in t.split("\n")), default=1)
    size = min(9, 72 * WIDTH / columns / (0.62 * longest))  # points; a letter is about 0.62 as wide as high
    line_height = 1.2 * size / 72 * pixels_per_inch
    title_height = 2 + lines * line_height if lines else 0
    row_height = height + gap + title_height

    heading = 0.25 if title else 0  # inches
    if data_name == "SYNTHETIC":
        heading += 0.25
    picture, axes = figure.new(rows * row_height / pixels_per_inch + heading + 0.1, title, data_name)
    axis = axes[0, 0]
    for i, tile in enumerate(tiles):
        left, bottom = i % columns * step, (i // columns + 1) * row_height
        extent = (left, left + width, bottom, bottom - height)
        axis.imshow(tile, extent=extent, cmap="gray", interpolation="nearest")
        if len(titles):
            at = (left + width / 2, bottom - height - 1)
            axis.text(*at, literal(titles[i]), ha="center", va="bottom", fontsize=size, linespacing=1.1)
    axis.set(xlim=(0, columns * step), ylim=(rows * row_height + 1, 0), aspect="equal")
    axis.set_axis_off()
    return picture


def _listed(titles: Sequence[str]) -> str:
    """The titles as they follow in a sentence: a colon, then those that aren't empty."""
    names = [title.replace("\n", " ") for title in titles if title]
    return f": {', '.join(names)}" if names else ""


@styled
def image_grid(
    images: Any, titles: Sequence[str] = (), *, data_name: str, columns: int = 10, title: str = ""
) -> Picture:
    """Images in rows, uint8 or float in 0 ... 1: an array (N, H, W, 3) or a tensor (N, 3, H, W)."""
    images = _pictures(images)
    pixels = np.clip(images / (255 if images.dtype == np.uint8 else 1), 0, 1)
    picture = _mosaic(pixels, titles, columns, title, data_name)
    picture.alt += f"{title or 'Images'}, a grid of {len(images)}{_listed(titles)}."
    return picture


@styled
def overlays(
    images: Any, maps: Any, titles: Sequence[str] = (), *, data_name: str, columns: int = 6, title: str = ""
) -> Picture:
    """Images uint8, as `image_grid` takes them, grey, under maps (N, H, W): a large value is yellow."""
    grey = _pictures(images).mean(3, keepdims=True) / 255
    heat = _array(maps)[..., None].clip(0)
    heat = heat / heat.max((1, 2, 3), keepdims=True).clip(1e-12)
    tiles = (0.15 + 0.45 * grey) * (1 - 0.7 * heat) + 0.7 * heat * np.array([1.0, 0.85, 0.0])  # yellow covers grey
    picture = _mosaic(tiles, titles, columns, title, data_name)
    grid = f"{title or 'Maps over images'}, a grid of {len(tiles)}{_listed(titles)}"
    picture.alt += f"{grid}; yellow where the map is large."
    return picture


def mistakes(images: Any, mistakes: Sequence[Mistake], classes: Sequence[str], *, data_name: str) -> Picture:
    """A result's mistakes as pictures; `images` (N, 32, 32, 3) are the whole split that was scored."""
    titles = [f"{classes[m.label]}\n→ {classes[m.predicted]}\n{m.confidence:.1%}" for m in mistakes]
    chosen = images[np.array([m.index for m in mistakes], dtype=int)]
    heading = "Confident mistakes: true class → answer, confidence"
    return image_grid(chosen, titles, data_name=data_name, columns=6, title=heading)


@styled
def curves(runs: Sequence[Run], labels: Sequence[str] | None = None, title: str = "") -> Picture:
    """Accuracy and loss against epoch; on held-out images solid, on the batches trained on dashed, or solid if alone.

    The axis of the loss ends at 1.5 times the largest one in training: a held-out loss above it would flatten the rest.
    """
    labels = labels or [run.recipe["name"] for run in runs]
    names = {run.data.name for run in runs}
    picture, axes = figure.new(5.4, title, "SYNTHETIC" if "SYNTHETIC" in names else "", rows=2, sharex=True)
    picture.alt += "Two line charts, accuracy and loss against epoch."
    sets, what = {"held-out": ("held_out_", "-"), "train": ("", "--")}, ""
    if not any(np.isfinite(_column(run, "held_out_loss")).any() for run in runs):
        sets, what = {"train": ("", "-")}, "training "
    handles = [Line2D([], [], color=PALE, ls=dashes, label=name) for name, (_, dashes) in sets.items() if not what]
    for number, (run, label) in enumerate(zip(runs, labels, strict=True)):
        epochs, colour = _column(run, "epoch"), COLOURS[number % len(COLOURS)]
        style = {"color": colour, "marker": MARKERS[number % len(MARKERS)]}
        handles.append(Line2D([], [], label=literal(label), **style))
        step = max(1, len(epochs) // 10)
        style["markevery"] = ((len(epochs) - 1) % step, step)  # so the last epoch is marked
        for name, (prefix, dashes) in sets.items():
            face = "white" if dashes == "--" else colour
            accuracies, losses = _column(run, f"{prefix}accuracy"), _column(run, f"{prefix}loss")
            axes[0, 0].plot(epochs, 100 * accuracies, ls=dashes, mfc=face, **style)
            axes[1, 0].plot(epochs, losses, ls=dashes, mfc=face, **style)
            if np.isfinite(accuracies).any():
                picture.alt += f" {label}: {accuracies[-1]:.2%} {name} after epoch {len(epochs)}."
    axes[0, 0].set_ylabel(f"{what}accuracy (%)")
    axes[1, 0].set_ylabel(f"{what}loss (nats)")
    trained = np.array([row.loss for run in runs for row in run.curve if math.isfinite(row.loss)])
    if len(trained) and axes[1, 0].get_ylim()[1] > 1.5 * trained.max():
        highest = f"held-out: up to {axes[1, 0].dataLim.ymax:.3g}"
        axes[1, 0].annotate(highest, (0.99, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=9)
        axes[1, 0].set_ylim(top=1.5 * trained.max())
    _epochs_along(axes[1, 0], max((len(run.curve) for run in runs), default=0))
    _legend_below(picture, handles)
    return picture


@styled
def learning_rate(run: Run) -> Picture:
    """The learning rate at the end of each epoch."""
    epochs, rates = _column(run, "epoch"), _column(run, "rate")
    picture, axes = figure.new(2.6, "", run.data.name)
    picture.alt += "Line chart, learning rate against epoch."
    if len(rates):
        picture.alt += f" At most {rates.max():.4g}, {rates[-1]:.4g} after epoch {len(epochs)}."
    axes[0, 0].plot(epochs, rates, color=GREEN, marker=MARKERS[2], markevery=max(1, len(epochs) // 10))
    axes[0, 0].set_ylabel("learning rate")
    axes[0, 0].set_ylim(bottom=0)
    _epochs_along(axes[0, 0], len(epochs))
    return picture


def _epochs_along(axis: Axes, last: int) -> None:
    """Mark the horizontal axis with whole epochs, with room for the markers of the first and the last."""
    margin = max(0.5, 0.03 * last)
    axis.set(xlabel="epoch", xlim=(1 - margin, max(1, last) + margin))
    axis.xaxis.get_major_locator().set_params(integer=True)


def _column(run: Run, quantity: str) -> np.ndarray:
    """A quantity of the curve, one value per epoch; nan where the record has none."""
    return np.array([getattr(row, quantity) for row in run.curve], dtype=float)


def _legend_below(picture: Picture, handles: list[Line2D]) -> None:
    """A legend under the axes in as many columns as fit into the picture, four at most."""
    for columns in range(min(4, len(handles)), 0, -1):
        legend = picture.legend(handles=handles, loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= picture.bbox.width:
            return
        legend.remove()


@styled
def histogram(images: Any, *, data_name: str, title: str = "") -> Picture:
    """How often each pixel value occurs, by channel of RGB images, uint8 or float, as `image_grid` takes them."""
    images = _pictures(images)
    picture, axes = figure.new(3.4, title, data_name)
    picture.alt += "Histogram of the pixels."
    edges = np.linspace(*((0, 256) if images.dtype == np.uint8 else (images.min(), images.max())), 65)
    for channel, name in enumerate(("red", "green", "blue")):
        values, colour = images[..., channel], (VERMILION, GREEN, BLUE)[channel]
        label = f"{name}: mean {values.mean(dtype=float):#.4g}, std {values.std(dtype=float):#.4g}"
        shares = 100 * np.histogram(values, edges)[0] / values.size
        axes[0, 0].stairs(shares, edges, ls=("-", "--", "-.")[channel], label=label, color=colour, lw=1.8)
        picture.alt += f" {label}."
    axes[0, 0].set(xlabel="pixel value", ylabel="share of the pixels (%)")
    axes[0, 0].legend()
    return picture


@styled
def confusion(matrix: Any, classes: Sequence[str], *, data_name: str, title: str = "") -> Picture:
    """Confusion matrix of counts (rows true, columns predicted); colour shows the share of the row."""
    matrix, last = _array(matrix), len(classes) - 0.3
    total = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, total, out=np.full(matrix.shape, np.nan), where=total > 0)  # nan: a class without images
    picture, axes = figure.new(5.8, title, data_name)
    axis = axes[0, 0]
    axis.imshow(share, cmap="Blues", norm=PowerNorm(0.4, 0, 1))  # the power makes rare mistakes visible
    for row, column in np.ndindex(matrix.shape):
        ink = "white" if share[row, column] > 0.25 else INK
        axis.text(column, row, str(matrix[row, column]), ha="center", va="center", color=ink, fontsize=9)
    picture.alt += f"Confusion matrix of {matrix.sum()} images; right by class:"
    axis.text(last, -0.8, "right", va="center", fontsize=10)
    for row, (accuracy, name) in enumerate(zip(share.diagonal(), classes, strict=True)):
        text = "–" if math.isnan(accuracy) else f"{100 * accuracy:.1f}%"
        axis.text(last, row, text, va="center", fontsize=10)
        picture.alt += f" {name} {text},"
    wrong = np.where(np.eye(len(classes), dtype=bool), 0, matrix)
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        picture.alt += f" most often {classes[row]} was taken for {classes[column]}, {wrong[row, column]} times."
    names = [literal(name) for name in classes]
    axis.set_xticks(range(len(classes)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(classes)), names)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.grid(False)
    axis.spines[:].set_visible(False)
    return picture


@styled
def bars(
    labels: Sequence[str], values: Sequence[float], quantity: str, *, data_name: str,
    published: Sequence[float | None] | None = None, digits: int = 2, title: str = "",
) -> Picture:
    """Horizontal bars, the first on top; `quantity` names the axis and its unit.

    `published` values stand beside ours as diamonds (None: none).
    """
    ours, y = np.array(values, dtype=float), np.arange(len(values))
    theirs = np.array([None] * len(ours) if published is None else published, dtype=float)
    picture, axes = figure.new(0.8 + (0.36 if published is None else 0.5) * len(ours), title, data_name)
    axis, longest, shortest = axes[0, 0], np.nanmax([*ours, *theirs, 0]), np.nanmin([*ours, *theirs, 0])
    axis.barh(y, ours, color=BLUE, height=0.7)
    axis.plot(theirs, y, "D", color=VERMILION, markersize=7)
    picture.alt += f"{title or 'Bars'}, {quantity}."
    for label, at, own, other in zip(labels, y, ours, theirs, strict=True):
        text = f"{own:,.{digits}f}"
        if math.isnan(other):
            _write_right_of(axis, at, text, BLUE)
            picture.alt += f" {label}: {text}."
        else:
            text_published = f"published {other:,.{digits}f}"
            _write_right_of(axis, at, text, BLUE, points_up=7)
            _write_right_of(axis, at, text_published, VERMILION, points_up=-7)
            picture.alt += f" {label}: {text} ({text_published})."
    axis.set_yticks(y, [literal(label) for label in labels])
    axis.set(xlabel=quantity, ylim=(len(ours) - 0.4, -0.6), xlim=(1.04 * shortest, 1.04 * (longest or 1)))
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.grid(False, axis="y")
    return picture


def _write_right_of(axis: Axes, y: float, text: str, colour: str, points_up: float = 0) -> None:
    axis.annotate(text, (1, y), (6, points_up), xycoords=("axes fraction", "data"), textcoords="offset points",
                  va="center", color=colour, fontsize=10)


@styled
def layer_bars(layers: Sequence[Layer]) -> Picture:
    """Where the parameters are and where the work is: the layers that multiply, from the image down."""
    layers = [layer for layer in layers if layer.flops]
    picture, axes = figure.new(0.9 + 0.27 * len(layers), "", "", columns=2, sharey=True)
    picture.alt += f"Two bar charts, parameters and FLOPs of {len(layers)} layers."
    for axis, quantity, unit, colour in zip(
        axes[0], ("parameters", "flops"), ("parameters", "FLOPs per image"), (BLUE, VERMILION), strict=True
    ):
        values = [getattr(layer, quantity) / 1e6 for layer in layers]
        drawn = axis.barh([layer.name for layer in layers], values, color=colour, height=0.7)
        axis.bar_label(drawn, fmt=lambda value: f"{value:.3g}", padding=3, fontsize=9)
        axis.set(xlabel=f"{unit} (million)", xlim=(0, 1.25 * max(values)), ylim=(len(layers) - 0.4, -0.6))
        axis.grid(False, axis="y")
        most = max(layers, key=lambda layer, quantity=quantity: getattr(layer, quantity))
        picture.alt += f" Most {unit}: {most.name}, {getattr(most, quantity):,}."
    return picture
