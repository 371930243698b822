"""CIFAR-10 as two read-only splits of uint8 images, from whatever form of it there is.

`load()` looks for the cache, then for CIFAR-10 in any other form in the root folder (the archive under any name,
unzipped or unpacked; `cifar10.npz`; a cache of the first versions), then downloads the archive. Every way ends in the
same bytes: one file, `cifar10-hwc.npy`, that cannot run code, is opened through a memory map and is checked by its
SHA-256 each time. Within a class the images stand in the order of their digests, so that image 17 is the same image
for everyone, and a seed draws the same batches.
"""

import errno
import hashlib
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from course_utils.plumbing import archive, download, synthetic
from course_utils.plumbing.files import PARTIAL, write_atomically

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the train images, of pixel / 255

CACHE = "cifar10-hwc.npy"  # its rows are as in `archive`; nothing in it can run code
OLD_CACHE, PART = "cifar10.npy", f"{download.ARCHIVE}.part"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class DataError(Exception):
    """The data can't be had. One clear line: what was wrong, what was expected, what to do."""


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images: `images` uint8 (N, 32, 32, 3) and `labels` int64 (N,), both read-only."""

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
        return self.take(np.sort(_class_by_class(self.labels)[:n])) if n < len(self) else self


@dataclass(frozen=True, eq=False)
class Dataset:
    """Train and test split, and what is held out of train. `name` is "CIFAR-10" or "SYNTHETIC".

    `fingerprint` identifies the exact bytes.
    """

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

    The draw depends on the seed alone: RandomState's stream is frozen for all versions of NumPy.
    """
    shuffled = np.random.RandomState(seed).permutation(len(train))
    dealt = shuffled[_class_by_class(train.labels[shuffled])]
    return train.take(np.sort(dealt[held_out:])), train.take(np.sort(dealt[:held_out]))


def hold_out(dataset: Dataset, images: int) -> Dataset:
    """`dataset` with `images` of train held out by `split`; as it is, if they are held out already or none should be.

    Raises ValueError if nothing would be left to train on.
    """
    if dataset.held_out is not None or images == 0:
        return dataset
    if images >= len(dataset.train):
        raise ValueError(f"{images} images held out of {len(dataset.train)}: nothing is left to train on")
    train, held_out = split(dataset.train, images)
    return replace(dataset, train=train, held_out=held_out)


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
        return stand_in()
    folder = root_folder(root)
    if folder.is_file():
        raise DataError(f"{folder} is a file; expected a folder: name the one that holds it, {folder.parent}")
    mirrors = list(mirrors or os.environ.get("COURSE_MIRRORS", "").split() or download.MIRRORS)
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise DataError(f"mirror {mirror!r} is not an address; expected one that begins with https:// or http://")
    try:
        labels, rows = _labels_and_rows(folder, mirrors, patient=dataset == "cifar10")
    except download.DownloadError as error:
        advice = f"put {download.ARCHIVE} into {folder}, or name a mirror in the environment variable COURSE_MIRRORS"
        for path, why in _read(folder)[1].items():
            advice += f"; {path} was not read: {why}"
        if dataset == "cifar10":
            raise DataError(f"{error}; {advice}") from error
        warnings.warn(f"CIFAR-10 is out of reach, so the data is SYNTHETIC: {error}; {advice}", stacklevel=2)
        return stand_in()
    except OSError as error:
        if error.errno in DISK_FULL:
            (folder / PART).unlink(missing_ok=True)
        raise DataError(
            f"can't prepare CIFAR-10 in {folder}: {error.strerror or error}; expected a folder to read and write with "
            "0.4 GB free: make room, or name another folder in the environment variable COURSE_DATA"
        ) from error
    images, labels = rows[:, 1:].reshape(-1, 32, 32, 3), labels.astype(np.int64)
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
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root or os.environ.get("COURSE_DATA") or f"{cache}/cifar10-course").expanduser()


def describe(dataset: Dataset, root: str | Path | None = None) -> str:
    """What was loaded, for people: name, file, counts, mean and std of the train pixels, fingerprint."""
    counts = np.zeros((3, 256))
    for images in np.array_split(dataset.train.images, 20):
        counts += [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    share, value = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = share @ value
    std = np.sqrt(share @ value**2 - mean**2)
    cache = root_folder(root) / CACHE
    kept = dataset.name == "CIFAR-10" and cache.exists()
    return "\n".join([
        f"{dataset.name}: {len(dataset.train):,} train and {len(dataset.test):,} test images, "
        f"{len(dataset.classes)} classes: {', '.join(dataset.classes)}",
        f"file: {cache} ({cache.stat().st_size:,} bytes)" if kept else "file: none, held in memory",
        f"train mean: {', '.join(f'{m:.4f}' for m in mean)}   std: {', '.join(f'{s:.4f}' for s in std)}",
        f"fingerprint: SHA-256 {dataset.fingerprint}",
    ])


def _labels_and_rows(folder: Path, mirrors: list[str], patient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and rows of label and image, of the cache in `folder`, which is made first where there is none."""
    cache, part = folder / CACHE, folder / PART
    if cache.exists():
        return _open_cache(cache)
    rows, refused = _read(folder)
    if rows is None:
        for source, why in refused.items():
            if source.name in archive.NAMES:
                raise DataError(f"{source} is refused: {why}; replace it, or remove it to download")
        if not patient and not (part.exists() and part.stat().st_size >= download.SIZE):
            mirrors = download.reachable(mirrors)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if cache.exists():  # made by another process in the meantime
            return _open_cache(cache)
        for leftover in folder.glob(f"{PARTIAL}*-{CACHE}"):  # of a process that was killed
            with suppress(OSError):
                leftover.unlink()
        fetched = rows is None
        if fetched:
            have = part.stat().st_size if part.exists() else 0
            if shutil.disk_usage(folder).free < download.SIZE - have + archive.BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            download.fetch(part, mirrors)
            rows = archive.read(part)
        try:
            write_atomically(cache, archive.header(*rows.shape), rows.data)
        except OSError as error:
            if cache.exists():  # on Windows there is no lock, and another process may have it open
                return _open_cache(cache)
            bearable = (*READ_ONLY, *DISK_FULL) if (folder / OLD_CACHE).exists() else READ_ONLY
            if fetched or error.errno not in bearable:
                raise
            return rows[:, 0], rows  # a good source where nothing can be written: prepared anew each time
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return _open_cache(cache)


def _read(folder: Path) -> tuple[np.ndarray | None, dict[Path, str]]:
    """The rows from what lies in `folder`, None if nothing is good, and why each file that was looked at is not."""
    refused = {}
    for source in archive.candidates(folder):
        try:
            return archive.read(source), refused
        except (archive.SourceError, OSError) as error:
            refused[source] = str(error)
    return None, refused


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time work in `folder`; where the system has no such lock, go on without it."""
    try:
        import fcntl
    except ImportError:  # on Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_cache(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        rows = archive.mapped(path, archive.SHA256)
    except archive.SourceError as error:
        raise DataError(f"{path} is damaged: {error}; delete it and load again") from error
    # Reading the labels brings every page of a mapping into memory. So they have one of their own, which is let go.
    labels = np.load(path, mmap_mode="r", allow_pickle=False)[:, 0]
    return np.array(labels), np.asarray(rows)
