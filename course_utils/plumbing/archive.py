"""Reads CIFAR-10 from the files that people have, trusting none of them, into one canonical array of rows.

A row is an image: its label, then its 32 x 32 x 3 pixels, uint8; 50,000 train rows, then 10,000 test rows. Labels
keep their official sequence, and the k-th place of a class takes the class's k-th image in the order of digests: the
rows are the same bytes from every source, and one SHA-256 shows whether they are right.
"""

import hashlib
import io
import pickle
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.plumbing import download


def header(*shape: int) -> bytes:
    """What a .npy file of a uint8 array of this shape begins with."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


SIZES = {"train": 50_000, "test": 10_000}
FINGERPRINTS = {
    "train": "e36a4592463e2ee84d84552ce093fe6b8f437cfb731a0e7c399b4ddf5f142eb5",
    "test": "2c6b29d2a72d4d6403071ff52326ed6dfc213d9701d6920558df5e17e1b55e53",
}
BYTES = len(header(60_000, 3073)) + 60_000 * 3073  # of the rows as a .npy file
SHA256 = "ebf6a0b05dfe8138e6612f00e21f7ce446a3ce1e501af98e9893b4502a46f3c7"
# The same with the pixels of a row as 3 x 32 x 32: the cache of the first versions, and what records call their data.
PLANES_SHA256 = "4ecd51812fddcb31a94688d92a9299c0862deeff589da12a648620d8c25c66e2"
MEMBER_MD5 = {  # of the archive's pickles, as torchvision lists them; the last one is the test split
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
LARGEST = 1 << 25  # bytes of a pickle: each has 31 million
NAMES = ("cifar10.npy", "cifar10.npz", download.ARCHIVE)  # of files that must be right if they are there
Splits = dict[str, tuple[np.ndarray, np.ndarray]]  # images (N, 32, 32, 3) and labels (N,) by the split's name


class SourceError(Exception):
    """What a file should have held and what it holds."""


def candidates(folder: Path) -> list[Path]:
    """What may hold CIFAR-10 in a folder: files of the names above, the archive's unpacked folder, and others.

    Those are called `cifar*`, in letters of any size, or are as large as the archive.
    """
    named = [folder / name for name in NAMES]
    cifar = "[cC][iI][fF][aA][rR]*"
    patterns = ("data_batch_1", f"{cifar}/data_batch_1", f"{cifar}/*/data_batch_1")
    unpacked = [path.parent for pattern in patterns for path in sorted(folder.glob(pattern))]
    files = [path for path in sorted(folder.glob("[!.]*")) if path.is_file() and path.suffix != ".part"]
    others = [path for path in files if path.name.lower().startswith("cifar") or path.stat().st_size == download.SIZE]
    return [path for path in named if path.exists()] + unpacked + [path for path in others if path not in named]


def read(path: Path) -> np.ndarray:
    """The rows from one of the `candidates`.

    A folder has the archive's pickles, an .npz what `np.savez` wrote, an .npy is a cache of the first versions, a .tar
    the archive unzipped. Anything else should be the archive itself, under any name.

    Raises:
        SourceError: it does not hold CIFAR-10.
    """
    if path.is_dir():
        return canonical(_splits((name, (path / name).read_bytes()) for name in MEMBER_MD5 if (path / name).exists()))
    return canonical({".npz": _npz, ".npy": _planes, ".tar": _tar}.get(path.suffix, _archive)(path))


def mapped(path: Path, sha256: str) -> np.ndarray:
    """The rows of a .npy file through a memory map, opened once its bytes are right; else SourceError."""
    size, found = path.stat().st_size, "another"
    if size == BYTES:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise SourceError(f"expected {BYTES:,} bytes with SHA-256 {sha256}, found {size:,} with {found}")
    return np.load(path, mmap_mode="r", allow_pickle=False)


def canonical(splits: Splits) -> np.ndarray:
    """The rows from images and labels in any order within the classes, checked."""
    parts = []
    for name, (images, labels) in splits.items():
        pairs = np.empty(len(labels), [("label", "u1"), ("digest", ">u8")])
        digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
        pairs["label"], pairs["digest"] = labels, np.frombuffer(b"".join(digests), ">u8")
        order = np.lexsort((pairs["digest"], pairs["label"]))
        found = hashlib.sha256(pairs[order]).hexdigest()
        if found != FINGERPRINTS[name]:
            raise SourceError(
                f"its {name} images and labels are not CIFAR-10's: expected fingerprint {FINGERPRINTS[name]}, "
                f"found {found}"
            )
        part = np.empty((len(labels), 1 + images[0].size), np.uint8)
        part[:, 0] = labels
        part[np.argsort(labels, kind="stable"), 1:] = images[order].reshape(len(labels), -1)
        parts.append(part)
    rows = np.concatenate(parts)
    digest = hashlib.sha256(header(*rows.shape))
    digest.update(rows)
    if digest.hexdigest() != SHA256:
        raise SourceError("expected the labels in their official order, found another order")
    return rows


def _npz(path: Path) -> Splits:
    """What `np.savez` wrote, read without pickles; a member that is far too large is not even unpacked."""
    try:
        with zipfile.ZipFile(path) as file:
            if large := [member.filename for member in file.infolist() if member.file_size > BYTES]:
                raise SourceError(f"expected members of at most {BYTES:,} bytes, found a larger one, {large[0]}")
        with np.load(path, allow_pickle=False) as arrays:
            splits = {name: (arrays[f"{name}_images"], arrays[f"{name}_labels"]) for name in SIZES}
    except SourceError:
        raise
    except Exception as error:  # of many kinds, where hostile bytes meet zipfile
        raise SourceError(f"expected a whole .npz file of CIFAR-10, found a broken one ({error})") from error
    for name, (images, labels) in splits.items():
        size = SIZES[name]
        right = (images.dtype, images.shape, labels.shape) == (np.uint8, (size, 32, 32, 3), (size,))
        if not right or labels.dtype.kind not in "iu":
            raise SourceError(f"expected {size:,} {name} images, uint8 of 32 x 32 x 3, and as many whole labels; found "
                              f"{images.dtype} of shape {images.shape} and labels, {labels.dtype} of shape "
                              f"{labels.shape}")
    return splits


def _planes(path: Path) -> Splits:
    """A cache of the first versions."""
    rows = mapped(path, PLANES_SHA256)
    images, labels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0]
    cut = SIZES["train"]
    return {"train": (images[:cut], labels[:cut]), "test": (images[cut:], labels[cut:])}


def _archive(path: Path) -> Splits:
    """The original archive, opened once its size and MD5 are right."""
    size = path.stat().st_size
    found = download.md5(path) if size == download.SIZE else "another"
    if found != download.MD5:
        raise SourceError(
            f"expected {download.SIZE:,} bytes with MD5 {download.MD5}, found {size:,} bytes with {found}"
        )
    return _splits(_members(path, "r|gz"))


def _tar(path: Path) -> Splits:
    try:
        return _splits(_members(path, "r|"))
    except SourceError:
        raise
    except Exception as error:  # of many kinds, where hostile bytes meet tarfile
        raise SourceError(f"expected a whole .tar of CIFAR-10, found a broken one ({error})") from error


def _members(path: Path, mode: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of the pickles in a tar file, read in memory, in one pass."""
    with tarfile.open(path, mode) as file:
        for member in file:
            name = Path(member.name).name
            if name in MEMBER_MD5 and member.isfile():
                yield name, file.extractfile(member).read(LARGEST)


def _splits(pickles: Iterable[tuple[str, bytes]]) -> Splits:
    """From the archive's pickles by name, each opened once its MD5 is right."""
    batches = {}
    for name, content in pickles:
        found = hashlib.md5(content).hexdigest()
        if found != MEMBER_MD5[name]:
            raise SourceError(f"expected {name} with MD5 {MEMBER_MD5[name]}, found {found}")
        batches[name] = _Arrays(io.BytesIO(content), encoding="bytes").load()
    if missing := ", ".join(name for name in MEMBER_MD5 if name not in batches):
        raise SourceError(f"expected {len(MEMBER_MD5)} batches, found no {missing}")

    def joined(*names: str) -> tuple[np.ndarray, np.ndarray]:
        planes = np.concatenate([batches[name][b"data"] for name in names])
        labels = np.concatenate([batches[name][b"labels"] for name in names])
        return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels

    *train, test = MEMBER_MD5
    return {"train": joined(*train), "test": joined(test)}


class _Arrays(pickle.Unpickler):
    """Builds arrays and plain values, and calls nothing else: the MD5 is trusted, but not with everything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
        }:
            raise SourceError(f"its pickles call {module}.{name}")
        return super().find_class(module.replace(".core", "._core"), name)
