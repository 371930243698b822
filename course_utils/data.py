"""CIFAR-10 as two read-only splits of uint8 images, from whatever form of it there is.

`load()` looks for the cache, then for CIFAR-10 in any other form in the root folder, then downloads the archive. Every
way ends in the same bytes: one file, `cifar10-hwc.npy`, that cannot run code and is checked by its SHA-256 each time.
Within a class the images stand in the order of their digests, so that image 17 is the same image for everyone, and a
seed draws the same batches.
"""

import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from course_utils.plumbing import archive, cache, download, synthetic
from course_utils.plumbing.cache import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the train images, of pixel / 255


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: `images` (N, 32, 32, 3) and `labels` int64 (N,), both read-only.

    The images are uint8, or float16 once `yuv` has prepared them.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        for name in ("images", "labels"):
            view = getattr(self, name).view()  # the caller's own array stays writable
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | Sequence[int]) -> "Split":
        """The images at `indices`, in that order."""
        return Split(self.images[indices], self.labels[indices])

    def first(self, n: int) -> "Split":
        """`n` images with the classes as balanced as can be: the first few of each, in their order here."""
        if n < 0:
            raise ValueError(f"the first {n} images: expected 0 or more")
        return self.take(np.sort(_class_by_class(self.labels)[:n])) if n < len(self) else self


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and test split, and what is held out of train; `name` is "CIFAR-10" or "SYNTHETIC"."""

    name: str
    train: Split
    test: Split
    fingerprint: str
    classes: tuple[str, ...]
    held_out: Split | None = None


def _class_by_class(labels: np.ndarray) -> np.ndarray:
    """Indices that take the classes in turn: the first image of each, then the second of each, ..."""
    rank = np.empty(len(labels), int)  # of each image within its class
    for label in np.unique(labels):
        members = labels == label
        rank[members] = np.arange(members.sum())
    return np.lexsort((labels, rank))


def split(train: Split, held_out: int = 5000, seed: int = 0) -> tuple[Split, Split]:
    """Split `train` into images to train on and `held_out` images for making choices, equally many of each class.

    The draw depends on the seed alone: RandomState's stream is frozen for all versions of NumPy. Raises ValueError
    where nothing would be left to train on.
    """
    if not 0 <= held_out < len(train):
        raise ValueError(f"{held_out} images held out of {len(train)}: choose 0 to {len(train) - 1}")
    shuffled = np.random.RandomState(seed).permutation(len(train))
    dealt = shuffled[_class_by_class(train.labels[shuffled])]
    return train.take(np.sort(dealt[held_out:])), train.take(np.sort(dealt[:held_out]))


def hold_out(dataset: Dataset, images: int) -> Dataset:
    """`dataset` with `images` of train held out by `split`; as it is, if they are held out already or none should be.

    Raises ValueError as `split` does.
    """
    if dataset.held_out is not None or images == 0:
        return dataset
    train, held_out = split(dataset.train, images)
    return replace(dataset, train=train, held_out=held_out)


def load(dataset: str = "auto", root: str | Path | None = None, mirrors: Sequence[str] | None = None) -> Dataset:
    """CIFAR-10 from the root folder, which is filled first where need be, or the stand-in.

    Args:
        dataset: "cifar10", "synthetic" (the drawn stand-in) or "auto": CIFAR-10, the stand-in when offline.
        root: folder of the cache; else the environment variable COURSE_DATA, else the user's cache folder.
        mirrors: addresses of the archive; else COURSE_MIRRORS (separated by spaces), else `download.MIRRORS`.

    Raises DataError where the data can't be had, or what was found is not CIFAR-10.
    """
    if dataset not in ("auto", "cifar10", "synthetic"):
        raise DataError(f'dataset is {dataset!r}; expected "auto", "cifar10" or "synthetic"')
    if dataset == "synthetic":
        return stand_in()
    mirrors = list(mirrors or os.environ.get("COURSE_MIRRORS", "").split() or download.MIRRORS)
    try:
        labels, images = cache.labels_and_images(root_folder(root), mirrors, patient=dataset == "cifar10")
    except cache.OutOfReach as error:
        if dataset == "cifar10":
            raise
        warnings.warn(f"CIFAR-10 is out of reach, so the data is SYNTHETIC: {error}", stacklevel=2)
        return stand_in()
    cut = archive.SIZES["train"]
    train, test = Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])
    return Dataset("CIFAR-10", train, test, archive.PLANES_SHA256, CLASSES)


def stand_in(seed: int = 0, train: int = 50_000, test: int = 10_000) -> Dataset:
    """The drawn stand-in for CIFAR-10, as large as asked for: equally many scenes of every kind in random order."""
    parts = [Split(images, labels) for images, labels in synthetic.draw(seed, train, test)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.images.transpose(0, 3, 1, 2).tobytes())
        digest.update(part.labels.astype("<i8"))
    return Dataset("SYNTHETIC", *parts, digest.hexdigest(), synthetic.CLASSES)


def root_folder(root: str | Path | None = None) -> Path:
    """Where the data is kept: `root`, else what COURSE_DATA names, else the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(root or os.environ.get("COURSE_DATA") or f"{home}/cifar10-course"))
