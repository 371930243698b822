"""A plugin for pytest, which imports it before anything of ours: XLA's processor plug-in becomes the device "tpu"."""

from torch_tpu import _loader
from torch_tpu._internal.utils import hardware

hardware.get_tpu_device_count = lambda: 1
_loader.load()
