"""CIFAR-10 as two read-only splits of uint8 images, whatever form it arrives in.

`load()` looks for the cache, then for a source in the root folder (`cifar10.npz` or the original archive), then
downloads the archive. Every way ends in the same bytes: one file, `cifar10.npy`, that cannot run code, is
opened through a memory map and is checked by its SHA-256 each time. Within a class the images stand in the
order of their digests, so that image 17 is the same image for everyone, and a seed draws the same batches.
"""

import errno
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the train images, of pixel / 255

CACHE, CACHE_SHAPE = "cifar10.npy", (60_000, 3073)  # a row is a label, then 3 x 32 x 32 pixels
CACHE_BYTES = 128 + 60_000 * 3073
CACHE_SHA256 = "4ecd51812fddcb31a94688d92a9299c0862deeff589da12a648620d8c25c66e2"
FINGERPRINTS = {  # see `_canonical`: the same for every order of the images
    "train": "e36a4592463e2ee84d84552ce093fe6b8f437cfb731a0e7c399b4ddf5f142eb5",
    "test": "2c6b29d2a72d4d6403071ff52326ed6dfc213d9701d6920558df5e17e1b55e53",
}
TRAIN_SIZE = 50_000


class DataError(Exception):
    """The data can't be had. One clear line: what was wrong, what was expected, what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: `images` uint8 (N, 3, 32, 32) and `labels` int64 (N,), both read-only."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        self.images.flags.writeable = self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | Sequence[int]) -> "Split":
        """The images at `indices`, in that order."""
        return Split(self.images[indices], self.labels[indices])

    def first(self, n: int) -> "Split":
        """`n` images with the classes as balanced as can be: the first few of each, in their order here."""
        return self.take(np.sort(_class_by_class(self.labels)[:n]))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and test split. `name` is "CIFAR-10" or "SYNTHETIC"; `fingerprint` tells the exact bytes."""

    name: str
    train: Split
    test: Split
    fingerprint: str
    classes: tuple[str, ...]


def _class_by_class(labels: np.ndarray) -> np.ndarray:
    """Indices that deal out the classes in turn: the first image of each, then the second of each, ..."""
    grouped = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[grouped], labels[grouped])  # where each one's class begins
    return grouped[np.argsort(np.arange(len(labels)) - starts, kind="stable")]


def split(train: Split, held_out: int = 5000, seed: int = 0) -> tuple[Split, Split]:
    """Part `train` into what is trained on and `held_out` images for making choices, equally of each class.

    The draw depends on the seed alone: RandomState's stream is frozen for all versions of NumPy.
    """
    shuffled = np.random.RandomState(seed).permutation(len(train))
    dealt = shuffled[_class_by_class(train.labels[shuffled])]
    return train.take(np.sort(dealt[held_out:])), train.take(np.sort(dealt[:held_out]))


def load(
    dataset: str = "auto", root: str | Path | None = None, mirrors: Sequence[str] | None = None
) -> Dataset:
    """CIFAR-10 from the root folder, which is filled first where need be, or the stand-in.

    Args:
        dataset: "cifar10", "synthetic" (the drawn stand-in) or "auto": CIFAR-10, the stand-in when offline.
        root: folder of the cache; else the environment variable COURSE_DATA, else the user's cache folder.
        mirrors: addresses of the archive; else COURSE_MIRRORS (separated by spaces), else `download.MIRRORS`.

    Raises:
        DataError: the data can't be had, or what was found is not CIFAR-10.
    """
    if dataset not in ("auto", "cifar10", "synthetic"):
        raise DataError(f'dataset is {dataset!r}; expected "auto", "cifar10" or "synthetic"')
    if dataset == "synthetic":
        raise DataError("the stand-in is not drawn yet")
    folder = root_folder(root)
    try:
        rows = _open_cache(folder / CACHE) if (folder / CACHE).exists() else _prepare(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(
            f"can't prepare CIFAR-10 in {folder}: {reason}; expected a folder that can be read and written, "
            "with 0.4 GB free: make room there, or name another one in the environment variable COURSE_DATA"
        ) from error
    train, test = (
        Split(part[:, 1:].reshape(-1, 3, 32, 32), part[:, 0].astype(np.int64))
        for part in (rows[:TRAIN_SIZE], rows[TRAIN_SIZE:])
    )
    return Dataset("CIFAR-10", train, test, CACHE_SHA256, CLASSES)


def root_folder(root: str | Path | None = None) -> Path:
    """Where the data is kept: `root`, else what COURSE_DATA names, else the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root or os.environ.get("COURSE_DATA") or f"{cache}/cifar10-course").expanduser()


def _prepare(folder: Path) -> np.ndarray:
    """The rows of the cache from the source in `folder`, cached there if it can be written."""
    rows = _from_npz(folder / "cifar10.npz")
    try:
        _write(folder / CACHE, rows)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return rows  # a read-only folder with a good source: prepared anew each time
    return _open_cache(folder / CACHE)


def _open_cache(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        size, found = path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
    if found != CACHE_SHA256:
        raise DataError(
            f"{path} is damaged: expected {CACHE_BYTES:,} bytes with SHA-256 {CACHE_SHA256}, found {size:,} "
            f"bytes with {found}; delete it and load again"
        )
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _write(path: Path, rows: np.ndarray) -> None:
    """Write the cache whole or not at all, whoever else is writing it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f"{CACHE}.", suffix=".tmp", delete=False) as file:
        try:
            np.save(file, rows)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def _from_npz(path: Path) -> np.ndarray:
    """Read what `np.savez` wrote, each member's header checked before its bytes are taken for an array."""
    with zipfile.ZipFile(path) as archive:
        return _canonical({
            name: (
                _member(archive, f"{name}_images", (size, 32, 32, 3)),
                _member(archive, f"{name}_labels", (size,)),
            )
            for name, size in (("train", TRAIN_SIZE), ("test", CACHE_SHAPE[0] - TRAIN_SIZE))
        })


def _member(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> np.ndarray:
    with archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0(file)
        if header != (shape, False, np.dtype("uint8")):
            raise ValueError(header)
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def _canonical(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The rows of the cache from uint8 images (N, 32, 32, 3) and labels (N,) whose fingerprints match.

    The labels keep their sequence, and the k-th place of a class takes the class's k-th image by its digest.
    The fingerprint is the SHA-256 of the sorted (label, BLAKE2b-64 of the pixels) pairs.
    """
    rows = []
    for name, (images, labels) in splits.items():
        pairs = np.empty(len(labels), [("label", "u1"), ("digest", ">u8")])
        digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
        pairs["label"], pairs["digest"] = labels, np.frombuffer(digests, ">u8")
        order = np.lexsort((pairs["digest"], pairs["label"]))
        found = hashlib.sha256(pairs[order].tobytes()).hexdigest()
        if found != FINGERPRINTS[name]:
            raise DataError(f"{name}: expected fingerprint {FINGERPRINTS[name]}, found {found}")
        part = np.empty((len(labels), 3073), np.uint8)
        part[:, 0] = labels
        part[np.argsort(labels, kind="stable"), 1:] = images.transpose(0, 3, 1, 2)[order].reshape(-1, 3072)
        rows.append(part)
    return np.concatenate(rows)
