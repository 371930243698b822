"""Where in an image a network responds: its feature maps, and the places that raise the logit of a class."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.model_size import evaluating


def feature_maps(model: nn.Module, layer: str, images: Tensor) -> Tensor:
    """The output (N, C, H, W) of the submodule `layer` (its dotted name) on normalised `images` (N, 3, 32, 32).

    The model computes in evaluation mode and is left in the mode it was in. Raises ValueError for an unknown layer.
    """
    with torch.no_grad():
        return _maps_and_logits(model, layer, images)[0]


def class_activation_maps(model: nn.Module, layer: str, images: Tensor, classes: Sequence[int] | Tensor) -> Tensor:
    """Which places of an image raise the logit of its class: maps (N, H, W) of the image's size, 0 ... 1.

    images: (N, 3, 32, 32), normalised. classes: (N,), one for each image.

    Grad-CAM (Selvaraju et al., 2017): the maps of `layer`, each weighted by the mean gradient of the class's logit with
    respect to it, summed, and cut off below 0. Where a global average and a linear layer follow, that is the class
    activation map of Zhou et al. (2016), up to scale. Each map is divided by its maximum.
    """
    with torch.enable_grad():
        maps, logits = _maps_and_logits(model, layer, images.detach().requires_grad_())
        chosen = logits.gather(1, torch.as_tensor(classes, device=logits.device)[:, None]).sum()
        (gradients,) = torch.autograd.grad(chosen, maps)
    weights = gradients.mean((2, 3), keepdim=True)
    heat = (weights * maps.detach()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, images.shape[2:], mode="bilinear", align_corners=False).squeeze(1)
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(torch.finfo(heat.dtype).tiny)


def _maps_and_logits(model: nn.Module, layer: str, images: Tensor) -> tuple[Tensor, Tensor]:
    modules = dict(model.named_modules())
    if layer not in modules or not layer:
        names = ", ".join(name for name, _ in model.named_children())
        raise ValueError(f"there is no layer {layer!r} in {type(model).__name__}: its parts are {names}")
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()  # the network goes on with it: a ReLU in place behind the layer must not change `output`

    handle = modules[layer].register_forward_hook(keep)
    try:
        with evaluating(model):
            logits = model(images)
    finally:
        handle.remove()
    return outputs[-1], logits
