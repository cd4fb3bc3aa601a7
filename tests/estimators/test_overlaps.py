"""The law of the overlap: against enumeration, and its errors against those of single bins."""

import math
from typing import Any

import pytest
import torch

import leaps_triton as lt
from helpers import sigma_threshold, states
from leaps_triton.estimators import chain_estimate, overlap_distribution, weighted_estimate
from leaps_triton.observables import overlap, overlap_histogram

GLASS = lt.EdwardsAnderson((3, 3), beta=0.4, seed=3)


def exact_law() -> torch.Tensor:
    """Shares of the ten values of q between all pairs of configurations."""
    law, spins = lt.exact.enumerate_model(GLASS), 2.0 * states(GLASS).flatten(1).double() - 1.0
    index = ((spins @ spins.T + 9.0) / 2.0).round().long()
    p = law.log_probabilities.exp()
    return torch.zeros(10, dtype=torch.float64).index_add_(
        0, index.flatten(), torch.outer(p, p).flatten()
    )


@pytest.mark.filterwarnings("ignore:.*the means of 20 chains")  # one bin in a thousand by chance
@pytest.mark.parametrize(
    "kernel",
    [
        lt.HeatBath(),
        lt.ParallelTempering([0.3, 0.6, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer())),
    ],
    ids=["heat bath", "tempering with Houdayer"],
)
def test_chains_have_the_exact_law(kernel: Any) -> None:
    """Ten bins, each one value; a false alarm with probability 1e-4."""
    chain = lt.run_chain(GLASS, kernel, 40, 1000, seed=5, observables=["overlap"], device="cpu")
    edges = (torch.arange(11, dtype=torch.float64) - 0.5) * (2.0 / 9.0) - 1.0
    found = overlap_distribution(chain.values["overlap"], edges)
    pulls = (found.density * (2.0 / 9.0) - exact_law()) / (found.error * (2.0 / 9.0))
    assert pulls.abs().max() < sigma_threshold(10)
    assert torch.allclose(found.centres, torch.arange(10, dtype=torch.float64) * (2.0 / 9.0) - 1.0)


def test_bins_are_means_of_their_indicators() -> None:
    q = (
        torch.rand(6, 200, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2.0
        - 1.0
    )
    found, flat = overlap_distribution(q, 4), overlap_distribution(q[:, 0], 4, torch.arange(6.0))
    for row in range(4):
        inside = ((q >= row / 2 - 1) & (q < row / 2 - 0.5)).double() / 0.5
        expected = chain_estimate(inside, least_window=chain_estimate(q).window)
        assert (float(found.density[row]), float(found.error[row])) == (
            expected.value,
            expected.error,
        )
        one = weighted_estimate(inside[:, 0], torch.arange(6.0))
        assert (float(flat.density[row]), float(flat.error[row])) == pytest.approx(one)
    assert torch.allclose(found.density, overlap_histogram(q, bins=4).density)
    both = overlap_distribution(q, 4, together=2).error
    assert bool((both != found.error).any())
    x = lt.exact.sample(GLASS, 10)
    assert overlap_distribution(overlap(x, x, GLASS), 7).density[-1] == pytest.approx(3.5)


Q = torch.zeros(2, 8)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overlaps": Q > 0}, "overlaps must be real"),
        ({"overlaps": Q.view(2, 2, 4)}, "overlaps must be real"),
        ({"overlaps": Q + 1.5}, r"overlaps must be in \[-1, 1\], got 1.5 to 1.5"),
        ({"overlaps": Q + math.nan}, r"overlaps must be in \[-1, 1\], got nan"),
        ({"bins": 0}, "bins must be an integer of at least 1"),
        ({"bins": torch.tensor([0.0, 0.0])}, "increasing edges"),
        ({"bins": torch.tensor([0.5, 1.0])}, r"overlaps must be in \[0.5, 1\]"),
        ({"log_weights": torch.zeros(2)}, "draws of chains have no weights"),
        ({"together": 3}, "together must divide the number of walkers"),
    ],
)
def test_input_that_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlap_distribution(**{"overlaps": Q, **given})
