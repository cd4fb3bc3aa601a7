"""Sums over one of two classes of sites: values and samples against enumeration, and refusals."""

import pytest
import torch

import leaps_triton as lt
from leaps_triton.exact.graphs import class_moments, class_obstacle, class_sample
from leaps_triton.models import PairModel

DOUBLE = torch.float64


def asymmetric() -> PairModel:
    """Three states, bonds in both directions between two classes, and ``φ`` that is not even."""
    edges = [[0, 3], [4, 0], [1, 3], [4, 1], [2, 5], [5, 1], [6, 0], [2, 6]]
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=DOUBLE)

    return PairModel(lt.Graph(edges), 0.6, drawn(3, 3), drawn(3, 7), drawn(8))


def test_values_are_those_of_enumeration() -> None:
    model = asymmetric()
    assert not class_obstacle(model)
    law = lt.exact.enumerate_model(model)
    energy = model.energy(law.configurations)
    share = law.log_probabilities.exp()
    mean = float(share @ energy)
    found = class_moments(model, energies=True)
    assert found.log_z == pytest.approx(law.log_z, abs=1e-12)
    assert class_moments(model).log_z == found.log_z
    assert found.energy == pytest.approx(mean, abs=1e-12)
    assert found.variance == pytest.approx(float(share @ (energy - mean) ** 2), abs=1e-11)


def test_samples_have_the_law() -> None:
    """Chi squared of 2187 states less than 5 sigma off: once in a million seeds."""
    model = asymmetric()
    law = lt.exact.enumerate_model(model)
    x = class_sample(model, 40000, seed=3)
    assert x.dtype == torch.int8 and x.shape == (40000, 7)
    powers = 3 ** torch.arange(6, -1, -1)
    counts = torch.bincount((x.long() * powers).sum(1), minlength=3**7).double()
    expected = 40000 * law.log_probabilities.exp()
    # Rare states are counted as one.
    common = expected > 5.0
    counts = torch.cat([counts[common], counts[~common].sum().view(1)])
    expected = torch.cat([expected[common], expected[~common].sum().view(1)])
    squares = float(((counts - expected) ** 2 / expected).sum())
    freedom = len(expected) - 1
    assert abs(squares - freedom) < 5.0 * (2.0 * freedom) ** 0.5


def test_obstacles_are_told() -> None:
    assert class_obstacle("no model") == "the model is not a PairModel"
    triangle = lt.Ising(lt.Graph([[0, 1], [1, 2], [2, 0]]), 0.5)
    assert class_obstacle(triangle) == "its sites have 3 colours, and not two"
    assert "2**30 states, more than 2**24" in class_obstacle(lt.RBM(torch.zeros(40, 30)))
    assert "more than 1024 in all" in class_obstacle(lt.RBM(torch.zeros(40, 12)), updates=2**10)
    with pytest.raises(ValueError, match="2\\*\\*30 states"):
        lt.exact.log_z(lt.RBM(torch.ones(40, 30)))
