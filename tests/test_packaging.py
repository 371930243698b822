"""The package as pip sees it: one version, ranges that hold the pins, and no import of what readers lack."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
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


def test_the_package_imports_without_what_only_tests_and_teachers_install():
    extras = PROJECT["optional-dependencies"]
    needed = {Requirement(each).name for each in PROJECT["dependencies"] + extras["run"] + extras["site"]}
    spared = {Requirement(each).name for each in extras["test"] + extras["teach"]} - needed - {PROJECT["name"]}
    absent = [module for module, names in packages_distributions().items() if spared.intersection(names)]
    assert {"jupytext", "nbgrader", "pytest"} <= set(absent)
    modules = [path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / "course_utils").rglob("*.py"))]
    names = [".".join(module.parts) for module in modules if module.name not in ("__init__", "__main__")]
    script = f"import importlib, sys\nsys.modules.update(dict.fromkeys({absent}))\n"
    script += f"for name in {names}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
