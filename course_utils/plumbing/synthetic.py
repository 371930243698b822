"""The stand-in for CIFAR-10 when it can't be had: ten kinds of simple scenes, drawn instead of downloaded.

The kind of a scene is the shape of its one figure. Place, size, tilt and colours of the figure, background texture,
noise and a bar that hides part of the scene are drawn at random, so that neither the mean colour nor any one pixel
gives the kind away, and some scenes are beyond anyone. All arithmetic is in integers, on bits from a generator whose
stream NumPy promises to keep: the same seed gives the same bytes on every machine.
"""

from collections.abc import Callable

import numpy as np

SIDE = 32
UNIT = 16  # lengths are in sixteenths of a pixel
CHUNK = 500  # scenes drawn at once: their arrays stay in the processor's cache


def _within(u: np.ndarray, v: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.maximum(abs(u), abs(v)) < r


# A figure of radius r, as a condition on the coordinates u (to the right) and v (down) from its centre.
FIGURES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda u, v, r: u * u + v * v < r * r,
    "ring": lambda u, v, r: (u * u + v * v < r * r) & (8 * (u * u + v * v) > 3 * r * r),
    "frame": lambda u, v, r: _within(u, v, r) & ~_within(u, v, r // 2),
    "triangle": lambda u, v, r: (2 * v < r) & (7 * abs(u) - 4 * v < 4 * r),
    "cross": lambda u, v, r: _within(u, v, r) & (4 * np.minimum(abs(u), abs(v)) < r),
    "level bars": lambda u, v, r: _within(u, v, r) & (5 * (v + r) // (2 * r) % 2 == 0),
    "upright bars": lambda u, v, r: _within(u, v, r) & (5 * (u + r) // (2 * r) % 2 == 0),
    "slanted bars": lambda u, v, r: _within(u, v, r) & (5 * (u + v + 2 * r) // (3 * r) % 2 == 0),
    "checks": lambda u, v, r: _within(u, v, r) & ((2 * u // r + 2 * v // r) % 2 == 0),
    "pair": lambda u, v, r: (8 * abs(u) - 5 * r) ** 2 + 64 * v * v < 12 * r * r,
}
CLASSES = tuple(FIGURES)


def draw(seed: int, *sizes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits of these sizes, images and labels, each with equally many scenes of every kind in random order."""
    bits = np.random.PCG64(seed)
    return [_split(bits, size) for size in sizes]


def _split(bits: np.random.PCG64, n: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.argsort(bits.random_raw(n), kind="stable") % len(CLASSES)
    images = np.empty((n, SIDE, SIDE, 3), np.uint8)
    for start in range(0, n, CHUNK):
        images[start : start + CHUNK] = _scenes(bits, labels[start : start + CHUNK]).transpose(0, 2, 3, 1)
    return images, labels


def _scenes(bits: np.random.PCG64, labels: np.ndarray) -> np.ndarray:
    """Scenes (N, 3, 32, 32) uint8 whose figures are of the kinds `labels`."""
    n = len(labels)

    def number(low: int, high: int, channels: int = 1) -> np.ndarray:
        """For each scene and channel an integer from `low` up to, not including, `high`."""
        draws = bits.random_raw((n, channels, 1, 1)) >> np.uint64(40)
        return low + (draws * np.uint64(high - low) >> np.uint64(24)).astype(np.int32)

    def noise(channels: int, size: int) -> np.ndarray:
        """For each scene, channel and pixel an integer from -128 to 127."""
        draws = bits.random_raw(n * channels * size * size // 8)
        return draws.astype("<u8").view(np.int8).reshape(n, channels, size, size)

    x = UNIT * np.arange(SIDE, dtype=np.int32)
    y = x[:, None]
    right, down = x - number(11 * UNIT, 21 * UNIT), y - number(11 * UNIT, 21 * UNIT)
    tilt, mirror, radius = number(-75, 76), 2 * number(0, 2) - 1, number(6 * UNIT, 11 * UNIT)
    u, v = mirror * (right + (tilt * down >> 8)), down - (tilt * right >> 8)
    figure = np.empty((n, 1, SIDE, SIDE), bool)
    for kind, condition in enumerate(FIGURES.values()):
        chosen = labels == kind
        figure[chosen] = condition(u[chosen], v[chosen], radius[chosen])
    bar = abs(x - number(0, SIDE * UNIT)) < number(0, 4 * UNIT)

    # A figure may be lighter or darker than its ground, and is lighter a little more often.
    ground, paint, cover = (number(low, low + 176, channels=3).astype(np.int16) for low in (24, 72, 48))
    colours = np.where(bar, cover, np.where(figure, paint, ground))
    texture = noise(1, SIDE // 4).repeat(4, axis=2).repeat(4, axis=3) * number(0, 64).astype(np.int16)
    grain = noise(3, SIDE) * number(16, 64).astype(np.int16)
    return np.clip(colours + (texture + grain >> 7), 0, 255).astype(np.uint8)
