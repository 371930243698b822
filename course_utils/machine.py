"""What this machine is and how to use it: device, precision, memory format, times."""

import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from course_utils.plumbing import processor
from course_utils.plumbing.distributed import take_own_accelerator, under_torchrun
from course_utils.records import Hardware

if not hasattr(torch.cpu, "get_capabilities"):
    raise ImportError(f"the course needs PyTorch 2.11 or later, and this is {torch.__version__}")

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

KERNELS = ("cpu", "cuda", "xpu")  # the devices that have every kernel of PyTorch, and those for channels last
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")


@dataclass(frozen=True)
class Machine:
    """Where and how a network is run; `precision` is that of autocast, parameters stay in float32.

    `compile` is a mode of `torch.compile` for the forward pass and loss of a training step, None for PyTorch as it is.
    "reduce-overhead" makes a CUDA graph of them on a GPU, which pays where small steps leave it waiting for Python.
    """

    device: torch.device
    precision: torch.dtype
    compile: str | None = None

    @property
    def precision_name(self) -> str:
        return str(self.precision).removeprefix("torch.")

    @property
    def memory_format(self) -> torch.memory_format:
        """Channels last where the fast kernels want it, in every precision: 1.1 to 1.5 times as fast in float32."""
        return torch.channels_last if self.device.type in KERNELS else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32)


def this_machine(device: str | None = None, precision: str | None = None, compile: str | None = None) -> Machine:
    """The machine at hand: its accelerator if it has one, and the precision that is fastest on it.

    Raises ValueError for an unknown device, precision or mode of `compile`, float16 on a TPU, and a TPU whose batch
    norm learns nothing.
    """
    if precision not in (None, *PRECISIONS):
        raise ValueError(f"precision {precision!r} is unknown: choose from {', '.join(PRECISIONS)}")
    if compile not in (None, *COMPILE_MODES):
        raise ValueError(f"mode {compile!r} of compile is unknown: choose from {', '.join(COMPILE_MODES)}")
    try:
        chosen = torch.device(device) if device else accelerator() or torch.device("cpu")
        take_own_accelerator(chosen)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        why = str(error).splitlines()[0]
        if under_torchrun():  # on the processor it would wait for the others for ever
            raise ValueError(f"this process has no accelerator of its own ({why}): start fewer") from None
        if device:
            raise ValueError(f"device {device!r} cannot be used here: {why}") from None
        warnings.warn(f"the accelerator cannot be used ({why}): going on with the processor", stacklevel=2)
        chosen = torch.device("cpu")
    if chosen.type == "tpu" and precision == "float16":
        raise ValueError("float16 needs its loss scaled, which a TPU cannot do: choose bfloat16 or float32")
    if chosen.type == "tpu" and not _averages_move(chosen):
        raise ValueError("batch norm never moves its running averages on this TPU, so nothing trained there could be "
                         "scored: install a newer torch-tpu, or none and train on the processor")
    return Machine(chosen, PRECISIONS[precision] if precision else fastest_precision(chosen), compile)


def accelerator() -> torch.device | None:
    """The device that PyTorch was built for, where there is one: cuda (AMD's GPUs too), mps, xpu or tpu."""
    return torch.accelerator.current_accelerator(check_available=True)


@cache
def _averages_move(device: torch.device) -> bool:
    """Whether batch norm in training moves its running averages; TorchTPU 0.2.0 leaves them at 0 and 1."""
    norm = torch.nn.BatchNorm2d(1).to(device)
    norm(torch.ones(2, 1, 1, 1, device=device))
    return norm.running_mean.item() != 0


def fastest_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster, else float16 on CUDA and float32 anywhere else.

    AMX multiplies bfloat16 many times faster than float32. Of the processors that have AVX512-BF16 alone, AMD's
    multiply it twice as fast; Intel's start half as many of its instructions and gain nothing.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if device.type == "cpu":
        vendor = processor.field("vendor_id") or platform.processor()  # Windows ends the latter with the vendor
        twice = "avx512_bf16" in processor.flags() and "AuthenticAMD" in vendor
        return torch.bfloat16 if twice or "amx_bf16" in processor.flags() else torch.float32
    return torch.bfloat16 if device.type in ("xpu", "tpu") else torch.float32


def synchronize() -> None:
    """Wait until the accelerator, if there is one, has done all its work: a call returns when the work is queued."""
    if accelerator():
        torch.accelerator.synchronize()


def seconds_per_call(function: Callable[[], object], calls: int = 5, warmup: int = 1) -> float:
    """Median seconds of one call, after `warmup` calls that don't count."""
    seconds = []
    for _ in range(warmup + calls):
        start = time.perf_counter()
        function()
        synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warmup:])


def hardware(machine: Machine, processes: int = 1) -> Hardware:
    """What the record of a run in so many `processes` says of the hardware."""
    return Hardware(
        device=machine.device.type,
        gpu=_accelerator_name(machine.device),
        processor=processor.field("model name") or platform.processor() or platform.machine(),
        processor_flags=sorted(processor.flags() & {"amx_bf16", "avx512_bf16", "avx512f", "avx2"}),
        cores=processor.usable_cores(),
        threads=torch.get_num_threads(),
        precision=machine.precision_name,
        processes=processes,
        compile=machine.compile,
    )


def _accelerator_name(device: torch.device) -> str | None:
    if device.type == "cpu":
        return None
    if device.type == "mps":
        return torch.backends.mps.get_name()
    return torch.get_device_module(device).get_device_name(device)


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": str(torch.__version__), "system": platform.system()}
