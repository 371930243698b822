"""How every figure of the course looks, and how a notebook shows it."""

import base64
import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito (2008); markers are for those who can't tell two of them apart.
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
COLOURS = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#000000")
MARKERS = "os^Dv*"
INK, PALE = "#222222", "#999999"
WIDTH, DPI = 6.4, 144  # inches; with letters of 11 points still legible on a phone
STYLE = {
    "font.size": 11, "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white",
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": PALE,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.titlesize": 11, "grid.color": "#e2e2e2", "legend.frameon": False, "legend.fontsize": 10,
    "lines.markersize": 5,
}
styled = matplotlib.rc_context(STYLE)  # decorates the functions that draw


class Picture(Figure):
    """A figure outside pyplot's care, with alternative text, `alt`; a notebook shows it once, as a PNG."""

    alt = ""

    def png(self) -> str:
        """The figure as a PNG file, in base64."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=DPI)
        return base64.b64encode(file.getvalue()).decode()

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        data = {"image/png": self.png(), "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt, "width": round(self.get_figwidth() * 96)}}


def literal(text: str) -> str:
    """Text that matplotlib writes as it is: a dollar begins no formula."""
    return text.replace("$", r"\$")


def new(
    height: float, title: str, data_name: str, rows: int = 1, columns: int = 1, **axes: Any
) -> tuple[Picture, np.ndarray]:
    """A picture `height` inches high and its axes (rows, columns); for the stand-in data, heading and `alt` say so."""
    picture = Picture(figsize=(WIDTH, height), layout="constrained")
    colour = INK
    if data_name == "SYNTHETIC":
        warning, colour = "SYNTHETIC data, not CIFAR-10", VERMILION
        title = f"{warning}\n{title}" if title else warning
        picture.alt = "SYNTHETIC data. "
    if title:
        picture.suptitle(literal(title), fontsize=12, color=colour, fontweight="bold")
    return picture, picture.subplots(rows, columns, squeeze=False, **axes)
