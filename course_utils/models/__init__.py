"""The networks of the course, one short file each, and `MODELS` that names them."""

from collections.abc import Callable

from torch import nn

from course_utils.models.small import Small
from course_utils.models.vgg import VGG

MODELS: dict[str, Callable[..., nn.Module]] = {"small": Small, "vgg": VGG}
