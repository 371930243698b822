"""Which square of the input a unit of a network depends on, followed through every tensor operation.

PyTorch shows a dispatch mode each operation as it runs, also those behind sums, concatenations and functional calls.
This rests on what PyTorch keeps private and may change: `torch.utils._python_dispatch`, `torch.utils._pytree`, and the
names and the order of arguments of ATen's operations. Windows are taken to be square, and only the image's height is
followed. The tests compare the result with where the gradient of a unit isn't zero.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class ReceptiveField(NamedTuple):
    """Unit i of a column of units sees the input pixels i * stride + first ... i * stride + last."""

    first: int
    last: int
    stride: int

    @property
    def side(self) -> int:
        return self.last - self.first + 1

    def through_window(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> "ReceptiveField":
        """The field of a unit behind a convolution or pool over units of this field."""
        before, after = padding * self.stride, (dilation * (kernel - 1) - padding) * self.stride
        return ReceptiveField(self.first - before, self.last + after, self.stride * stride)


class FollowFields(TorchDispatchMode):
    """A context that writes on every tensor, as attribute `field`, what a unit of it sees (None: not known).

    The tensors that don't depend on the `image` (N, C, H, W) get no such attribute.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        image.field = ReceptiveField(0, 0, 1)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        sources = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor) and hasattr(x, "field")]
        for output in tree_leaves(result):
            if sources and isinstance(output, Tensor):
                output.field = _field_of(func.overloadpacket.__name__, args, sources, output)
        return result


def _field_of(operation: str, args: Sequence[Any], sources: list[Tensor], output: Tensor) -> ReceptiveField | None:
    rows_in, rows_out = {_rows(x) for x in sources}, _rows(output)
    fields = [x.field for x in sources]
    if None in fields or len(rows_in) > 1:
        return None
    first, last, stride = zip(*fields, strict=True)
    union = ReceptiveField(min(first), max(last), max(stride))
    if window := _window(operation, args, rows_out):
        return union.through_window(*window)
    rows = rows_in.pop()
    if rows_out == rows:  # works on every unit by itself: normalisation, activation, sum, concatenation
        return union
    return union.through_window(rows, rows, 0) if rows_out == 1 else None  # 1: flattened, or a global pool


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
