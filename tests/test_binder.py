"""Binder: the same versions as everywhere, a build that repo2docker understands, and sessions that open a lesson."""

from test_packaging import ROOT, pins

BINDER = ROOT / "binder"


def test_binder_has_the_pins_of_the_course_with_the_cpu_s_wheels():
    theirs, ours = pins(BINDER / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert theirs == {name: f"{pin}+cpu" if name in ("torch", "torchvision") else pin for name, pin in ours.items()}
