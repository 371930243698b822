"""The preprocessing of 2015 against numbers found by hand and against a plain version in SciPy."""

import numpy as np
import pytest
import torch

from course_utils import yuv
from course_utils.data import Split

ndimage = pytest.importorskip("scipy.ndimage")


def reference(image: np.ndarray) -> np.ndarray:
    """One RGB image (32, 32, 3) to YUV in float64, with Y locally normalised."""
    r, g, b = image.astype(np.float64).transpose(2, 0, 1)
    y, u, v = (
        0.299 * r + 0.587 * g + 0.114 * b,
        -0.14713 * r - 0.28886 * g + 0.436 * b,
        0.615 * r - 0.51499 * g - 0.10001 * b,
    )
    weights = np.exp(-((np.arange(1, 8) - 4) ** 2) / (2 * 1.75**2))
    weights /= weights.sum()

    def mean(plane: np.ndarray) -> np.ndarray:
        return ndimage.correlate(plane, np.outer(weights, weights), mode="constant", cval=0)

    coefficient = mean(np.ones_like(y))
    y = y - mean(y) / coefficient
    deviation = np.sqrt(mean(y * y)) / coefficient
    return np.stack([y / np.where(deviation > 1e-4, deviation, 1e-4), u, v], axis=-1)


def test_colours_are_converted_as_by_hand():
    colours = torch.tensor([[255.0, 0, 0], [100, 100, 100], [0, 0, 255]]).view(3, 3, 1, 1)
    expected = [[76.245, -37.51815, 156.825], [100, 0.001, 0], [29.07, 111.18, -25.50255]]
    torch.testing.assert_close(yuv.rgb_to_yuv(colours)[:, :, 0, 0], torch.tensor(expected), atol=1e-3, rtol=0)


def test_stripes_are_normalised_as_by_hand():
    """Stripes of one pixel become +1 and -1: their local mean is a times themselves, their deviation is 1 - a."""
    stripes = (torch.arange(32) % 2 * 2.0 - 1).expand(1, 1, 32, 32)
    inner = slice(6, 26)  # where no window, nor the windows in it, reach over the border
    normalised = yuv.local_contrast_normalise(40 * stripes + 100)
    torch.testing.assert_close(normalised[..., inner, inner], stripes[..., inner, inner])


def test_a_flat_image_stays_flat():
    assert not yuv.local_contrast_normalise(torch.zeros(1, 1, 32, 32)).any()


@pytest.fixture
def splits() -> tuple[Split, Split]:
    """Two splits, not multiples of the chunk, of noise, smooth images and a black one."""
    random = np.random.RandomState(0)
    images = random.randint(256, size=(700, 32, 32, 3)).astype(np.uint8)
    images[:100] = ndimage.gaussian_filter(images[:100], (0, 2, 2, 0)) * 2
    images[0] = 0
    labels = np.arange(700) % 10
    return Split(images[:600], labels[:600]), Split(images[600:], labels[600:])


def test_preprocessing_agrees_with_the_reference(splits):
    done = yuv.preprocess(*splits)
    expected = [np.stack([reference(image) for image in split.images]) for split in splits]
    mean, std = (getattr(expected[0][..., 1:], of)((0, 1, 2)) for of in ("mean", "std"))
    for ours, theirs, split in zip(done, expected, splits, strict=True):
        theirs[..., 1:] = (theirs[..., 1:] - mean) / std  # the test split too by the train split's statistics
        assert ours.images.dtype == np.float16 and ours.images.shape == split.images.shape
        np.testing.assert_array_equal(ours.labels, split.labels)
        np.testing.assert_allclose(ours.images, theirs, atol=0.004, rtol=0.002)


def test_without_rounding_it_is_the_reference_in_flat_patches_too(splits):
    """In float32 the rounding of a flat patch, over the threshold, is noise of 0.1; in float64 it is nothing."""
    images = splits[0].images[:20].copy()
    images[1], images[2, :16] = 200, 128
    expected = np.stack([reference(image)[None, ..., 0] for image in images])
    brightness = yuv.rgb_to_yuv(torch.tensor(images).permute(0, 3, 1, 2).double())[:, :1]
    np.testing.assert_allclose(yuv.local_contrast_normalise(brightness), expected, atol=1e-6)
