"""The scores of a network on a whole split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_utils.batches import Batches

LISTED_MISTAKES = 24
View = Callable[[Tensor], Tensor]


def shifted(pixels: int) -> View:
    """Images moved by so many pixels down and to the right (up and left if negative), their borders reflected."""
    def view(images: Tensor) -> Tensor:
        border, size = abs(pixels), images.shape[3]
        start = border - pixels
        return F.pad(images, (border,) * 4, "reflect")[:, :, start : start + size, start : start + size]

    return view


def with_mirrors(views: Sequence[tuple[View, float]]) -> tuple[tuple[View, float], ...]:
    """Each view and its mirror image, with half of its weight each."""
    mirrored = [(lambda images, view=view: view(images).flip(3), weight / 2) for view, weight in views]
    return (*((view, weight / 2) for view, weight in views), *mirrored)


AS_IT_IS: tuple[tuple[View, float], ...] = ((lambda images: images, 1.0),)
# Test-time views by name: the logits of what each makes of a batch are averaged with these weights.
VIEWS: dict[str, tuple[tuple[View, float], ...]] = {
    "mirror": with_mirrors(AS_IT_IS),
    "mirror-shift": with_mirrors([(AS_IT_IS[0][0], 0.5), (shifted(1), 0.25), (shifted(-1), 0.25)]),
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
    def digits(self) -> str:
        """The predicted class of every image, a digit each: what the record keeps."""
        return "".join(map(str, self.predictions.tolist()))

    @property
    def accuracy(self) -> float:
        return (self.predictions == self.labels).double().mean().item()

    @property
    def confusion(self) -> Tensor:
        """(classes, classes) counts; row: true class, column: predicted class."""
        classes = self.logits.shape[1]
        return torch.bincount(self.labels * classes + self.predictions, minlength=classes**2).view(classes, classes)

    def mistakes(self) -> list[dict[str, Any]]:
        """Up to 24 wrong answers given with the most confidence (softmax probability), worst first."""
        confidence, predicted = self.logits.softmax(1).max(1)
        wrong = (predicted != self.labels).nonzero().squeeze(1)
        worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:LISTED_MISTAKES].tolist()
        return [{"index": i, "label": self.labels[i].item(), "predicted": predicted[i].item(),
                 "confidence": round(confidence[i].item(), 4)} for i in worst]

    def result(self, on: str) -> dict[str, Any]:
        """What the record keeps."""
        return {"on": on, "loss": self.loss, "accuracy": self.accuracy, "accuracy_with_views": None,
                "confusion": self.confusion.tolist(), "mistakes": self.mistakes(), "predictions": self.digits}


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Batches, views: Sequence[tuple[View, float]] = AS_IT_IS) -> Evaluation:
    """The network's logits on every image of `batches`, in evaluation mode, averaged over `views` of the image."""
    was_training = model.training
    model.eval()
    with batches.machine.autocast():
        scored = [(sum(weight * model(view(images)).float() for view, weight in views).cpu(), labels.cpu())
                  for images, labels in batches]
    model.train(was_training)
    logits, labels = map(torch.cat, zip(*scored, strict=True))
    return Evaluation(logits, labels)
