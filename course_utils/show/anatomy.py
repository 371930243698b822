"""What a network is made of: shapes, parameters, arithmetic and receptive field, layer by layer.

The model is run once, in evaluation mode, on one image of zeros. Hooks see its layers; PyTorch's own counter
counts the arithmetic of convolutions and linear layers, a multiply-add as two operations; `receptive_field`
follows what each unit sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils.model_size import evaluating, flops, parameters
from course_utils.show.receptive_field import FollowFields
from course_utils.show.text_table import aligned

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
        nonlocal running
        new = set(module.parameters()) - counted
        counted.update(new)
        size, cost = sum(p.numel() for p in new), counter.get_total_flops() - flops_before
        field = getattr(output, "field", None)
        extent = (field.side, field.stride) if field else (None, None)
        rows.append(Layer(names[module], type(module).__name__, tuple(output.shape[1:]), size, cost, *extent))
        running = ""  # what fails next, between two layers, is not this one's fault

    handles = [module.register_forward_pre_hook(enter) for module in names]
    handles += [module.register_forward_hook(leave) for module in names]
    weight = next(model.parameters(), torch.empty(0))
    image = torch.zeros(1, *input_size, device=weight.device, dtype=weight.dtype)
    try:
        with torch.no_grad(), evaluating(model), counter, FollowFields(image):  # the last one sees each call first
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


def table(model: nn.Module) -> str:
    """The layers as text; of those without parameters that change neither shape nor field, only the kind."""
    rows, total = _inspect(model, (3, 32, 32))
    cells = [["layer", "kind", "output", "parameters", "FLOPs", "field", "stride"]]
    left_out: list[str] = []
    before = None
    for row in rows:
        geometry = (row.output_shape, row.receptive_field, row.stride)
        if row.parameters or geometry != before:
            field, stride = ("-" if n is None else str(n) for n in geometry[1:])
            numbers = [f"{row.parameters:,}", f"{row.flops:,}", field, stride]
            cells.append([row.name, row.kind, _shape(row.output_shape), *numbers])
        elif row.kind not in left_out:
            left_out.append(row.kind)
        before = geometry
    cells.append(["total", "", "", f"{parameters(model):,}", f"{total:,}", "", ""])
    lines = aligned(cells, sides="<<>>>>>")
    rule = "-" * max(map(len, lines))
    lines = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
    if left_out:
        lines.append(f"not shown, as they change neither shape nor field: {', '.join(left_out)}")
    return "\n".join(lines)
