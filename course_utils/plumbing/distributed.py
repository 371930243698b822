"""One training run in several processes, started by `torchrun`: each takes its share of every batch."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """How many processes train together, and which of them this is (`rank`, from 0). One alone is (1, 0)."""

    count: int = 1
    rank: int = 0

    def share(self, batch: int) -> slice:
        """This process's part of a batch of so many images; ValueError where it doesn't split evenly."""
        if batch % self.count:
            raise ValueError(f"a batch of {batch} does not split over {self.count} processes: "
                             f"choose a multiple of {self.count}")
        part = batch // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The network as it is called in training: backward then averages the gradients of all processes."""
        return model if self.count == 1 else DistributedDataParallel(model)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of `value` over all processes, on each of them."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value


ALONE = Processes()


def under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def take_own_accelerator(device: torch.device) -> None:
    """Under `torchrun`, work on this process's own accelerator; to be called before anything is made on one."""
    if under_torchrun() and device.type not in ("cpu", "mps", "tpu"):
        torch.accelerator.set_device_index(int(os.environ["LOCAL_RANK"]))


def processes(device: torch.device) -> Processes:
    """The processes that `torchrun` started, each on its own accelerator or all on the processor; else one alone.

    Raises ValueError where several cannot train together: on MPS, which is a single device, and on a TPU.
    """
    if not under_torchrun():
        return ALONE
    if device.type in ("mps", "tpu"):
        raise ValueError(f"several processes cannot train together on {device.type}: start one, without torchrun")
    if not dist.is_initialized():
        dist.init_process_group(dist.get_default_backend_for_device(device))
    return Processes(dist.get_world_size(), dist.get_rank())
