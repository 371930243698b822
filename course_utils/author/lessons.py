"""The lessons: what `course.toml` says of them, and what parameters they declare.

Papermill is imported only where parameters are read: lesson 0 lists the lessons where it isn't installed.
"""

import ast
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
PRESETS = ("smoke", "quick", "full")
DATASETS = ("auto", "cifar10", "synthetic")


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

    @classmethod
    def from_cell(cls, name: str, default: str, form: str) -> "Parameter":
        """From the texts of the default and of the `@param` form; ValueError if the default is no literal."""
        bounds = {key: float(value) for key, value in re.findall(r"\b(min|max):\s*(-?[\d.e-]+)", form)}
        choices = re.match(r"@param\s*(\[.*?\])", form)
        return cls(
            name,
            ast.literal_eval(default),
            bounds.get("min", -inf),
            bounds.get("max", inf),
            tuple(ast.literal_eval(choices[1])) if choices else (),
        )

    @property
    def expected(self) -> str:
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
        bounds = f" from {self.low:g} to {self.high:g}" if self.low > -inf and self.high < inf else ""
        return words[type(self.default)] + bounds

    def accept(self, value: Any) -> Any:
        """The value, if it is of the default's type and in range; LessonError if not."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        right = type(value) is kind
        if right and self.choices:
            right = value in self.choices
        elif right and kind in (int, float):
            right = self.low <= value <= self.high
        if not right:
            raise LessonError(f"{self.name} must be {self.expected}, not {value!r}")
        return value

    def read(self, text: str) -> Any:
        """The value that a text from the command line means; LessonError if it means none."""
        kind = type(self.default)
        try:
            value = {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError):
            value = text
        return self.accept(value)


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

    def answers_to(self, name: str) -> bool:
        """Whether this is the lesson's name or its number."""
        return name == self.name or name.isdecimal() and int(name) == self.number

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """What its parameters cell declares, by name."""
        try:
            from papermill import inspect_notebook

            found = inspect_notebook(literal(self.path))
            return {name: Parameter.from_cell(name, each["default"], each["help"]) for name, each in found.items()}
        except ImportError as error:
            raise LessonError("papermill is missing: pip install -r requirements.txt") from error
        except (OSError, ValueError, SyntaxError) as error:
            raise LessonError(f"the parameters of {self.path.name} can't be read: {error}") from error

    def preset(self, name: str) -> dict[str, Any]:
        """The parameters of a preset, checked against the notebook."""
        if name not in self.presets:
            raise LessonError(f"there is no preset {name}: choose from {', '.join(self.presets)}")
        values = self.presets[name]
        for key in values:
            if key not in self.parameters:
                raise LessonError(f"course.toml: {self.name} has no parameter {key}")
        return {key: self.parameters[key].accept(value) for key, value in values.items()}


def literal(path: Path) -> str:
    """A path as papermill takes it: papermill fills in whatever stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def load(folder: Path) -> tuple[Lesson, ...]:
    """Every lesson that `course.toml` in a folder lists, in order."""
    try:
        entries = tomllib.loads((folder / "course.toml").read_text(encoding="utf-8"))["lesson"]
        return tuple(
            Lesson(
                folder / f"{entry['name']}.ipynb",
                entry["title"],
                entry["learn"],
                {preset: entry[preset] for preset in PRESETS},
                entry.get("seconds", {}),
            )
            for entry in entries
        )
    except OSError as error:
        raise LessonError(f"no course.toml in {folder}: install from a clone of the course") from error
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise LessonError(f"{folder / 'course.toml'} can't be used: {error}") from error


def choose(lessons: Sequence[Lesson], names: Iterable[str]) -> tuple[Lesson, ...]:
    """The lessons of these numbers or names in the course's order; all of them if no name is given."""
    wanted = set(names)
    for name in wanted:
        if not any(lesson.answers_to(name) for lesson in lessons):
            known = ", ".join(lesson.name for lesson in lessons)
            raise LessonError(f"there is no lesson {name}: choose from {known}")
    return tuple(each for each in lessons if not wanted or any(map(each.answers_to, wanted)))


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
