"""Fixtures for all tests: the real data where COURSE_DATA has it, and a small fake of it for everything else."""

import os
from pathlib import Path

import fake_cifar
import pytest


@pytest.fixture(scope="session")
def real_root() -> Path:
    """A folder with the real CIFAR-10, never to be downloaded for a test."""
    root = Path(os.environ.get("COURSE_DATA", "nowhere"))
    sources = ("cifar10-hwc.npy", "cifar10.npy", "cifar10.npz", "cifar-10-python.tar.gz")
    if not any((root / name).exists() for name in sources):
        pytest.skip("no CIFAR-10 in the folder that COURSE_DATA names")
    return root


@pytest.fixture(scope="session")
def fake_archive() -> bytes:
    return fake_cifar.archive()


@pytest.fixture
def fake(monkeypatch, fake_archive) -> bytes:
    """The package takes 600 random images for CIFAR-10; the value is their archive."""
    for (module, name), value in fake_cifar.constants(fake_archive).items():
        monkeypatch.setattr(module, name, value)
    return fake_archive
