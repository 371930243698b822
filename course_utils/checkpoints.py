"""Checkpoints: the state of a run after an epoch, written whole or not at all, read without running code."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from course_utils.ledger import Run, write_atomically

KEPT = 2


class CheckpointError(Exception):
    """A checkpoint that is damaged or belongs to another run."""


class Stateful(Protocol):
    """What training changes, as one dictionary of tensors and plain values."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def save_checkpoint(run: Run, trainer: Stateful, folder: str | Path) -> None:
    """Write the state after an epoch and the record so far; drop all but the last two checkpoints."""
    folder, content = Path(folder), io.BytesIO()
    torch.save(trainer.state_dict() | {"run": asdict(run)}, content)
    write_atomically(folder / f"checkpoint-{len(run.curve):04d}.pt", content.getvalue())
    run.save(folder / "run.json")
    for old in sorted(folder.glob("checkpoint-*.pt"))[:-KEPT]:
        old.unlink()


def resume(run: Run, trainer: Stateful, folder: str | Path) -> None:
    """Take up the latest checkpoint in `folder`, if there is one; loading it never runs code."""
    found = sorted(Path(folder).glob("checkpoint-*.pt"))
    if not found:
        return
    path = found[-1]
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        before = Run(**state.pop("run"))
    except Exception as error:  # a damaged file raises almost anything
        raise CheckpointError(f"{path} is not a readable checkpoint ({type(error).__name__}): expected what `fit` wrote "
                              "there; delete it to go on from the one before it, or choose another folder") from None
    for part in ("recipe", "model", "data"):
        theirs, ours = getattr(before, part), getattr(run, part)
        if theirs != ours:
            names = ", ".join(k for k in ours if theirs.get(k) != ours[k])
            raise CheckpointError(f"{path} belongs to a run with another {part} ({names}); choose another folder, "
                                  "or delete this one to start afresh")
    try:
        trainer.load_state_dict(state)
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} does not fit this run ({type(error).__name__}); choose another folder, "
                              "or delete this one to start afresh") from None
    run.curve, run.result, run.seconds = before.curve, before.result, before.seconds
