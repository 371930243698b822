"""The check that lessons print: it says how far two results are apart, and stops where they are too far."""

import pytest
import torch

from course_utils.show.compare import compare


def test_what_agrees_is_said_to_and_by_how_much(capsys):
    compare("same", torch.ones(3), torch.ones(3))
    compare("near", torch.ones(3), 1 + 2e-6)
    assert capsys.readouterr().out == "same: exact\nnear: equal up to 2e-06\n"


@pytest.mark.parametrize(("ours", "theirs", "complaint"), [
    (torch.zeros(3), torch.ones(3), "differ by 1"), (torch.zeros(3), torch.tensor([0.0, 0.0, float("nan")]), "nan"),
    (torch.ones(5, 1), torch.ones(5), r"the shapes are \(5, 1\) and \(5,\)"),
])
def test_what_differs_stops_the_lesson(ours, theirs, complaint):
    with pytest.raises(AssertionError, match=complaint):
        compare("results", ours, theirs)
