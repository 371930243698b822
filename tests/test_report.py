"""The HTML report: well-formed, self-contained, escaped, honest about its data, whole on disk."""

import base64
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_runs import make_run

from course_utils.show import report

VOID = {"meta", "img", "br", "hr", "link", "input"}
PNG = "data:image/png;base64,"
IMAGES = np.random.default_rng(0).integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8)
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>$\\bad{$"
LOADS = {"src", "href", "srcset", "data", "poster", "action", "xlink:href"}


class Page(HTMLParser):
    """Parses a page, demanding that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]


RUNS = {
    "finished": make_run(),
    "running": make_run(epochs=8, done=3),
    "no epoch yet": make_run(done=0),
    "one epoch": make_run(epochs=8, done=1),
    "nothing held out": make_run(held_out=False),
    "nan": make_run(loss=math.nan),
    "nan from the start": make_run(epochs=8, done=1, loss=math.nan),
    "inf": make_run(loss=math.inf),
    "a loss of 0": make_run(epochs=1, loss=0.0),
    "synthetic": make_run(data="SYNTHETIC"),
    "hostile": make_run(name=HOSTILE, extra=HOSTILE),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_page_is_well_formed_and_loads_nothing(name):
    run, images = RUNS[name], IMAGES if RUNS[name].result else None
    source = report.html(run, images)
    page = Page(source)
    for _, attrs in page.tags:
        assert all(attrs[key].startswith(PNG) for key in LOADS & attrs.keys())
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not page.all("script") and not page.all("link") and not re.search(r"url\(|@import|https?:", source)
    drawn = report.figures(run, images)
    expected = ["curves", "rate"] if run.curve else []
    assert list(drawn) == expected + (["confusion", "mistakes"] if run.result else [])
    assert [img["alt"] for img in page.all("img")] == [picture.alt for picture in drawn.values()]
    for picture in drawn.values():
        assert picture.alt.startswith("SYNTHETIC") == (name == "synthetic") == ("SYNTHETIC" in written(picture))
        assert len(picture.alt) > 20 and not re.search(r"\b(nan|inf)\b", picture.alt + written(picture))
    assert not re.search(r"\b(nan|inf)\b", page.text)


def test_the_page_shows_its_figures():
    run = make_run()
    shown = [img["src"].removeprefix(PNG) for img in Page(report.html(run, IMAGES)).all("img")]
    assert shown == [picture.png() for picture in report.figures(run, IMAGES).values()]
    assert all(base64.b64decode(png).startswith(b"\x89PNG") for png in shown)


def written(picture):
    """What is written anywhere in the picture."""
    return "\n".join(artist.get_text() for artist in picture.findobj(lambda a: hasattr(a, "get_text")))


def test_everything_printed_is_escaped():
    run = make_run(name=HOSTILE, extra=[HOSTILE])
    run.model = replace(run.model, name=HOSTILE, layers=HOSTILE)
    run.data = replace(run.data, name=HOSTILE, fingerprint=HOSTILE, classes=[HOSTILE] * 10)
    run.hardware = replace(run.hardware, processor=HOSTILE)
    run.versions["torch"] = run.started = HOSTILE
    run.recipe[HOSTILE] = HOSTILE
    page = Page(report.html(run, IMAGES))
    assert not page.all("script") and len(page.all("img")) == 4
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    # Shown, as text, wherever it stood.
    alternatives = " ".join(img["alt"] for img in page.all("img"))
    assert page.text.count(HOSTILE) == 25 and alternatives.count(HOSTILE) == 2 + 12 + 24
    without_images = Page(report.html(run)).text
    assert without_images.count(HOSTILE) == 25 + 24


def test_it_reloads_itself_only_while_the_run_lasts():
    def reloads(run):
        return [m for m in Page(report.html(run)).all("meta") if m.get("http-equiv") == "refresh"]

    assert reloads(make_run(epochs=8, done=3)) == [{"http-equiv": "refresh", "content": "10"}]
    assert reloads(make_run()) == []
    assert "3 of 8 epochs, about 2.8 min to go" in Page(report.html(make_run(epochs=8, done=3))).text


def test_stand_in_data_is_loud_and_real_data_is_not_called_so():
    loud, real = Page(report.html(make_run(data="SYNTHETIC"))), Page(report.html(make_run()))
    assert "SYNTHETIC data: these numbers say nothing about CIFAR-10" in loud.text
    assert "vgg: VGG on SYNTHETIC" in loud.text and "SYNTHETIC" not in real.text


def test_numbers_say_which_images_they_come_from():
    text = Page(report.html(make_run(), IMAGES)).text
    assert "91.00% accuracy on the 10,000 test images, scored once" in text
    assert "77.17% accuracy on 5,000 held-out images, last epoch" in text
    assert "Confusion matrix, test images" in text and "Hardest mistakes, test images" in text
    running = make_run(epochs=8, done=3)
    running.result = replace(make_run().result, on="held_out")
    text = Page(report.html(running)).text
    assert "Confusion matrix, held-out images" in text and "10,000 test images" not in text
    assert "The test images are scored once, at the end" in text
    untested = make_run()
    untested.result = None
    assert "The test images were not scored." in Page(report.html(untested)).text
    assert "No images have been scored so far." in Page(report.html(untested)).text
    assert "No epoch has ended so far." in Page(report.html(make_run(done=0))).text
    nothing_held_out = Page(report.html(make_run(held_out=False))).text
    assert "held-out images" not in nothing_held_out and "there is no held-out curve" in nothing_held_out
    views = make_run()
    views.result = replace(views.result, accuracy_with_views=0.92)
    text = Page(report.html(views)).text
    assert "91.00% accuracy" in text and "92.00% accuracy" in text and "with test-time views" in text


def test_confusion_matrix_has_the_counts_and_the_accuracy_of_each_class():
    run = make_run()
    run.result.confusion[9] = [0] * 10
    page, picture = Page(report.html(run)), report.figures(run)["confusion"]
    counts = written(picture).split("\n")
    assert counts.count("91") == 9 and counts.count("1") == 81 and counts.count("0") == 10
    assert counts.count("91.0%") == 9 and counts.count("–") == 1
    (alternative,) = [img["alt"] for img in page.all("img") if img["alt"].startswith("Confusion")]
    assert "airplane 91.0%," in alternative and "truck –," in alternative


def test_mistakes_show_the_very_images_of_the_record():
    run = make_run()
    picture = report.figures(run, IMAGES)["mistakes"]
    for mistake, image in zip(run.result.mistakes, picture.axes[0].images, strict=True):
        assert (255 * image.get_array() == IMAGES[mistake.index]).all()
    assert "airplane → automobile 99.0%" in picture.alt
    assert "airplane, taken for automobile (99.00%)" in Page(report.html(run)).text  # without the images, in words
    with pytest.raises(ValueError, match="5,000 images, but the run scored 10,000 test images"):
        report.html(run, IMAGES[:5000])


def test_the_numbers_behind_the_curves_are_a_table():
    text = Page(report.html(make_run(epochs=2))).text
    assert "1 1.395 41.48% 1.791 39.48% 0.05 30.5" in text and "2 0.5 60.57% 1.284 58.57% 0 30.5" in text
    assert "1 1.395 41.48% – – 0.05 30.5" in Page(report.html(make_run(epochs=2, held_out=False))).text
    assert "2 – 60.57%" in Page(report.html(make_run(epochs=2, loss=math.nan))).text


def test_curves_and_rate_are_those_of_the_record():
    run = make_run(epochs=4)
    drawn = report.figures(run)
    accuracy, loss = drawn["curves"].axes
    for axis, quantity, scale in ((accuracy, "accuracy", 100), (loss, "loss", 1)):
        for line, name in zip(axis.lines, (f"held_out_{quantity}", quantity), strict=True):
            assert line.get_xdata() == pytest.approx([1, 2, 3, 4])
            assert line.get_ydata() == pytest.approx([scale * getattr(epoch, name) for epoch in run.curve])
    (rate,) = drawn["rate"].axes[0].lines
    assert rate.get_ydata() == pytest.approx([epoch.rate for epoch in run.curve])
    assert "77.17% held-out after epoch 4. vgg: 79.17% train after epoch 4." in drawn["curves"].alt
    assert drawn["rate"].alt.endswith("At most 0.075, 0 after epoch 4.")


def test_a_failed_write_leaves_the_old_page_and_no_litter(tmp_path, monkeypatch):
    path = report.write(make_run(done=2), tmp_path / "new" / "report.html")
    before = path.read_bytes()
    assert before.endswith(b"</html>\n")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        report.write(make_run(), path)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["report.html"]
