"""The lessons: what `course.toml` says of them, and what parameters they declare."""

import ast
import importlib.util
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PRESETS = ("smoke", "quick", "full")
DATASETS = ("auto", "cifar10", "synthetic")
DECLARATION = re.compile(r"([A-Z][A-Z0-9_]*) = ([^#=]+?) +#@param (\[.*?\])?([^=]*)")


class LessonError(ValueError):
    """A request that the lessons cannot meet, said in one line."""


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: `EPOCHS = 3  #@param {type:"slider", min:1, max:100, step:1}`."""

    name: str
    default: bool | int | float | str
    low: float = -inf
    high: float = inf
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.accept(self.default)

    def accept(self, value: Any) -> Any:
        """The value, if it is of the default's type and in range; LessonError if not."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        right = type(value) is kind
        if right and self.choices:
            right = value in self.choices
        elif right and kind is not str:
            right = self.low <= value <= self.high
        if right:
            return value
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        bounds = f" from {self.low:g} to {self.high:g}" if self.low > -inf and self.high < inf else ""
        expected = "one of " + ", ".join(map(str, self.choices)) if self.choices else words[kind] + bounds
        raise LessonError(f"{self.name} must be {expected}, not {value!r}")

    def read(self, text: str) -> Any:
        """The value that a text from the command line means; LessonError if it means none."""
        kind = type(self.default)
        try:
            value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError):
            value = text
        return self.accept(value)


def declared(source: str) -> dict[str, Parameter]:
    """What a parameters cell declares, by name; ValueError if a line isn't of the form that `Parameter` shows."""
    parameters = {}
    for line in source.splitlines():
        try:
            name, default, choices, form = DECLARATION.fullmatch(line).groups()
            default, choices = ast.literal_eval(default), ast.literal_eval(choices or "()")
        except (AttributeError, ValueError, SyntaxError):
            raise ValueError(f"{line!r} is not of the form `NAME = literal  #@param ...`") from None
        limits = dict(re.findall(r"\b(min|max):\s*(-?[\d.e-]+)", form))
        low, high = float(limits.get("min", -inf)), float(limits.get("max", inf))
        parameters[name] = Parameter(name, default, low, high, tuple(choices))
    return parameters


@dataclass(frozen=True)
class Lesson:
    """A lesson's entry in `course.toml`. `seconds` were measured on the reference CPU, by preset."""

    path: Path
    title: str
    learn: str
    presets: dict[str, dict[str, Any]]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def number(self) -> int:
        return int(self.name.partition("_")[0])

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What its parameters cell declares, by name."""
        try:
            cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
            tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
            return declared("\n".join("".join(cell["source"]) for cell in tagged))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LessonError(f"the parameters of {self.path.name} can't be read: {error}") from error

    def preset(self, name: str) -> dict[str, Any]:
        """The parameters of a preset, checked against the notebook."""
        if name not in self.presets:
            raise LessonError(f"there is no preset {name}: choose from {', '.join(self.presets)}")
        if unknown := self.presets[name].keys() - self.parameters:
            raise LessonError(f"course.toml: {self.name} has no parameter {', '.join(sorted(unknown))}")
        return {key: self.parameters[key].accept(value) for key, value in self.presets[name].items()}


def require(modules: Iterable[str], remedy: str) -> None:
    """LessonError with the remedy if one of these modules isn't installed."""
    if missing := [name for name in modules if not importlib.util.find_spec(name)]:
        raise LessonError(f"{', '.join(missing)} missing: {remedy}")


def literal(path: Path) -> str:
    """A path as papermill takes it: papermill fills in whatever stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def from_course_toml(folder: Path, make: Callable[[dict], Any]) -> Any:
    """What `make` builds from `course.toml` in a folder; LessonError where that is missing or lacks something."""
    path = folder / "course.toml"
    try:
        return make(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise LessonError(f"no course.toml in {folder}: install from a clone of the course") from error
    except LessonError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LessonError(f"{path} can't be used: {error}") from error


def load(folder: Path) -> tuple[Lesson, ...]:
    """Every lesson that `course.toml` in a folder lists, in order."""

    def lesson(entry: dict) -> Lesson:
        presets = {preset: entry[preset] for preset in PRESETS}
        path = folder / f"{entry['name']}.ipynb"
        return Lesson(path, entry["title"], entry["learn"], presets, entry.get("seconds", {}))

    return from_course_toml(folder, lambda course: tuple(map(lesson, course["lesson"])))


def choose(lessons: Sequence[Lesson], names: Iterable[str]) -> tuple[Lesson, ...]:
    """The lessons of these numbers or names in the course's order; all of them if no name is given."""
    wanted = {int(name) if name.isdecimal() else name for name in names}
    for name in wanted - {name for lesson in lessons for name in (lesson.name, lesson.number)}:
        known = ", ".join(lesson.name for lesson in lessons)
        raise LessonError(f"there is no lesson {name}: choose from {known}")
    return tuple(lesson for lesson in lessons if not wanted or wanted & {lesson.name, lesson.number})


def plan(lessons: Sequence[Lesson], preset: str, dataset: str, settings: Iterable[str] = ()) -> list[dict]:
    """The checked parameters of each lesson: the preset's, the data set, then `NAME=VALUE` settings.

    A setting applies to every lesson that has the parameter, and to one at the least; LessonError otherwise.
    """
    plans = [lesson.preset(preset) for lesson in lessons]
    for setting in (f"DATASET={dataset}", *settings):
        name, equals, text = setting.partition("=")
        if not equals:
            raise LessonError(f"-p takes NAME=VALUE, not {setting!r}")
        takers = [i for i, lesson in enumerate(lessons) if name in lesson.parameters]
        if not takers:
            known = sorted({each for lesson in lessons for each in lesson.parameters})
            raise LessonError(f"no chosen lesson has a parameter {name}: choose from {', '.join(known)}")
        for i in takers:
            plans[i][name] = lessons[i].parameters[name].read(text)
    return plans
