"""The preprocessing of 2015: colour apart from brightness, and brightness measured against its surroundings.

After `provider.lua` of https://github.com/szagoruyko/cifar.torch and the Torch modules that it calls.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.data import Split

RGB_TO_YUV = torch.tensor([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])
SIZE = 7  # pixels across which "local" reaches
THRESHOLD = 1e-4  # Torch's: where the local deviation is smaller (a flat patch), this is divided by instead
CHUNK = 500  # images at a time


def rgb_to_yuv(images: Tensor) -> Tensor:
    """Brightness Y and two colour differences U, V of RGB images (N, 3, H, W), in the same units."""
    return torch.einsum("yc,nchw->nyhw", RGB_TO_YUV.to(images), images)


def gaussian() -> Tensor:
    """The weights (SIZE,) of Torch's `image.gaussian1D`, whose deviation is a quarter of its size; their sum is 1."""
    distance = torch.arange(SIZE) - (SIZE - 1) / 2
    weights = torch.exp(-((distance / (0.25 * SIZE)) ** 2) / 2)
    return weights / weights.sum()


def local_mean(planes: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean around each pixel of planes (N, 1, H, W), zeros beyond the border: across, then down."""
    reach = len(weights) // 2
    across = F.conv2d(planes, weights.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(across, weights.view(1, 1, -1, 1), padding=(reach, 0))


def local_contrast_normalise(planes: Tensor) -> Tensor:
    """Planes (N, 1, H, W) less their local mean, over their local deviation: `nn.SpatialContrastiveNormalization`.

    `inside` is the weight within the image, 1 away from the border. Torch divides the deviation by it after the
    square root, not before, and so do we.
    """
    weights = gaussian().to(planes)
    inside = local_mean(torch.ones_like(planes[:1]), weights)
    centred = planes - local_mean(planes, weights) / inside
    deviation = local_mean(centred**2, weights).sqrt() / inside
    return centred / torch.where(deviation > THRESHOLD, deviation, THRESHOLD)


def preprocess(train: Split, *others: Split) -> list[Split]:
    """The splits as float16 YUV: Y locally normalised, U and V standardised by mean and deviation over `train`."""
    sums = torch.zeros(2, 2, dtype=torch.float64)
    for yuv in _chunks(train):
        colours = yuv[:, 1:].double()
        sums += torch.stack([colours.sum((0, 2, 3)), (colours**2).sum((0, 2, 3))])
    mean, square = sums / train.images[..., 0].size
    mean, std = mean.view(2, 1, 1), (square - mean**2).sqrt().view(2, 1, 1)

    def convert(split: Split) -> Split:
        images = np.empty(split.images.shape, np.float16)
        for start, yuv in zip(range(0, len(split), CHUNK), _chunks(split), strict=True):
            chunk = images[start : start + CHUNK].transpose(0, 3, 1, 2)
            chunk[:, :1] = local_contrast_normalise(yuv[:, :1])
            chunk[:, 1:] = (yuv[:, 1:] - mean) / std
        return Split(images, split.labels)

    return [convert(split) for split in (train, *others)]


def _chunks(split: Split) -> Iterator[Tensor]:
    for start in range(0, len(split), CHUNK):
        images = torch.tensor(split.images[start : start + CHUNK])
        yield rgb_to_yuv(images.permute(0, 3, 1, 2).float().contiguous())
