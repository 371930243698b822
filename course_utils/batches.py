"""A split as uint8 on a device, handed out a whole batch at a time, normalised and augmented."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_utils.data import MEAN, STD, Split
from course_utils.machine import KERNELS, Machine

SIDE = 32  # pixels of an image in either direction


@dataclass(frozen=True)
class Augmentation:
    """What is drawn anew for every image of every training batch.

    `flip`: None, "random" (each image with probability 1/2), "half" (exactly half of each batch, as in 2015) or
    "alternating" (a coin for each image at the start, then all change sides every epoch: any two epochs in a row show
    each image both ways); `crop`: pixels of reflected border around the image before a 32x32 crop; `cutout`: side of
    the square set to zero; `brightness`: the most that is added to or taken from a normalised image, `contrast`: the
    share by which it is then multiplied more or less at the most.
    """

    flip: str | None = None
    crop: int = 0
    cutout: int = 0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        if self.flip not in (None, "random", "half", "alternating"):
            raise ValueError(f"flip {self.flip!r} is unknown: choose None, 'random', 'half' or 'alternating'")
        for name, value in (("crop", self.crop), ("cutout", self.cutout)):
            if not 0 <= value < SIDE:
                raise ValueError(f"{name} of {value} pixels is not between 0 and {SIDE - 1}")
        for name, value in (("brightness", self.brightness), ("contrast", self.contrast)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} {value} is not in [0, 1)")


class Batches:
    """Batches of `split`, ready for a network.

    With an `augmentation` it is training data: every epoch has its own order and its own draws, which depend on `seed`
    and the epoch's number alone, and a last batch that is not full is dropped. Without, images come in order, all.
    Where several processes train together, each is given its `share` of every batch, a slice. All of them draw for the
    whole batch, so that their shares put together are the batch that a single process would have.

    Yields images (B, 3, 32, 32), or of a smaller side, floating point, normalised by CIFAR-10's mean and deviation if
    the split holds uint8 and as they are otherwise, and labels (B,) int64.
    """

    def __init__(
        self, split: Split, batch_size: int, machine: Machine, augmentation: Augmentation | None = None, seed: int = 0,
        share: slice = slice(None),
    ) -> None:
        images = split.images
        if images.ndim != 4 or images.shape[1:] != (SIDE, SIDE, 3):
            raise ValueError(f"images of shape {images.shape}: expected (N, {SIDE}, {SIDE}, 3)")
        if split.labels.shape != (len(images),):
            raise ValueError(f"labels of shape {split.labels.shape} for {len(images)} images: expected one label each")
        if batch_size < 1 or (augmentation and batch_size > len(images)):
            raise ValueError(f"a batch size of {batch_size} for {len(images)} images: choose 1 to {len(images)}")
        self.batch_size, self.machine, self.augmentation = batch_size, machine, augmentation
        self.seed, self.share = seed, share
        # Pixel after pixel, three values each: what a crop copies lies together, and batches are channels last.
        self.pixels = torch.from_numpy(np.array(images, order="C")).to(machine.device).view(-1, 3)
        self.labels = torch.from_numpy(np.array(split.labels)).to(machine.device)
        coins = torch.Generator(machine.device).manual_seed(seed)
        self.first_sides = which_flip(len(images), "random", coins)  # of alternating flips
        self.scale, self.shift = None, None
        if images.dtype == np.uint8:
            std = 255 * torch.tensor(STD, device=machine.device)
            self.scale, self.shift = 1 / std, -255 * torch.tensor(MEAN, device=machine.device) / std

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.labels), self.batch_size)
        return full + bool(rest and not self.augmentation)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.epoch(0)

    def epoch(self, number: int, side: int = SIDE) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number`, counted from 0, of images shrunk to `side` pixels.

        Raises ValueError where `side` is above 32, or below 1 or the side of the cutout.
        """
        smallest = max(1, self.augmentation.cutout if self.augmentation else 0)
        if not smallest <= side <= SIDE:
            raise ValueError(f"pictures of {side} pixels from images of {SIDE}: choose {smallest} to {SIDE}")
        device = self.machine.device
        generator = torch.Generator(device).manual_seed((self.seed << 20) + number)
        order = torch.arange(len(self.labels), device=device)
        if self.augmentation:
            order = torch.randperm(len(order), generator=generator, device=device)
        for indices in order.split(self.batch_size)[: len(self)]:
            yield self._images(indices, generator, number, side), self.labels[indices[self.share]]

    def _images(self, indices: Tensor, generator: torch.Generator, epoch: int, side: int) -> Tensor:
        count, device = len(indices), indices.device
        augmentation = self.augmentation or Augmentation()
        rows = columns = torch.arange(SIDE, device=device).expand(count, SIDE)
        if augmentation.crop:
            rows, columns = (windows(count, augmentation.crop, generator) for _ in range(2))
        if augmentation.flip:
            if augmentation.flip == "alternating":
                flipped = self.first_sides[indices] ^ (epoch % 2 == 1)
            else:
                flipped = which_flip(count, augmentation.flip, generator)
            columns = torch.where(flipped[:, None], columns.flip(1), columns)
        places = indices[self.share, None, None] * SIDE + rows[self.share, :, None]
        addresses = places * SIDE + columns[self.share, None, :]
        images = self.pixels.index_select(0, addresses.reshape(-1)).view(*addresses.shape, 3)
        if side < SIDE:
            images = shrunk(images.permute(0, 3, 1, 2), side).permute(0, 2, 3, 1)
        images = images.float() if self.scale is None else images * self.scale + self.shift
        if augmentation.brightness or augmentation.contrast:
            drawn = torch.rand(2, count, 1, 1, 1, generator=generator, device=device)[:, self.share] * 2 - 1
            images = (images + augmentation.brightness * drawn[0]) * (1 + augmentation.contrast * drawn[1])
        if augmentation.cutout:
            images *= ~squares(count, augmentation.cutout, generator, side)[self.share, ..., None]
        return images.permute(0, 3, 1, 2)  # channels last in memory


def shrunk(images: Tensor, side: int) -> Tensor:
    """(B, C, H, W) images in `side` by `side` pixels, each pixel a weighted mean of the old ones around it."""
    from torchvision.transforms.v2.functional import resize  # here, for its import takes longer than all of ours

    if images.device.type in KERNELS:
        return resize(images, [side, side])  # uint8 stays uint8: on a processor twenty times as fast as float32
    return shrunk_by_products(images, resize(torch.eye(SIDE)[None], [side, SIDE])[0])


def shrunk_by_products(images: Tensor, weights: Tensor) -> Tensor:
    """The same where a device lacks the kernel, up to one grey level: resizing is linear in rows and columns.

    `weights` (side, H) is its matrix: what it makes of the unit vectors. Images are (B, C, H, H).
    """
    weights = weights.to(images.device)
    means = weights @ images.float() @ weights.T
    return means if images.is_floating_point() else means.round().to(images.dtype)


def windows(count: int, border: int, generator: torch.Generator) -> Tensor:
    """(count, 32) pixel positions, each row a random window of 32 into 0 ... 31 with its ends reflected by `border`."""
    axis = torch.arange(SIDE, device=generator.device)
    padded = torch.cat([axis[1 : border + 1].flip(0), axis, axis[-border - 1 : -1].flip(0)])
    return padded[axis + torch.randint(0, 2 * border + 1, (count, 1), generator=generator, device=axis.device)]


def which_flip(count: int, how: str, generator: torch.Generator) -> Tensor:
    """(count,) True where the image is mirrored: independent coin tosses, or exactly half of the batch."""
    draws = torch.rand(count, generator=generator, device=generator.device)
    return draws < 0.5 if how == "random" else draws.argsort() < count // 2


def squares(count: int, width: int, generator: torch.Generator, side: int = SIDE) -> Tensor:
    """(count, side, side) True in a square of `width` pixels, wholly within the image, at a random place each."""
    corner = torch.randint(0, side - width + 1, (2, count, 1), generator=generator, device=generator.device)
    axis = torch.arange(side, device=generator.device)
    down, across = (axis >= corner) & (axis < corner + width)
    return down[:, :, None] & across[:, None, :]
