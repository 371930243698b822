"""What a kernel is started with so that PyTorch's threads bear other work beside them."""

import os

# PyTorch's threads on Linux meet at barriers of libgomp, and wait there by spinning for the others. Where something
# else runs too, the one that waits burns the core that the other needs, and training takes several times as long.
# After so many turns a thread sleeps instead. libgomp reads this once, as `import torch` loads it.
SPINNING = ("GOMP_SPINCOUNT", "1000")


def kernel_environment() -> dict[str, str]:
    """Variables for a process that trains, where the user has set none of their own."""
    name, turns = SPINNING
    return {name: os.environ.get(name, turns)}
