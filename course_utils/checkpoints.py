"""Checkpoints: the state of a run after an epoch, written whole or not at all, read without running code.

The file is what `torch.save` writes, then its SHA-256: `torch.load` alone would not notice a flipped bit.
"""

import hashlib
import io
import re
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch

from course_utils.plumbing.files import DISK_FULL, PARTIAL, write_atomically
from course_utils.records import Run

KEPT = 2
DIGEST_BYTES = 32


class CheckpointError(Exception):
    """A checkpoint that cannot be written, is damaged or belongs to another run."""


def save_checkpoint(run: Run, state: dict[str, Any], folder: str | Path) -> None:
    """Write the `state` after an epoch, tensors and plain values, and the record; keep the last two checkpoints."""
    folder, buffer = Path(folder), io.BytesIO()
    torch.save(_plain(state | {"run": asdict(run)}), buffer)
    content = buffer.getvalue()
    path = folder / f"checkpoint-{len(run.curve):04d}.pt"
    try:
        write_atomically(path, content + hashlib.sha256(content).digest())
        run.save(folder / "run.json")
    except OSError as error:
        advice = "make room and start again" if error.errno in DISK_FULL else "start again"
        raise CheckpointError(f"{path} cannot be written ({error.strerror}); what was there before is whole: {advice} "
                              "to go on from it") from error
    with suppress(OSError):  # on Windows, of a file that another program has open: the next epoch tries again
        _tidy(folder)


def resume(run: Run, load_state: Callable[[dict[str, Any]], None], folder: str | Path) -> None:
    """Take up the latest checkpoint in `folder`, if there is one: fill in `run`, and give the state to `load_state`.

    Raises CheckpointError where it is damaged or belongs to another run, and warns where other hardware began it.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        with tempfile.TemporaryFile(dir=folder):  # to know now what else would be known after an epoch
            pass
    except OSError as error:
        raise CheckpointError(f"{folder} cannot hold checkpoints ({error.strerror}); choose another folder") from error
    found = _by_epoch(folder)
    if not found:
        return
    path = found[-1]
    try:
        content = path.read_bytes()
        content, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise ValueError("its checksum does not match")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)  # runs no code
        before = Run.from_json(state.pop("run"))
    except Exception as error:  # a damaged file raises almost anything
        raise CheckpointError(f"{path} is not a readable checkpoint ({_reason(error)}): expected what `fit` wrote "
                              "there; delete it to go on from the one before it, or choose another folder") from None
    ours, theirs = asdict(run), asdict(before)
    for part in ("recipe", "model", "data"):
        difference = _difference(theirs[part], ours[part])
        if difference:
            raise CheckpointError(f"{path} belongs to a run whose {part} differs ({difference}); choose another "
                                  f"folder, or empty {folder} to start afresh")
    if difference := _difference(theirs["hardware"], ours["hardware"]):
        warnings.warn(f"{path} was made on other hardware ({difference}): the record will name this machine, though "
                      "its seconds are of both", stacklevel=3)
    try:
        load_state(state)
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} does not fit this run ({_reason(error)}); choose another folder, "
                              f"or empty {folder} to start afresh") from None
    run.curve, run.result, run.seconds, run.started = before.curve, before.result, before.seconds, before.started


def _plain(value: Any) -> Any:
    """`value` with NumPy's numbers as Python's: `torch.load` reads no others without running code."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {key: _plain(each) for key, each in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _by_epoch(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the earliest first."""
    numbers = {path: re.fullmatch(r"checkpoint-(\d{4,})\.pt", path.name) for path in folder.glob("checkpoint-*.pt")}
    return sorted((path for path in numbers if numbers[path]), key=lambda path: int(numbers[path][1]))


def _tidy(folder: Path) -> None:
    """Drop all but the last two checkpoints, and what a killed process left half-written."""
    for path in [*_by_epoch(folder)[:-KEPT], *folder.glob(f"{PARTIAL}*")]:
        path.unlink(missing_ok=True)


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The entries that differ and how: "epochs 6, here 10"."""
    return ", ".join(
        f"{key} {shorten(repr(theirs.get(key)), 60)}, here {shorten(repr(ours.get(key)), 60)}"
        for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key))


def _reason(error: Exception) -> str:
    """What an error says, on one short line."""
    return shorten(f"{type(error).__name__}: {error}", 120)
