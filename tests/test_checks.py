"""What an exercise's check takes from an answer: any form of the numbers, and the network itself."""

import copy

import numpy as np
import torch

from course_utils.show.checks import answer, array, module, number


def test_numbers_in_bfloat16_are_taken_as_any_others():
    values = torch.tensor([0.5, 2.0]).bfloat16()
    assert answer(lambda: values, array)().tolist() == [0.5, 2.0]
    assert answer(lambda: values[1], number)() == 2.0


def test_a_copy_of_a_checked_network_computes_with_its_own_weights():
    net = module(torch.nn.Linear(1, 1, bias=False))
    twin = copy.deepcopy(net)
    with torch.no_grad():
        net.weight.fill_(5.0)
        twin.weight.fill_(1.0)
    assert (net(torch.ones(1, 1)).item(), twin(torch.ones(1, 1)).item()) == (5.0, 1.0)
    assert isinstance(twin, torch.nn.Linear) and np.isclose(array(twin.weight), 1.0).all()
