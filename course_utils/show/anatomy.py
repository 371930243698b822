"""What a network is made of: shapes, parameters, arithmetic and receptive field, layer by layer.

The model is run once, in evaluation mode, on one image of zeros. Hooks see its layers; PyTorch's own counter
counts the arithmetic of convolutions and linear layers, a multiply-add as two operations; and the receptive
field is followed through every tensor operation, so also through sums, concatenations and functional calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from course_utils.model_size import evaluating, flops, parameters

__all__ = ["Layer", "flops", "layers", "parameters", "table"]


@dataclass(frozen=True)
class Layer:
    """One call of one layer (a module without children); a second call counts no parameters again.

    `receptive_field` is the side, in input pixels, of the square that one output unit depends on; it counts
    the padding, so it may exceed the image. `stride` is the distance in input pixels between the squares of
    two neighbouring units. Both are None behind an operation whose geometry is not known here.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]  # without the batch dimension
    parameters: int
    flops: int
    receptive_field: int | None
    stride: int | None


class _Field(NamedTuple):
    """Unit i of a row of units sees the input pixels i * stride + first ... i * stride + last."""

    first: int
    last: int
    stride: int

    def window(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> "_Field":
        before, after = padding * self.stride, (dilation * (kernel - 1) - padding) * self.stride
        return _Field(self.first - before, self.last + after, self.stride * stride)


def _rows(tensor: Tensor) -> int:
    """Number of units in a column of a feature map; 1 for what has no spatial dimensions."""
    return tensor.shape[2] if tensor.dim() == 4 else 1


def _window(operation: str, args: Sequence[Any], rows_out: int) -> tuple[int, ...] | None:
    """(kernel, stride, padding, dilation) of an operation that slides a window, along the image's height."""

    def argument(position: int, default: int) -> int:
        value = args[position] if len(args) > position else default
        return (value[0] if value else default) if isinstance(value, (list, tuple)) else value

    if operation == "convolution" and not args[6]:  # args[6]: transposed
        return args[1].shape[2], argument(3, 1), argument(4, 0), argument(5, 1)
    if operation in ("max_pool2d_with_indices", "avg_pool2d"):
        kernel = argument(1, 1)
        dilation = argument(4, 1) if operation == "max_pool2d_with_indices" else 1
        return kernel, argument(2, kernel), argument(3, 0), dilation
    if operation == "slice" and argument(1, 0) == 2:
        return 1, argument(4, 1), -(argument(2, 0) % _rows(args[0])), 1
    if operation == "_adaptive_avg_pool2d" and _rows(args[0]) % rows_out == 0:
        side = _rows(args[0]) // rows_out
        return side, side, 0, 1
    return None


def _field_of(operation: str, args: Sequence[Any], sources: list[Tensor], output: Tensor) -> _Field | None:
    rows_in, rows_out = {_rows(x) for x in sources}, _rows(output)
    fields = [x.field for x in sources]
    if None in fields or len(rows_in) > 1:
        return None
    first, last, stride = zip(*fields, strict=True)
    union = _Field(min(first), max(last), max(stride))
    if window := _window(operation, args, rows_out):
        return union.window(*window)
    rows = rows_in.pop()
    if rows_out == rows:  # works on every unit by itself: normalisation, activation, sum, concatenation
        return union
    return union.window(rows, rows, 0) if rows_out == 1 else None  # 1: flattened, or a global pool


class _FieldMode(TorchDispatchMode):
    """Writes on every tensor, as attribute `field`, what it sees of the input (None: not known)."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sources = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and hasattr(x, "field")]
        for output in tree_leaves(result):
            if sources and isinstance(output, Tensor):
                output.field = _field_of(func.overloadpacket.__name__, args, sources, output)
        return result


def layers(model: nn.Module, input_size: tuple[int, int, int] = (3, 32, 32)) -> list[Layer]:
    """The model's layers in the order in which they run on one image of `input_size` (C, H, W).

    Raises ValueError where the model cannot take such an image. The model is left as it was.
    """
    return _inspect(model, input_size)[0]


def _inspect(model: nn.Module, input_size: tuple[int, int, int]) -> tuple[list[Layer], int]:
    """(rows, FLOPs of the whole model, which may also work outside its layers)."""
    names = {module: name for name, module in model.named_modules() if not list(module.children())}
    rows: list[Layer] = []
    counted: set[nn.Parameter] = set()  # by the rows so far
    counter = FlopCounterMode(display=False)
    running, flops_before = "", 0

    def enter(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal running, flops_before
        running, flops_before = f"layer {names[module]!r}: ", counter.get_total_flops()

    def leave(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        new = set(module.parameters()) - counted
        counted.update(new)
        size, cost = sum(p.numel() for p in new), counter.get_total_flops() - flops_before
        field = getattr(output, "field", None)
        extent = (field.last - field.first + 1, field.stride) if field else (None, None)
        rows.append(Layer(names[module], type(module).__name__, tuple(output.shape[1:]), size, cost, *extent))

    handles = [module.register_forward_pre_hook(enter) for module in names]
    handles += [module.register_forward_hook(leave) for module in names]
    weight = next(model.parameters(), torch.empty(0))
    image = torch.zeros(1, *input_size, device=weight.device, dtype=weight.dtype)
    image.field = _Field(0, 0, 1)
    try:
        with evaluating(model), counter, _FieldMode():  # _FieldMode last: it must see the calls first
            model(image)
    except (RuntimeError, ValueError) as error:
        message = f"{type(model).__name__} cannot take an image of {_shape(input_size)}: {running}{error}"
        raise ValueError(message.splitlines()[0]) from error
    finally:
        for handle in handles:
            handle.remove()
    return rows, counter.get_total_flops()


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def table(model: nn.Module, input_size: tuple[int, int, int] = (3, 32, 32)) -> str:
    """The layers as text. Those that change neither shape nor field and have no parameters are only named."""
    rows, total = _inspect(model, input_size)
    cells = [["layer", "kind", "output", "parameters", "FLOPs", "field", "stride"]]
    silent, before = dict[str, None](), None
    for row in rows:
        geometry = (row.output_shape, row.receptive_field, row.stride)
        if row.parameters or geometry != before:
            field, stride = ("-" if n is None else str(n) for n in geometry[1:])
            numbers = [f"{row.parameters:,}", f"{row.flops:,}", field, stride]
            cells.append([row.name, row.kind, _shape(row.output_shape), *numbers])
        else:
            silent[row.kind] = None
        before = geometry
    cells.append(["total", "", "", f"{parameters(model):,}", f"{total:,}", "", ""])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = "<<>>>>>"
    lines = ["  ".join(map(format, row, map("{}{}".format, sides, widths))).rstrip() for row in cells]
    rule = "-" * max(map(len, lines))
    note = [f"not shown, as they change neither shape nor field: {', '.join(silent)}"] if silent else []
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *note])
