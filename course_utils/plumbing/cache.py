"""The cache of CIFAR-10: one file that cannot run code, made from whatever form of the data lies in its folder.

Its rows are as in `archive`. It is opened through a memory map, and its SHA-256 is checked each time.
"""

import errno
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from course_utils.plumbing import archive, download
from course_utils.plumbing.files import DISK_FULL, PARTIAL, alone_in, write_atomically

CACHE = "cifar10-hwc.npy"
OLD_CACHE, PART = "cifar10.npy", f"{download.ARCHIVE}.part"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


class DataError(Exception):
    """The data can't be had. One clear line: what was wrong, what was expected, what to do."""


class OutOfReach(DataError):
    """No mirror gave the data."""


def labels_and_images(folder: Path, mirrors: list[str], patient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels int64 (60,000,) and images uint8 (60,000, 32, 32, 3), train before test, from the cache in `folder`.

    Where there is none it is made first, from what lies there or else from one of `mirrors`; unless `patient`, they
    are asked first who answers at once.

    Raises DataError where what lies there is not CIFAR-10 or the folder can't be read or written, and OutOfReach where
    no mirror gave the data.
    """
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise DataError(f"mirror {mirror!r} is not an address; expected one that begins with https:// or http://")
    try:
        if folder.is_file():
            raise DataError(f"{folder} is a file; expected a folder: name the one that holds it, {folder.parent}")
        labels, rows = _labels_and_rows(folder, mirrors, patient)
    except download.DownloadError as error:
        advice = f"put {download.ARCHIVE} into {folder}, or name a mirror in the environment variable COURSE_MIRRORS"
        for path, why in read(folder)[1].items():
            advice += f"; {path} was not read: {why}"
        raise OutOfReach(f"{error}; {advice}") from error
    except OSError as error:
        raise DataError(
            f"can't prepare CIFAR-10 in {folder}: {error.strerror or error}; expected a folder to read and write with "
            "0.4 GB free: make room, or name another folder in the environment variable COURSE_DATA"
        ) from error
    return labels.astype(np.int64), rows[:, 1:].reshape(-1, 32, 32, 3)


def _labels_and_rows(folder: Path, mirrors: list[str], patient: bool) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and rows of label and image, of the cache in `folder`, which is made first where there is none."""
    cache, part = folder / CACHE, folder / PART
    if cache.exists():
        return _open_cache(cache)
    rows, refused = read(folder)
    if rows is None:
        for source, why in refused.items():
            if source.name in archive.NAMES:
                raise DataError(f"{source} is refused: {why}; replace it, or remove it to download")
        if not patient and not (part.exists() and part.stat().st_size >= download.SIZE):
            mirrors = download.reachable(mirrors)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder, lambda: print(f"Another process prepares CIFAR-10 in {folder}: waiting for it",
                                        file=sys.stderr)):
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


def read(folder: Path) -> tuple[np.ndarray | None, dict[Path, str]]:
    """The rows from what lies in `folder`, None if nothing is good, and why each file that was looked at is not."""
    refused = {}
    for source in archive.candidates(folder):
        try:
            return archive.read(source), refused
        except (archive.SourceError, OSError) as error:
            refused[source] = str(error)
    return None, refused


def _open_cache(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        rows = archive.mapped(path, archive.SHA256)
    except archive.SourceError as error:
        raise DataError(f"{path} is damaged: {error}; delete it and load again") from error
    # Reading the labels brings every page of a mapping into memory. So they have one of their own, which is let go.
    labels = np.load(path, mmap_mode="r", allow_pickle=False)[:, 0]
    return np.array(labels), np.asarray(rows)
