"""Figures: drawn from hard records too, shown once, described in words, loud about stand-in data."""

import base64
import io
import math
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from made_runs import make_run
from matplotlib import pyplot
from torch import nn

from course_utils.data import CLASSES
from course_utils.records import Mistake
from course_utils.show import anatomy, plots

MATRIX = np.full((10, 10), 2) + np.diag([82] * 9 + [0])
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
MISTAKES = [Mistake(index=29, label=3, predicted=5, confidence=0.987)]

FROM_DATA = {
    "image_grid": lambda name: plots.image_grid(IMAGES, ["cat"] * 30, data_name=name),
    "mistakes": lambda name: plots.mistakes(IMAGES, MISTAKES, CLASSES, data_name=name),
    "curves": lambda name: plots.curves([make_run(), make_run(data=name)], ["a", "b"]),
    "learning_rate": lambda name: plots.learning_rate(make_run(data=name)),
    "histogram": lambda name: plots.histogram(IMAGES, data_name=name),
    "confusion": lambda name: plots.confusion(MATRIX, CLASSES, data_name=name, title="Title"),
    "bars": lambda name: plots.bars(["a", "b"], [1, 2], "seconds", data_name=name),
    "overlays": lambda name: plots.overlays(IMAGES[:2], np.stack([np.eye(32), -np.eye(32)]), data_name=name),
}


def png(picture: plots.Picture) -> np.ndarray:
    data, _ = picture._repr_mimebundle_()
    return matplotlib.image.imread(io.BytesIO(base64.b64decode(data["image/png"])))


def text(picture: plots.Picture) -> str:
    """What is written anywhere in the picture."""
    return "\n".join(artist.get_text() for artist in picture.findobj(lambda a: hasattr(a, "get_text")))


@pytest.mark.parametrize("name", FROM_DATA)
def test_stand_in_data_is_loud_and_real_data_is_not_called_so(name):
    loud, real = FROM_DATA[name]("SYNTHETIC"), FROM_DATA[name]("CIFAR-10")
    assert "SYNTHETIC" in text(loud) and loud.alt.startswith("SYNTHETIC data. ")
    assert "SYNTHETIC" not in text(real) + real.alt


@pytest.mark.parametrize("name", FROM_DATA)
def test_a_notebook_shows_a_picture_once_with_alternative_text(name):
    picture = FROM_DATA[name]("CIFAR-10")
    data, metadata = DisplayFormatter().format(picture)
    assert set(data) == {"image/png", "text/plain"}
    assert metadata["image/png"]["alt"] == data["text/plain"] == picture.alt
    assert len(picture.alt) > 20 and not pyplot.get_fignums()
    assert len(data["image/png"]) < 300_000
    assert (png(picture)[0, 0] == 1).all()  # white, opaque: readable on a dark page too


def test_images_are_drawn_pixel_by_pixel_in_their_colours():
    images = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    images[0, :, :, 0], images[1, :, 16:, 2] = 255, 255  # a red image; one half black, half blue
    for given in (images, torch.tensor(images).permute(0, 3, 1, 2), images / 255):
        drawn = png(plots.image_grid(given, data_name="CIFAR-10")).reshape(-1, 4)
        colours = np.unique(drawn, axis=0)[:, :3].tolist()
        assert colours == [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 1]]


def test_mistakes_show_the_image_with_the_index_of_the_record():
    images = np.zeros((30, 32, 32, 3), dtype=np.uint8)
    images[29, :, :, 1] = 255
    picture = plots.mistakes(images, MISTAKES, CLASSES, data_name="CIFAR-10")
    assert "cat\n→ dog\n98.7%" in text(picture)
    assert (picture.axes[0].images[0].get_array() == [0, 1, 0]).all()
    plots.mistakes(images, [], CLASSES, data_name="CIFAR-10").draw_without_rendering()  # a perfect run


def test_curves_show_the_numbers_of_the_record():
    run = make_run(epochs=3)
    lines = plots.curves([run]).axes[0].lines
    assert lines[0].get_ydata() == pytest.approx([100 * e.held_out_accuracy for e in run.curve])
    assert lines[1].get_ydata() == pytest.approx([100 * e.accuracy for e in run.curve])
    assert lines[0].get_linestyle() != lines[1].get_linestyle()


def test_a_held_out_loss_far_above_the_others_doesnt_flatten_them():
    run = make_run()
    run.curve[0] = replace(run.curve[0], held_out_loss=96.0)
    loss = plots.curves([run]).axes[1]
    assert loss.get_ylim()[1] == pytest.approx(1.5 * max(row.loss for row in run.curve))
    assert [text.get_text() for text in loss.texts] == ["held-out: up to 96"]


@pytest.mark.parametrize("held_out", [True, False])
def test_the_legend_names_the_sets_that_are_drawn(held_out):
    picture = plots.curves([make_run(held_out=held_out)])
    named = [entry.get_text() for entry in picture.legends[0].get_texts()]
    assert named == (["held-out", "train", "vgg"] if held_out else ["vgg"])
    assert picture.axes[0].get_ylabel() == ("accuracy (%)" if held_out else "training accuracy (%)")


def test_names_from_a_record_begin_no_formula():
    names = [r"$\bad{$"] * 10
    for picture in (
        plots.curves([make_run(name=names[0])]),
        plots.confusion(MATRIX, names, data_name="CIFAR-10"),
        plots.mistakes(IMAGES, MISTAKES, names, data_name="CIFAR-10"),
    ):
        picture.draw_without_rendering()  # a formula that matplotlib can't read is an error
        assert names[0] in picture.alt


@pytest.mark.parametrize("run", [
    make_run(done=0), make_run(done=1), make_run(held_out=False),
    make_run(loss=math.nan), make_run(loss=math.inf),
])
def test_curves_of_hard_records_are_drawn(run):
    picture = plots.curves([run, make_run()], ["hard", "plain"])
    picture.draw_without_rendering()
    plots.learning_rate(run).draw_without_rendering()
    assert "plain: " in picture.alt and "nan" not in picture.alt


def test_runs_differ_in_colour_and_marker():
    lines = plots.curves([make_run() for _ in range(5)]).axes[0].lines[::2]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 5


@pytest.mark.parametrize("length", [3, 12, 20, 33])
def test_a_legend_stays_in_the_picture_and_off_the_lines(length):
    picture = plots.curves([make_run() for _ in range(6)], [f"{number}".center(length, "m") for number in range(6)])
    png(picture)
    legend, whole = picture.legends[0].get_window_extent(), picture.bbox
    assert whole.x0 <= legend.x0 < legend.x1 <= whole.x1 and legend.y0 >= whole.y0
    assert all(legend.y1 <= axis.get_tightbbox().y0 for axis in picture.axes)


def test_confusion_shows_counts_and_accuracy_by_class():
    matrix = MATRIX.copy()
    matrix[3, 5], matrix[9] = 40, 0  # a frequent mistake; a class without images
    picture = plots.confusion(matrix, CLASSES, data_name="CIFAR-10")
    assert text(picture).split("\n").count("84") == 9
    assert "airplane 82.4%" in picture.alt and "most often cat was taken for dog, 40 times" in picture.alt
    assert "truck –," in picture.alt and "nan" not in picture.alt + text(picture)


def test_bars_show_our_values_and_published_ones():
    values, published = [91.2, math.nan], [92.45, None]
    picture = plots.bars(["a", "b"], values, "accuracy (%)", data_name="CIFAR-10", published=published)
    assert "a: 91.20 (published 92.45). b: nan." in picture.alt
    assert {"91.20", "published 92.45"} <= set(text(picture).split("\n"))
    assert len(picture.axes[0].patches) == 2 and picture.axes[0].get_xlim()[0] == 0  # no cut-off bars


def test_bars_below_zero_lie_in_the_picture():
    picture = plots.bars(["a", "b"], [18.0, -1.2], "fall (%)", data_name="CIFAR-10")
    assert picture.axes[0].get_xlim()[0] < -1.2


def test_layer_bars_name_the_heaviest_layers():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8192, 10))
    picture = plots.layer_bars(anatomy.layers(model))
    assert "Most parameters: 3, 81,930. Most FLOPs per image: 0, 442,368." in picture.alt


def test_alternative_text_leaves_out_tiles_without_a_title():
    picture = plots.image_grid(IMAGES[:3], ["cat", "", "dog"], data_name="CIFAR-10")
    assert picture.alt == "Images, a grid of 3: cat, dog."


def test_a_dollar_in_a_title_or_a_name_is_a_dollar():
    plots.bars(["$a{$"], [1.0], "percent", data_name="").png()
    plots.image_grid(IMAGES, title="$b{$", data_name="").png()


@pytest.mark.parametrize(("images", "titles", "complaint"), [
    (IMAGES[:3], ["one"], "1 titles for 3 images"), (IMAGES[:3].transpose(0, 3, 1, 2), [], r"expected an array \(N, H"),
    (IMAGES[0], [], r"expected an array \(N, H"),
])
def test_images_of_another_shape_and_missing_titles_are_refused_in_one_line(images, titles, complaint):
    with pytest.raises(ValueError, match=complaint):
        plots.image_grid(images, titles, data_name="CIFAR-10")
