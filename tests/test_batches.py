"""Batches: every image that comes out is one that could be made by hand from one that went in."""

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import CPU, pixel_values, random_split
from torchvision.transforms import v2

from course_utils.batches import Augmentation, Batches, shrunk, shrunk_by_products, squares, which_flip, windows
from course_utils.data import MEAN, STD, Split
from course_utils.machine import Machine

SPLIT = random_split(96)
RAW = torch.tensor(SPLIT.images).permute(0, 3, 1, 2)


def numbered(n: int = 64) -> Split:
    """Images that carry their number in every pixel, so that any part of one identifies it."""
    return Split(np.tile(np.arange(n, dtype=np.uint8)[:, None, None, None], (1, 32, 32, 3)), np.arange(n))


def pixels(split: Split, augmentation: Augmentation, batch_size: int, epoch: int = 0, seed: int = 0) -> torch.Tensor:
    """A whole epoch with the normalisation undone: whole pixel values, except where cutout wrote zeros."""
    batches = Batches(split, batch_size, CPU, augmentation, seed)
    return pixel_values(torch.cat([images for images, _ in batches.epoch(epoch)]))


def order(seed: int, epoch: int, batch_size: int = 10) -> list[int]:
    return pixels(numbered(), Augmentation(), batch_size, epoch, seed)[:, 0, 0, 0].round().int().tolist()


def test_normalisation_agrees_with_torchvisions():
    ours = torch.cat([images for images, _ in Batches(SPLIT, 32, CPU)])
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])(RAW)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("flip", [None, "random", "half"])
def test_every_augmented_image_is_a_window_of_its_padded_source(flip):
    border, split = 4, SPLIT.first(10)  # one image of each class: the label tells the source
    padded = F.pad(torch.tensor(split.images).permute(0, 3, 1, 2).float(), (border,) * 4, mode="reflect")
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)  # (10, 81, 3, 32, 32)
    source = {label: torch.cat([windows[i], windows[i].flip(-1)]) for i, label in enumerate(split.labels.tolist())}
    batches = Batches(split, 5, CPU, Augmentation(flip, border))
    seen = []
    for epoch in range(4):
        for images, labels in batches.epoch(epoch):
            for image, label in zip(pixel_values(images).round(), labels.tolist(), strict=True):
                here = (source[label] == image).flatten(1).all(1).nonzero().flatten().tolist()
                assert len(here) == 1, "not exactly one window of its source"
                seen += here
    assert len(set(seen)) > 20, "every image should have its own draw"
    assert any(place >= 81 for place in seen) == bool(flip)


@pytest.mark.parametrize("border", [1, 4, 31])
def test_a_crop_is_reflection_padding_and_slicing(border):
    """For every offset there is, against torch's own padding of a row of pixels."""
    axis = torch.arange(32)
    padded = F.pad(axis.float()[None, None], (border, border), mode="reflect")[0, 0]
    rows = windows(5000, border, torch.Generator().manual_seed(0)).float()
    possible = {tuple(padded[start : start + 32].tolist()) for start in range(2 * border + 1)}
    assert {tuple(row.tolist()) for row in rows} == possible


def test_offsets_are_uniform():
    rows = windows(9000, 4, torch.Generator().manual_seed(1))
    possible = F.pad(torch.arange(32.0)[None, None], (4, 4), mode="reflect")[0, 0].unfold(0, 32, 1)
    counts = (rows[:, None] == possible).all(2).sum(0)
    assert counts.sum() == 9000
    assert ((counts - 1000).abs() < 5 * 1000**0.5).all()


def test_random_flip_is_a_fair_coin_per_image():
    flips = which_flip(10_000, "random", torch.Generator().manual_seed(0))
    assert abs(flips.sum().item() - 5000) < 5 * 50
    pairs = flips.view(-1, 2)
    assert abs((pairs[:, 0] == pairs[:, 1]).sum().item() - 2500) < 5 * 36  # neighbours know nothing of each other


def test_half_flip_mirrors_exactly_half_of_each_batch_and_never_the_same_half():
    slope = Split(np.tile(np.arange(32, dtype=np.uint8)[:, None], (96, 32, 1, 3)), np.zeros(96, np.int64))
    flipped = pixels(slope, Augmentation("half"), 24)[:, 0, 0, 0] > 15
    assert flipped.view(4, 24).sum(1).tolist() == [12] * 4
    assert len({tuple(row) for row in flipped.view(4, 24).tolist()}) == 4
    assert which_flip(7, "half", torch.Generator()).sum() == 3


def test_cutout_zeroes_one_square_of_normalised_pixels_inside_the_image():
    white = Split(np.full((96, 32, 32, 3), 255, np.uint8), np.zeros(96, np.int64))
    images = torch.cat([images for images, _ in Batches(white, 32, CPU, Augmentation(cutout=8)).epoch(0)])
    holes = images == 0
    assert (holes == holes[:, :1]).all()  # the same in each channel
    holes = holes[:, 0]
    assert (holes.sum((1, 2)) == 64).all()
    assert (holes.any(1).sum(1) == 8).all()
    assert (holes.any(2).sum(1) == 8).all()
    assert len({tuple(h.flatten().nonzero()[0].tolist()) for h in holes}) > 60


def test_a_smaller_picture_is_torchvisions_resize_of_the_whole_augmented_one():
    everything = Batches(SPLIT, 32, CPU, Augmentation("random", 4))
    whole, small = (torch.cat([images for images, _ in everything.epoch(3, side)]) for side in (32, 20))
    assert small.is_contiguous(memory_format=torch.channels_last)
    theirs = v2.functional.resize(pixel_values(whole).round().byte(), [20, 20], antialias=True)
    assert torch.equal(pixel_values(small).round().byte(), theirs)


def test_images_in_floating_point_are_shrunk_too():
    prepared = Split((SPLIT.images / 64 - 1).astype(np.float16), SPLIT.labels)
    images, _ = next(Batches(prepared, 96, CPU).epoch(0, 16))
    assert images.dtype == torch.float32
    # Halving is a tent over four pixels a side: (1, 3, 3, 1) / 8, away from the edges.
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    planes = torch.tensor(prepared.images).permute(0, 3, 1, 2).float().flatten(0, 1)[:, None]
    by_hand = F.conv2d(planes, tent.outer(tent)[None, None], stride=2, padding=1).view(96, 3, 16, 16)
    torch.testing.assert_close(images[:, :, 1:-1, 1:-1], by_hand[:, :, 1:-1, 1:-1], rtol=0, atol=2e-3)


@pytest.mark.parametrize("side", [28, 17, 2])
def test_products_shrink_an_image_as_the_kernel_does(side):
    weights = v2.functional.resize(torch.eye(32)[None], [side, 32])[0]
    by_kernel, by_products = shrunk(RAW, side), shrunk_by_products(RAW, weights)
    assert by_products.dtype == torch.uint8
    assert (by_products.int() - by_kernel.int()).abs().max() <= 1
    torch.testing.assert_close(shrunk_by_products(RAW.float(), weights), shrunk(RAW.float(), side), rtol=0, atol=1e-3)


def test_brightness_and_contrast_change_an_image_as_a_whole_within_their_bounds():
    split = random_split(200)
    plain = next(iter(Batches(split, 200, CPU, Augmentation(), seed=1)))[0]
    changed = next(iter(Batches(split, 200, CPU, Augmentation(brightness=0.3, contrast=0.1), seed=1)))[0]
    flat, after = plain.flatten(1).double(), changed.flatten(1).double()
    factor = after.std(1) / flat.std(1)
    shift = after.mean(1) / factor - flat.mean(1)
    torch.testing.assert_close(after, (flat + shift[:, None]) * factor[:, None], atol=1e-5, rtol=1e-5)
    for drawn, middle, bound in ((factor, 1, 0.1), (shift, 0, 0.3)):
        assert (drawn - middle).abs().max() <= bound + 1e-4
        assert (drawn - middle).abs().max() > 0.95 * bound and abs(drawn.mean() - middle) < 0.15 * bound


@pytest.mark.parametrize("name", ["brightness", "contrast"])
def test_a_change_of_brightness_or_contrast_out_of_bounds_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} 1.5 is not in \[0, 1\)"):
        Augmentation(**{name: 1.5})


def test_cutout_is_as_large_in_a_smaller_picture():
    white = Split(np.full((96, 32, 32, 3), 255, np.uint8), np.zeros(96, np.int64))
    images, _ = next(Batches(white, 96, CPU, Augmentation(cutout=8)).epoch(0, 20))
    assert images.shape == (96, 3, 20, 20)
    assert ((images == 0).all(1).sum((1, 2)) == 64).all()


@pytest.mark.parametrize(("side", "cutout", "smallest"), [(0, 0, 1), (33, 0, 1), (7, 8, 8)])
def test_a_picture_larger_than_the_image_or_too_small_is_refused(side, cutout, smallest):
    with pytest.raises(ValueError, match=f"pictures of {side} pixels from images of 32: choose {smallest} to 32"):
        next(Batches(SPLIT, 32, CPU, Augmentation(cutout=cutout)).epoch(0, side))


def test_a_share_of_small_pictures_is_part_of_the_whole_batch():
    augmentation = Augmentation("random", 4, 8, 0.3, 0.1)
    both = [Batches(SPLIT, 32, CPU, augmentation, share=share) for share in (slice(None), slice(8, 16))]
    whole, part = (next(batches.epoch(1, 20))[0] for batches in both)
    assert torch.equal(part, whole[8:16])


def test_cutout_is_uniform_over_its_places():
    corners = squares(20_000, 8, torch.Generator().manual_seed(0)).flatten(1).int().argmax(1)
    for position in (corners // 32, corners % 32):
        counts = torch.bincount(position, minlength=25)
        assert len(counts) == 25
        assert ((counts - 800).abs() < 5 * 800**0.5).all()


def test_an_epoch_holds_every_image_at_most_once_in_an_order_of_its_own():
    first, second = order(0, 0), order(0, 1)
    assert len(first) == 60  # of 64: the short batch is dropped
    assert len(set(first)) == 60
    assert set(first) <= set(range(64))
    assert first != second
    assert first != sorted(first)
    assert first == order(0, 0)
    assert first != order(1, 0)
    assert set(first) != set(second), "what is dropped should change"


@pytest.mark.parametrize(("augmentation", "share", "digest"), [
    (None, slice(None), "122eddbfe4c85cf2"),
    (Augmentation("random", 4), slice(None), "c390378c64c623ec"),
    (Augmentation("half", 31, 8), slice(None), "3bd2dc910f98390e"),
    (Augmentation("alternating", 2, 12), slice(None), "883a00d29f6acc97"),
    (Augmentation("alternating", 2, 12), slice(8, 16), "23d6ef4a74533a52"),
])
def test_a_seed_gives_the_batches_of_the_recorded_runs(augmentation, share, digest):
    batches, found = Batches(SPLIT, 32, CPU, augmentation, 7, share), hashlib.sha256()
    for epoch in (0, 3):
        for images, labels in batches.epoch(epoch):
            found.update(pixel_values(images).round().byte().contiguous().numpy())
            found.update(labels.numpy())
    assert found.hexdigest()[:16] == digest


def test_draws_depend_on_seed_and_epoch_alone():
    everything = Augmentation("random", 4, 8)
    again = pixels(SPLIT, everything, 32, epoch=2, seed=7)
    torch.rand(1)
    assert torch.equal(again, pixels(SPLIT, everything, 32, epoch=2, seed=7))
    assert not torch.equal(again, pixels(SPLIT, everything, 32, epoch=3, seed=7))
    assert not torch.equal(again, pixels(SPLIT, everything, 32, epoch=2, seed=8))


def test_evaluation_is_in_order_and_complete():
    batches = Batches(SPLIT, 40, CPU)
    sizes, labels = zip(*((len(images), labels) for images, labels in batches), strict=True)
    assert sizes == (40, 40, 16)
    assert len(batches) == 3
    assert torch.equal(torch.cat(labels), torch.from_numpy(SPLIT.labels.copy()))
    assert len(Batches(SPLIT, 40, CPU, Augmentation())) == 2


def test_batches_are_float32_channels_last_with_int64_labels():
    for augmentation in (None, Augmentation("random", 4, 8)):
        images, labels = next(Batches(SPLIT, 32, CPU, augmentation).epoch(0))
        assert images.shape == (32, 3, 32, 32)
        assert images.dtype == torch.float32
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert labels.dtype == torch.int64


def test_images_in_floating_point_are_left_as_they_are():
    prepared = Split((SPLIT.images / 64 - 1).astype(np.float16), SPLIT.labels)
    images = torch.cat([images for images, _ in Batches(prepared, 32, CPU)])
    assert images.dtype == torch.float32
    assert torch.equal(images, torch.tensor(prepared.images).permute(0, 3, 1, 2).float())


def test_the_split_is_neither_changed_nor_shared():
    before = SPLIT.images.copy()
    batches = Batches(SPLIT, 32, CPU, Augmentation("half", 4, 8))
    for images, _ in batches.epoch(0):
        images.zero_()
    assert np.array_equal(SPLIT.images, before)
    batches.pixels.zero_()
    assert np.array_equal(SPLIT.images, before)


def zeros(*shape: int) -> Split:
    return Split(np.zeros(shape, np.uint8), np.zeros(shape[0], np.int64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Batches(zeros(5, 3, 32, 32), 2, CPU), r"\(5, 3, 32, 32\)"),
        (lambda: Batches(zeros(5, 28, 28, 3), 2, CPU), "28"),
        (lambda: Batches(zeros(3, 32, 32), 2, CPU), r"\(3, 32, 32\)"),
        (lambda: Batches(Split(SPLIT.images, SPLIT.labels[:-1]), 2, CPU), "labels"),
        (lambda: Batches(SPLIT, 97, CPU, Augmentation()), "97 for 96 images"),
        (lambda: Batches(SPLIT, 0, CPU), "batch size of 0"),
        (lambda: Augmentation("sometimes"), "'sometimes'"),
        (lambda: Augmentation(crop=32), "crop of 32"),
        (lambda: Augmentation(crop=-1), "crop of -1"),
        (lambda: Augmentation(cutout=40), "cutout of 40"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as refusal:
        make()
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_holds_the_data_and_makes_the_same_kind_of_batch():
    machine = Machine(torch.device("cuda"), torch.bfloat16)
    images, labels = next(Batches(SPLIT, 32, machine, Augmentation("half", 4, 8)).epoch(0))
    assert images.is_cuda
    assert labels.is_cuda
    assert ((images == 0).all(1).sum((1, 2)) == 64).all()
