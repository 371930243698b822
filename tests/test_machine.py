"""The machine: what is chosen for a processor, and what is said of it."""

import json
import subprocess
import sys

import pytest
import torch

from course_utils import machine
from course_utils.machine import Machine, this_machine


@pytest.fixture
def flags(monkeypatch):
    def pretend(*names: str, vendor: str = "AuthenticAMD") -> None:
        monkeypatch.setattr(machine, "processor_flags", lambda: frozenset(names))
        monkeypatch.setattr(machine, "_processor_field", {"vendor_id": vendor}.get)

    return pretend


@pytest.mark.parametrize(("names", "vendor", "precision"), [
    (("avx2", "avx512f"), "AuthenticAMD", torch.float32), (("amx_bf16",), "GenuineIntel", torch.bfloat16),
    (("avx512f", "avx512_bf16"), "AuthenticAMD", torch.bfloat16),
    (("avx512f", "avx512_bf16"), "GenuineIntel", torch.float32), ((), "", torch.float32),
])
def test_bfloat16_is_for_processors_that_multiply_it_faster(flags, names, vendor, precision):
    flags(*names, vendor=vendor)
    found = this_machine("cpu")
    assert found.precision == precision
    assert (found.memory_format == torch.channels_last) == (precision == torch.bfloat16)


def test_precision_can_be_set(flags):
    flags("amx_bf16")
    assert this_machine("cpu", "float32") == Machine(torch.device("cpu"), torch.float32)


def test_autocast_is_for_low_precision_only():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for precision in (torch.float32, torch.bfloat16):
        with Machine(torch.device("cpu"), precision).autocast():
            assert layer(x).dtype == precision


@pytest.mark.parametrize(("arguments", "message"), [
    (("cpu", "float8"), "'float8' is unknown: choose from float32"), (("abacus", None), "'abacus' cannot be used"),
    (("cuda:99", None), "'cuda:99' cannot be used"),
])
def test_an_unknown_device_or_precision_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        this_machine(*arguments)
    assert "\n" not in str(refusal.value)


def test_the_machines_description_in_a_record_is_plain_data():
    said = machine.hardware(Machine(torch.device("cpu"), torch.bfloat16))
    assert json.loads(json.dumps(said)) == said
    assert said["precision"] == "bfloat16"
    assert said["device"] == "cpu"
    assert said["gpu"] is None
    assert said["processor"]
    assert said["threads"] == torch.get_num_threads()
    assert machine.versions()["torch"] == torch.__version__
    assert type(machine.versions()["torch"]) is str  # a checkpoint holds it, and loads plain values only


def test_the_time_of_a_call_is_a_median_without_the_warm_up(monkeypatch):
    clock = iter([0, 50, 50, 51, 51, 53, 53, 56])  # one call to warm up, then 1, 2 and 3 seconds
    monkeypatch.setattr(machine.time, "perf_counter", lambda: next(clock))
    assert machine.seconds_per_call(lambda: None, calls=3, warmup=1) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="a matter of glibc")
def test_freed_memory_is_kept():
    """Once warm, steps that fill and free the same memory take next to no new pages from the system."""
    script = """
import resource, torch
from course_utils.machine import keep_freed_memory as keep
KEEP
faults = []
for _ in range(20):
    activations = [torch.ones(10_000_000) for _ in range(4)]
    del activations
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[14])
"""
    usual, kept = (int(subprocess.check_output([sys.executable, "-c", script.replace("KEEP", call)]))
                   for call in ("", "assert keep()"))
    assert kept < usual / 10
