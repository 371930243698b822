"""The colours of the figures, as colour-blind readers see them."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from course_utils.show import figure

# Machado, Oliveira and Fernandes (2009), table 1, severity 1: what is left of linear RGB.
VISION = {
    "normal": np.eye(3),
    "no red cones": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green cones": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue cones": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = TO_XYZ.sum(1)


def lab(colour, vision):
    """CIE L*a*b*, in which 2.3 is a just noticeable difference."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(vision @ linear, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_can_be_told_apart(vision):
    seen = [lab(colour, np.array(VISION[vision])) for colour in figure.COLOURS]
    assert lab("white", np.eye(3)) == pytest.approx([100, 0, 0], abs=0.1)
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 6 * 2.3


def test_each_colour_has_a_marker_of_its_own():
    assert len(set(figure.MARKERS)) == len(figure.MARKERS) == len(set(figure.COLOURS)) == len(figure.COLOURS)
