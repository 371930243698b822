"""The scores of a network on a whole split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.batches import Batches
from course_utils.model_size import evaluating
from course_utils.records import Mistake, Result

LISTED_MISTAKES = 24
View = Callable[[Tensor], Tensor]


def original(images: Tensor) -> Tensor:
    return images


def down_right(images: Tensor) -> Tensor:
    """Images (N, C, H, W) moved by one pixel down and to the right; what comes in is the border, reflected."""
    return F.pad(images, (1, 0, 1, 0), "reflect")[:, :, :-1, :-1]


def up_left(images: Tensor) -> Tensor:
    """Images (N, C, H, W) moved by one pixel up and to the left; what comes in is the border, reflected."""
    return F.pad(images, (0, 1, 0, 1), "reflect")[:, :, 1:, 1:]


def mirrored(view: View) -> View:
    """The mirror image of what `view` makes of images."""
    return lambda images: view(images).flip(3)


ORIGINAL = ((original, 1.0),)
# Test-time views by name: the logits of what each makes of a batch are averaged with these weights.
VIEWS: dict[str, tuple[tuple[View, float], ...]] = {
    "mirror": ((original, 1 / 2), (mirrored(original), 1 / 2)),
    "mirror-shift": ((original, 1 / 4), (down_right, 1 / 8), (up_left, 1 / 8), (mirrored(original), 1 / 4),
                     (mirrored(down_right), 1 / 8), (mirrored(up_left), 1 / 8)),
}


@dataclass(frozen=True)
class Evaluation:
    """Scores of a network on a whole split: logits (N, classes) float32 and labels (N,), both on the processor."""

    logits: Tensor
    labels: Tensor

    @property
    def loss(self) -> float:
        return F.cross_entropy(self.logits, self.labels).item()

    @property
    def predictions(self) -> Tensor:
        return self.logits.argmax(1)

    @property
    def accuracy(self) -> float:
        return (self.predictions == self.labels).double().mean().item()

    @property
    def confusion(self) -> Tensor:
        """(classes, classes) counts; row: true class, column: predicted class."""
        classes = self.logits.shape[1]
        return torch.bincount(self.labels * classes + self.predictions, minlength=classes**2).view(classes, classes)

    def mistakes(self) -> list[Mistake]:
        """Up to 24 wrong answers given with the most confidence (softmax probability), worst first."""
        confidence, predicted = self.logits.softmax(1).max(1)
        wrong = (predicted != self.labels).nonzero().squeeze(1)
        worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:LISTED_MISTAKES].tolist()
        return [Mistake(i, self.labels[i].item(), predicted[i].item(), round(confidence[i].item(), 4)) for i in worst]

    def result(self, on: str, with_views: "Evaluation | None" = None) -> Result:
        """What the record keeps of these scores and, where there are any, of those with test-time views."""
        digits = ["".join(map(str, each.predictions.tolist())) for each in (self, with_views) if each]
        return Result(on, self.loss, self.accuracy, with_views.accuracy if with_views else None,
                      self.confusion.tolist(), self.mistakes(), *digits)


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Batches, views: Sequence[tuple[View, float]] = ORIGINAL) -> Evaluation:
    """The network's logits on every image of `batches`, in evaluation mode, averaged over `views` of the image."""
    with evaluating(model), batches.machine.autocast():
        answers = [(sum(weight * model(view(images)).float() for view, weight in views), labels)
                   for images, labels in batches]
    # Reading makes a GPU wait, so all is read at once.
    logits, labels = (torch.cat(parts).cpu() for parts in zip(*answers, strict=True))
    return Evaluation(logits, labels)
