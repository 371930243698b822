"""The stand-in: the same bytes everywhere, as many scenes of each kind, and nothing for a linear model to see."""

import hashlib

import numpy as np
import pytest

from course_utils import data
from course_utils.plumbing import synthetic


def test_the_whole_stand_in_has_the_same_bytes_everywhere():
    dataset = data.load("synthetic")
    assert dataset.name == "SYNTHETIC" and dataset.classes == synthetic.CLASSES and len(dataset.classes) == 10
    assert dataset.train.images.shape == (50_000, 32, 32, 3) and dataset.test.images.shape == (10_000, 32, 32, 3)
    assert dataset.train.images.dtype == np.uint8 and dataset.train.labels.dtype == np.int64
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert not dataset.train.images.flags.writeable
    digest = hashlib.sha256()
    for part in (dataset.train, dataset.test):
        digest.update(part.images.transpose(0, 3, 1, 2).tobytes())
    assert digest.hexdigest() == "0c53efcfe4dbcf0631d6a8c0e97673c553c9c5cc9bc89b16595a5f3e130aa8f2"
    assert dataset.fingerprint == "d0c989055f1dba408680d7b7ade837e37fb7dffd2fedae7ed4aaf3e15c466c8f"


def test_another_seed_draws_others_and_a_smaller_draw_is_as_balanced():
    drawn = data.stand_in(seed=1, train=1000, test=500)
    train, test = drawn.train, drawn.test
    assert np.bincount(train.labels).tolist() == [100] * 10 and np.bincount(test.labels).tolist() == [50] * 10
    assert not np.array_equal(train.images, data.stand_in(train=1000, test=500).train.images)
    assert len(np.unique(train.images.reshape(1000, -1), axis=0)) == 1000


def test_neither_mean_colour_nor_pixels_give_the_kind_away(capsys):
    linear_model = pytest.importorskip("sklearn.linear_model")
    dataset = data.stand_in(train=4000, test=2000)
    train, test = dataset.train, dataset.test
    for what, features in {
        "mean colour": lambda images: images.mean((1, 2)),
        "pixels": lambda images: images.reshape(len(images), -1),
    }.items():
        x, x_test = (features(part.images) / 255 - 0.5 for part in (train, test))
        model = linear_model.LogisticRegression(C=0.001, max_iter=300).fit(x, train.labels)
        accuracy = model.score(x_test, test.labels)
        with capsys.disabled():
            print(f"\nlogistic regression on {what} of the stand-in: {accuracy:.1%}")
        assert accuracy < 0.3
