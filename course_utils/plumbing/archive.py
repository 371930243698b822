"""Reads CIFAR-10 from the files that people have, trusting none of them, into one canonical array of rows.

A row is an image: its label, then its 32 x 32 x 3 pixels, uint8; 50,000 train rows, then 10,000 test rows. Labels
keep their official sequence, and the k-th place of a class takes the class's k-th image in the order of digests: the
rows are the same bytes from every source, and one SHA-256 tells whether they are right.
"""

import hashlib
import io
import math
import pickle
import tarfile
import zipfile
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
BATCHES = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}
Splits = dict[str, tuple[np.ndarray, np.ndarray]]  # images (N, 32, 32, 3) and labels (N,) by the split's name


class SourceError(Exception):
    """What a file should have held and what it holds."""


def read(path: Path) -> np.ndarray:
    """The rows from a `cifar10.npz`, from the original archive or from a cache of the first versions (.npy).

    Raises:
        SourceError: the file is not what its name says.
    """
    return canonical({".npz": _npz, ".npy": _planes}.get(path.suffix, _archive)(path))


def mapped(path: Path, sha256: str) -> np.ndarray:
    """The rows of a .npy file through a memory map, opened once its bytes are right; else SourceError."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise SourceError(
            f"expected {BYTES:,} bytes with SHA-256 {sha256}, found {path.stat().st_size:,} with {found}"
        )
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
    """What `np.savez` wrote. Each member must be as long as expected and begin as expected: nothing is parsed."""
    try:
        with zipfile.ZipFile(path) as file:
            return {
                name: (
                    _member(file, f"{name}_images.npy", (size, 32, 32, 3)),
                    _member(file, f"{name}_labels.npy", (size,)),
                )
                for name, size in SIZES.items()
            }
    except SourceError:
        raise
    except Exception as error:  # of many kinds, where hostile bytes meet zipfile
        raise SourceError(f"expected a whole .npz file of CIFAR-10, found a broken one ({error})") from error


def _member(file: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> np.ndarray:
    start = header(*shape)
    size, found = len(start) + math.prod(shape), file.getinfo(name).file_size
    with file.open(name) as member:
        data = member.read(size) if found == size else b""
    if len(data) != size or not data.startswith(start):
        raise SourceError(f"expected {name} to be uint8 of shape {shape}, found another one ({found:,} bytes)")
    return np.frombuffer(data, np.uint8, offset=len(start)).reshape(shape)


def _planes(path: Path) -> Splits:
    """A cache of the first versions."""
    rows = mapped(path, PLANES_SHA256)
    images, labels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0]
    cut = SIZES["train"]
    return {"train": (images[:cut], labels[:cut]), "test": (images[cut:], labels[cut:])}


def _archive(path: Path) -> Splits:
    """The original archive, its members read in memory, one pass, once its size and MD5 are right."""
    size = path.stat().st_size
    found = download.md5(path) if size == download.SIZE else "another"
    if found != download.MD5:
        raise SourceError(
            f"expected {download.SIZE:,} bytes with MD5 {download.MD5}, found {size:,} bytes with {found}"
        )
    batches = {}
    with tarfile.open(path, "r|gz") as file:
        for member in file:
            name = Path(member.name).name
            if name in sum(BATCHES.values(), []):
                batches[name] = _Arrays(file.extractfile(member), encoding="bytes").load()
    return {
        split: (
            np.concatenate([batches[name][b"data"] for name in names]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1),
            np.concatenate([batches[name][b"labels"] for name in names]),
        )
        for split, names in BATCHES.items()
    }


class _Arrays(pickle.Unpickler):
    """Builds arrays and plain values, and calls nothing else: the MD5 is trusted, but not with everything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
        }:
            raise SourceError(f"its pickles call {module}.{name}")
        return super().find_class(module.replace(".core", "._core"), name)
