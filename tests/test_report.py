"""The HTML report: well-formed, self-contained, escaped, honest about its data, whole on disk."""

import base64
import io
import math
import re
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest
from made_runs import make_run

from course_utils.show import report

VOID = {"meta", "img", "br", "hr", "link", "input", "line", "circle", "path"}
IMAGES = np.random.default_rng(0).integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8)
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"
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
    source = report.html(RUNS[name], IMAGES if RUNS[name].result else None)
    page = Page(source)
    for _, attrs in page.tags:
        assert all(attrs[key].startswith("data:image/png;base64,") for key in LOADS & attrs.keys())
    assert not page.all("script") and not page.all("link") and not re.search(r"url\(|@import|https?:", source)
    assert len(page.all("svg")) == 3 and all(len(svg["aria-label"]) > 20 for svg in page.all("svg"))
    assert all(img["alt"] for img in page.all("img"))
    drawn = [attrs.get(key, "") for _, attrs in page.tags for key in ("d", "cx", "cy", "y1", "x", "y")]
    assert not re.search("nan|inf", " ".join(drawn)) and not {"nan", "nan%", "inf"} & set(page.text.split())


def test_everything_printed_is_escaped():
    run = make_run(name=HOSTILE, extra=[HOSTILE])
    run.model |= {"name": HOSTILE, "layers": HOSTILE}
    run.data |= {"name": HOSTILE, "fingerprint": HOSTILE, "classes": [HOSTILE] * 10}
    run.hardware["processor"] = run.versions["torch"] = run.started = HOSTILE
    run.recipe[HOSTILE] = HOSTILE
    page = Page(report.html(run, IMAGES))
    assert not page.all("script") and len(page.all("img")) == len(run.result["mistakes"])
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)
    assert page.text.count("<script>alert(1)</script>") > 30  # shown, as text, wherever it stood


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
    running.result = make_run().result | {"on": "held_out"}
    text = Page(report.html(running)).text
    assert "Confusion matrix, held-out images" in text and "10,000 test images" not in text
    assert "The test images are scored once, at the end" in text
    untested = make_run()
    untested.result = None
    assert "The test images were not scored." in Page(report.html(untested)).text
    assert "held-out images" not in Page(report.html(make_run(held_out=False))).text
    views = make_run()
    views.result["accuracy_with_views"] = 0.92
    text = Page(report.html(views)).text
    assert "91.00% accuracy" in text and "92.00% accuracy" in text and "with test-time views" in text


def test_confusion_matrix_has_the_counts_and_the_accuracy_of_each_class():
    run = make_run()
    run.result["confusion"][9] = [0] * 10
    text = Page(report.html(run)).text
    assert "airplane 91 1 1 1 1 1 1 1 1 1 91.00%" in text
    assert "truck 0 0 0 0 0 0 0 0 0 0 –" in text


def test_mistakes_show_the_very_images_of_the_record():
    run = make_run()
    shown = Page(report.html(run, IMAGES)).all("img")
    for mistake, img in zip(run.result["mistakes"], shown, strict=True):
        png = base64.b64decode(img["src"].removeprefix("data:image/png;base64,"))
        pixels = matplotlib.image.imread(io.BytesIO(png))[:, :, :3] * 255
        assert (pixels.round() == IMAGES[mistake["index"]]).all()
    assert shown[0]["alt"] == "airplane, taken for automobile"
    with pytest.raises(ValueError, match="5,000 images, but the run scored 10,000 test images"):
        report.html(run, IMAGES[:5000])


def test_curves_are_drawn_to_scale():
    run = make_run(epochs=4)
    chart = report.html(run).split("<svg")[1]  # accuracy in percent, 0 to 80 from y = 176 up to y = 30
    path = re.search(r'class="train"><path d="M([^"]*)"', chart)[1]
    for point, epoch in zip(path.split("L"), run.curve, strict=True):
        x, y = map(float, point.split())
        assert x == pytest.approx(42 + 284 * epoch["epoch"] / 4, abs=0.1)
        assert y == pytest.approx(176 - 146 * epoch["accuracy"] / 0.8, abs=0.1)


@pytest.mark.parametrize("span", [1e-6, 0.03, 0.7, 1, 2.3, 5, 40, 99.9, 100, 300, 1e9])
def test_ticks_are_round_and_few(span):
    step = report._tick_step(span)
    assert 2 <= math.ceil(span / step - 1e-3) <= 5
    assert f"{step:e}"[0] in "125" and float(f"{step:.0e}") == pytest.approx(step)


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
