"""What the checks of exercises share: an answer is asked, and whatever is wrong with it is said in a sentence."""

import functools
import sys
import warnings
import zlib
from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

BLANK = "your answer is missing here"  # what nbgrader leaves in the place of a solution
LIBRARIES = "torch", "numpy", "scipy"


def array(value) -> np.ndarray:
    """Numbers as a NumPy array, whether they come as one, as a tensor or as a list of either."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()  # NumPy has no bfloat16
    if isinstance(value, list | tuple) and any(isinstance(each, torch.Tensor) for each in value):
        value = [array(each) for each in value]
    try:
        value = np.asarray(value)
    except ValueError as error:
        raise AssertionError("numbers were expected, and these have lengths that don't fit together") from error
    assert value.dtype.kind in "biuf", f"numbers were expected, not {value if value.ndim == 0 else value.dtype!r}"
    return value


def tensor(value) -> torch.Tensor:
    """Numbers as a tensor, whether they come as one, as an array or as a list."""
    return value.detach() if isinstance(value, torch.Tensor) else torch.as_tensor(array(value))


def output(value) -> torch.Tensor:
    """What a network hands on: a tensor, through which gradients flow back."""
    assert isinstance(value, torch.Tensor), f"a tensor was expected, not {type(value).__name__}"
    return value


def number(value) -> float:
    """A single number, whether it comes as one, as a tensor or as an array."""
    value = array(value)
    assert value.size == 1, f"one number was expected, not {value.size} of shape {value.shape}"
    return value.item()


def module(value) -> torch.nn.Module:
    """A network or layer, whose call is watched as well."""
    assert isinstance(value, torch.nn.Module), f"a network or layer was expected, not {type(value).__name__}"
    kind = type(value)  # a class of its own: a copy of the network must compute with the copy's weights
    value.__class__ = type(kind.__name__, (kind,), {"forward": answer(kind.forward)})
    return value


def answer(function: Callable, *returns: Callable, forbids: Collection[str] = (), nothing: bool = False) -> Callable:
    """An answer that may be asked without fear: what it raises or lacks becomes a sentence.

    What it returns goes through `returns`, one of the five above; several of them mean that it returns as many things.
    forbids: names of the library functions that it must do without. nothing: whether it may return nothing.
    """
    function = getattr(function, "answer", function)

    @functools.wraps(function)
    def asked(*args, **kwargs):
        name, used = getattr(function, "__name__", "your answer"), []

        def note(frame, event, called):
            library = frame.f_globals.get("__name__", "").partition(".")[0] in LIBRARIES
            called = getattr(called, "__name__", "") if event == "c_call" else frame.f_code.co_name if library else ""
            if called.lstrip("_") in forbids:
                used.append(called.lstrip("_"))

        previous = sys.getprofile()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # nbgrader gives nothing where a test cell prints a warning
                if forbids:
                    sys.setprofile(note)
                value = function(*args, **kwargs)
        except Exception as error:
            if str(error) == BLANK:
                raise
            assert not used, f"{name} calls `{used[0]}`: write that yourself"
            raise AssertionError(f"{name} raises {type(error).__name__}: {error}") from error
        finally:
            sys.setprofile(previous)
        assert not used, f"{name} calls `{used[0]}`: write that yourself"
        if value is None and nothing:
            return None
        assert value is not None, f"{name} returns nothing: does it end with `return`?"
        if len(returns) > 1:
            assert isinstance(value, list | tuple) and len(value) == len(returns), (
                f"{name} should return {len(returns)} things, and returns a {type(value).__name__}")
        try:
            if len(returns) > 1:
                return tuple(take(each) for take, each in zip(returns, value, strict=True))
            return returns[0](value) if returns else value
        except AssertionError as error:
            raise AssertionError(f"what {name} returns: {error}") from error

    asked.answer = function
    return asked


def prediction(function: Callable, options: Sequence, count: int = 1) -> None:
    """Any prediction counts that is one of the options, or so many of them."""
    guess = answer(function)()
    guesses = [guess] if count == 1 else guess
    listed = ", ".join(repr(option) for option in options[:-1]) + f" and {options[-1]!r}"
    assert isinstance(guesses, list | tuple) and len(guesses) == count and all(
        isinstance(each, int | float | str) and each in options for each in guesses), (
        f"your prediction is {guess!r}: return {('one', 'two', 'three')[count - 1]} of {listed}")
    print("Noted. Now measure.")


def labels(function: Callable, secrets: Sequence[tuple[str, int, str]], kind: str) -> None:
    """A label for each case: a wrong one gets its hint. `secrets`: the case, a checksum of its label, the hint."""
    found, names = answer(function)(), [name for name, _, _ in secrets]
    assert isinstance(found, dict) and set(found) == set(names), (
        f"return a dictionary with an entry for each of {', '.join(sorted(names))}, not {found!r}")
    for name, checksum, hint in secrets:
        right = zlib.crc32(f"{name}: {found[name]}".encode()) == checksum
        assert right, f"{kind} {name} is not {found[name]!r}: {hint}"
    print(f"{function.__name__}: all right. What counts comes next.")


def diagnosis(function: Callable, case: str, checksum: int, hints: dict[str, str]) -> None:
    """One label out of a list: each of the wrong ones has its hint."""
    named = answer(function)()
    right = zlib.crc32(f"{case}: {named}".encode()) == checksum
    assert right, f"not {named!r}: {hints.get(str(named), 'that is not in the list')}"
    print(f"{function.__name__}: right. What counts comes next.")


class Watch(TorchDispatchMode):
    """Counts PyTorch's operations while it is entered, and the numbers in the largest result."""

    def __init__(self):
        super().__init__()
        self.operations, self.largest = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operations += 1
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def work(function: Callable, *args) -> tuple[int, int]:
    """What a call takes: Python's instructions and PyTorch's operations. Neither depends on the sizes of arrays."""
    instructions = 0

    def count(frame, event, arg):
        nonlocal instructions
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        instructions += event == "opcode"
        return count

    previous = sys.gettrace()
    sys.settrace(count)
    try:
        function(*args)
    finally:
        sys.settrace(previous)
    with Watch() as watch:
        function(*args)
    return instructions, watch.operations


def loops(function: Callable, few: tuple, many: tuple) -> bool:
    """Whether more things to do take more instructions or operations: then there is a loop over them."""
    function(*few)
    less, more = ([min(each) for each in zip(*(work(function, *args) for _ in range(2)), strict=True)]
                  for args in (few, many))
    return any(b > a for a, b in zip(less, more, strict=True))
