"""The processor as the system describes it, and the C library's memory."""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

import torch

CPUINFO = Path("/proc/cpuinfo")
CONTROL_GROUP = Path("/sys/fs/cgroup")  # as a container sees its own


def field(name: str) -> str:
    """What Linux says of the first core under `name`, such as "model name"; empty on other systems."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


@cache
def flags() -> frozenset[str]:
    """Instruction sets of an x86 processor as Linux names them; PyTorch knows them where Linux doesn't say."""
    if found := field("flags"):
        return frozenset(found.split())
    capabilities = {name for name, has in torch.cpu.get_capabilities().items() if has is True}
    return frozenset("avx512f" if name == "avx512_f" else name for name in capabilities)


def usable_cores() -> int:
    """The cores that this process may use: those of its affinity, fewer where a container's quota leaves less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CONTROL_GROUP / "cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no control groups of version 2, or no quota: "max"
        return cores


@cache
def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next step instead of returning it to the system.

    The activations of one step are freed at its end and wanted again a moment later; fetching the same pages anew
    from the kernel costs up to a third of a step. Returns whether the C library understood.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
