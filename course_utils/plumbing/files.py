"""Files that are written whole or not at all."""

import os
import secrets
from pathlib import Path

PARTIAL = ".partial-"  # how the name of a file begins while it is being written


def write_atomically(path: str | Path, *parts: bytes | memoryview) -> Path:
    """Write a file so that a reader, or a kill at any moment, sees the old content or the new, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Drawn, as two machines that share a folder may have processes of the same number.
    partial = path.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{path.name}")
    try:
        with open(partial, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path
