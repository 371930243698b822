"""The course on a simulated TPU, where COURSE_TPU names the folder that tests/tpu/requirements.txt was installed into:

    pip install --no-deps --require-hashes --target FOLDER -r tests/tpu/requirements.txt
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TPU = Path(os.environ.get("COURSE_TPU", "nowhere"))
PLUGIN = TPU / "fastatomstruct_xla_cpu" / "libpjrt_cpu.so"


@pytest.mark.skipif(not PLUGIN.exists(), reason="no simulated TPU in the folder that COURSE_TPU names")
def test_the_course_runs_on_a_simulated_tpu():
    """In a process of its own: which accelerator there is, is settled once in a process."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (TESTS.parent, TESTS / "tpu", TPU))),
        "TPU_LIBRARY_PATH": str(PLUGIN),
        "TPU_SKIP_MDS_QUERY": "1",  # there is no metadata server to ask
        "TORCH_DEVICE_BACKEND_AUTOLOAD": "0",  # the plugin loads it, once it has said that there is a TPU
    }
    command = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "-psimulated", "tpu/on_tpu.py"]
    done = subprocess.run(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout
