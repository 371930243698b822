"""Do two results agree? What the lessons print when they check their own code against PyTorch's or the package's."""

import numpy as np
import torch
from torch import Tensor, nn


def compare(name: str, ours: Tensor | np.ndarray | float, theirs: Tensor | np.ndarray | float,
            tolerance: float = 1e-5) -> None:
    """Print by how much two results differ; AssertionError if anywhere by more than `tolerance`, or in their shapes.

    Either may also be a single number, which is compared with all of the other's.
    """
    ours, theirs = (each if each.is_floating_point() else each.double()  # differences of unsigned numbers wrap
                    for each in (torch.as_tensor(side).cpu() for side in (ours, theirs)))
    assert ours.shape == theirs.shape or 0 in (ours.dim(), theirs.dim()), (
        f"{name}: the shapes are {tuple(ours.shape)} and {tuple(theirs.shape)}")
    difference = (ours - theirs).abs().max().item()
    assert difference <= tolerance, f"{name}: the two results differ by {difference}"
    print(f"{name}: exact" if difference == 0 else f"{name}: equal up to {difference:.0e}")


@torch.no_grad()
def compare_networks(ours: nn.Module, package: nn.Module, images: Tensor, tolerance: float = 1e-5) -> None:
    """Compare two networks' logits of `images` in training and in evaluation mode, with the package's weights in both.

    AssertionError if the names or shapes of their states differ, or if they don't train the same parameters.
    """
    theirs = package.state_dict()
    shapes, expected = ({name: value.shape for name, value in state.items()} for state in (ours.state_dict(), theirs))
    assert shapes == expected, f"the weights are {shapes}, expected {expected}"
    trained, expected = ([each.requires_grad for each in network.parameters()] for network in (ours, package))
    assert trained == expected, f"whether each parameter is trained: {trained}, expected {expected}"
    ours.load_state_dict(theirs)
    compare("training mode", ours.train()(images), package.train()(images), tolerance)
    compare("evaluation mode", ours.eval()(images), package.eval()(images), tolerance)
