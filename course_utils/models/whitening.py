"""Filters that whiten the patches of images: the fixed first layers of DavidNet and of the speedrun."""

import torch
from torch import Tensor


def whitening_filters(images: Tensor, size: int, eps: float) -> Tensor:
    """Filters (3 * size**2, 3, size, size) that turn the patches of `images` (N, 3, H, W) into uncorrelated numbers.

    They are the eigenvectors of the patches' uncentred covariance, the largest eigenvalue first, each divided by the
    square root of its eigenvalue + `eps`. `eps` keeps directions of hardly any variance, mostly noise, from being
    blown up.
    """
    length = images.shape[1] * size * size
    total, count = torch.zeros(length, length, dtype=torch.float64), 0
    for part in images.split(500):  # all patches of 10,000 images at once would take a gigabyte
        windows = part.float().unfold(2, size, 1).unfold(3, size, 1)  # (N, 3, rows, columns, size, size)
        patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, length)
        total += (patches.T @ patches).cpu().double()  # not every accelerator has float64
        count += len(patches)
    values, vectors = torch.linalg.eigh(total / count)  # ascending; eigenvectors in columns
    filters = (vectors / (values + eps).sqrt()).flip(1).T
    return filters.reshape(length, images.shape[1], size, size).to(images.device, torch.float32)
