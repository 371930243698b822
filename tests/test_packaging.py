import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

import course_utils

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def pins(path):
    return dict(re.findall(r"^([\w-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def test_there_is_one_version():
    assert course_utils.__version__ == PROJECT["version"]
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_ranges_hold_the_pins_and_what_colab_has():
    pinned = pins(ROOT / "requirements.txt")
    colab = pins(ROOT / "tests" / "colab_versions.txt")
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(pinned[requirement.name])
        assert requirement.specifier.contains(colab[requirement.name])
    extras = PROJECT["optional-dependencies"]
    for requirement in map(Requirement, extras["run"] + extras["test"]):
        assert requirement.specifier.contains(pinned.get(requirement.name, "0")) or requirement.name not in pinned
