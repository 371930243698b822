"""The machine: what is chosen for a processor, and what is said of it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from course_utils import machine
from course_utils.machine import Machine, this_machine
from course_utils.plumbing import processor

ROOT = Path(__file__).parents[1]


@pytest.fixture
def flags(monkeypatch):
    def pretend(*names: str, vendor: str = "AuthenticAMD") -> None:
        monkeypatch.setattr(processor, "flags", lambda: frozenset(names))
        monkeypatch.setattr(processor, "field", {"vendor_id": vendor}.get)

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
    assert found.memory_format == torch.channels_last


@pytest.fixture
def found(monkeypatch):
    def pretend(kind: str) -> None:
        """PyTorch finds an accelerator of this kind, on which something can be made."""
        monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: SimpleNamespace(type=kind))
        monkeypatch.setattr("torch.empty", lambda *_, **__: None)
        monkeypatch.setattr(machine, "_averages_move", lambda device: True)

    return pretend


@pytest.mark.parametrize(("kind", "generation", "precision", "layout"), [
    ("cuda", 7, torch.float16, torch.channels_last), ("cuda", 8, torch.bfloat16, torch.channels_last),
    ("xpu", None, torch.bfloat16, torch.channels_last), ("tpu", None, torch.bfloat16, torch.contiguous_format),
    ("mps", None, torch.float32, torch.contiguous_format), ("unheard-of", None, torch.float32, torch.contiguous_format),
])
def test_an_accelerator_is_taken_at_its_precision_and_memory_format(
    found, monkeypatch, kind, generation, precision, layout
):
    found(kind)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (generation, 0))
    chosen = this_machine()
    assert (chosen.device.type, chosen.precision, chosen.memory_format) == (kind, precision, layout)
    assert this_machine("cpu").device.type == "cpu"
    if kind in ("mps", "tpu"):
        assert this_machine(precision="bfloat16").memory_format == torch.contiguous_format


def test_without_an_accelerator_the_processor_is_taken_and_nothing_is_waited_for(monkeypatch):
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: None)
    monkeypatch.setattr("torch.accelerator.synchronize", lambda: pytest.fail("there is nothing to wait for"))
    assert this_machine().device.type == "cpu"
    machine.synchronize()


def test_float16_on_a_tpu_is_refused_in_one_line(found):
    found("tpu")
    with pytest.raises(ValueError, match="float16 needs its loss scaled.*choose bfloat16 or float32") as refusal:
        this_machine(precision="float16")
    assert "\n" not in str(refusal.value)


def test_a_tpu_whose_batch_norm_learns_nothing_is_refused_in_one_line(found, monkeypatch):
    found("tpu")
    monkeypatch.setattr(machine, "_averages_move", lambda device: False)
    with pytest.raises(ValueError, match="running averages on this TPU.*install a newer torch-tpu, or none") as refusal:
        this_machine()
    assert "\n" not in str(refusal.value)


def test_batch_norm_learns_on_the_processor():
    assert machine._averages_move(torch.device("cpu"))


def test_an_accelerator_is_waited_for_within_the_time_of_a_call(found, monkeypatch):
    found("xpu")
    done = []
    monkeypatch.setattr("torch.accelerator.synchronize", lambda: done.append("waited"))
    monkeypatch.setattr(machine.time, "perf_counter", lambda: done.append("looked") or len(done))
    machine.seconds_per_call(lambda: done.append("called"), calls=1, warmup=0)
    assert done == ["looked", "called", "waited", "looked"]


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_a_record_has_the_accelerator_s_name(monkeypatch, kind):
    names = SimpleNamespace(get_device_name=lambda device: f"the {device.type}")
    monkeypatch.setattr("torch.get_device_module", lambda device: names)
    monkeypatch.setattr("torch.backends.mps.get_name", lambda: "the mps")
    assert machine.hardware(Machine(torch.device(kind), torch.float32)).gpu == f"the {kind}"


def test_instruction_sets_are_asked_of_pytorch_where_linux_says_none(monkeypatch):
    told = {"avx512_f": True, "avx2": True, "amx_bf16": False, "cpu_name": "any", "num_sockets": 1}
    monkeypatch.setattr(processor, "field", lambda name: "")
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: told)
    assert processor.flags.__wrapped__() == {"avx512f", "avx2"}


def test_an_amd_processor_is_known_on_windows_too(flags, monkeypatch):
    flags("avx512f", "avx512_bf16", vendor="")
    monkeypatch.setattr(machine.platform, "processor", lambda: "AMD64 Family 25 Model 97 Stepping 2, AuthenticAMD")
    assert this_machine("cpu").precision == torch.bfloat16


def test_no_other_file_asks_for_cuda_by_name():
    """What depends on the kind of accelerator is asked of `machine`, or of PyTorch for whichever there is."""
    files = [path for pattern in ("course_utils/**/*.py", "notebooks/**/*.py") for path in ROOT.glob(pattern)]
    code = {path: path.read_text(encoding="utf-8") for path in files}
    for path in ROOT.glob("notebooks/**/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code[path] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    by_name = re.compile(r"""torch\.cuda|\.cuda\(|device=["']cuda|\.to\(["']cuda""")
    asking = {path.relative_to(ROOT).as_posix() for path, text in code.items() if by_name.search(text)}
    assert asking == {"course_utils/machine.py"}
    kinds = re.compile(r"""["'](cuda|xpu|mps|tpu)["']""")
    told_apart = {path.relative_to(ROOT).as_posix() for path, text in code.items()
                  if path.suffix == ".py" and kinds.search(text)}
    assert told_apart == {"course_utils/machine.py", "course_utils/plumbing/distributed.py"}


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
    said = asdict(machine.hardware(Machine(torch.device("cpu"), torch.bfloat16)))
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
from course_utils.plumbing.processor import keep_freed_memory as keep
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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a process can't be bound to cores here")
def test_cores_that_a_process_is_kept_from_do_not_count():
    one = min(os.sched_getaffinity(0))
    bound = f"import os; os.sched_setaffinity(0, [{one}])\nfrom course_utils.plumbing import processor"
    script = [sys.executable, "-c", f"{bound}; print(processor.usable_cores())"]
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout == "1\n"


def test_an_accelerator_that_fails_leaves_the_processor_with_a_warning(monkeypatch):
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: torch.device("cuda"))

    def no_driver(*_, **__):
        raise RuntimeError("Found no driver\nmore lines")

    monkeypatch.setattr("torch.empty", no_driver)
    with pytest.warns(UserWarning, match=r"cannot be used \(Found no driver\): going on with the processor"):
        assert this_machine().device.type == "cpu"


@pytest.mark.parametrize(
    ("content", "cores"), [("max 100000", 8), ("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("", 8)]
)
def test_a_container_s_quota_leaves_fewer_cores(monkeypatch, tmp_path, content, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(processor, "CONTROL_GROUP", tmp_path)
    assert processor.usable_cores() == 8
    (tmp_path / "cpu.max").write_text(f"{content}\n")
    assert processor.usable_cores() == cores
