"""Functions of a user's own that no weight or force could be right with."""

from typing import Any

import pytest
import torch

import leaps_triton as lt


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: -x.square().sum(0), "each row the number of that row alone"),
        (lambda x: -(x - x.mean(0)).square().sum(1), "each row the number of that row alone"),
        (lambda x: -x.detach().square().sum(1), "leave out detach, no_grad and numpy"),
        (lambda x: torch.from_numpy(-(x.numpy() ** 2).sum(1)), "numpy has none"),
        (lambda x: -(x @ torch.eye(2)).square().sum(1), "configurations of torch.float64.*dtype="),
        (lambda x: -x[0].square() - x[1].square(), r"first coordinate of all rows is x\[:, 0\]"),
    ],
)
def test_a_function_that_no_weight_or_force_is_right_with_is_refused(
    function: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        lt.Density(function, dim=2)


def test_a_mixture_is_the_same_after_a_file() -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        weights = torch.rand(7, generator=generator, dtype=torch.float64) + 0.01
        model = lt.GaussianMixture(torch.arange(7.0).view(7, 1), 0.5, weights.tolist())
        again = lt.GaussianMixture(**model.settings)
        assert torch.equal(again.mode_weights, model.mode_weights)
