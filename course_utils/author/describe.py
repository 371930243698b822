"""What `course data` says of the data."""

from pathlib import Path

import numpy as np

from course_utils.data import Dataset, root_folder
from course_utils.plumbing.cache import CACHE


def describe(dataset: Dataset, root: str | Path | None = None) -> str:
    """What was loaded, for people: name, file, counts, mean and std of the train pixels, fingerprint."""
    counts = np.zeros((3, 256))
    for images in np.array_split(dataset.train.images, 20):
        counts += [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    share, value = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
    mean = share @ value
    std = np.sqrt(share @ value**2 - mean**2)
    kept_at = root_folder(root) / CACHE
    kept = dataset.name == "CIFAR-10" and kept_at.exists()
    return "\n".join([
        f"{dataset.name}: {len(dataset.train):,} train and {len(dataset.test):,} test images, "
        f"{len(dataset.classes)} classes: {', '.join(dataset.classes)}",
        f"file: {kept_at} ({kept_at.stat().st_size:,} bytes)" if kept else "file: none, held in memory",
        f"train mean: {', '.join(f'{m:.4f}' for m in mean)}   std: {', '.join(f'{s:.4f}' for s in std)}",
        f"fingerprint: SHA-256 {dataset.fingerprint}",
    ])
