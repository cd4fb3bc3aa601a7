"""Correlations, structure factors and overlaps against their sums, and their directions."""

import itertools
import math

import pytest
import torch
from observable_cases import some

from leaps_triton import observables
from leaps_triton.exact import enumerate_model, expectation
from leaps_triton.models import Clock, EdwardsAnderson, Ising, PairModel, Potts

SPINS = {
    "ising": Ising((4, 5), 0.4),
    "open": Ising((5, 4), 0.4, periodic=(False, True)),
    "potts": Potts((3, 4), 3, 0.7),
    "clock": Clock((3, 2, 4), 5, 0.7, periodic=(True, True, False)),
    "chain": Ising((6,), 0.4),
}


def sites(model: PairModel) -> list[tuple[int, ...]]:
    return list(itertools.product(*map(range, model.lattice.shape)))


@pytest.mark.parametrize("model", SPINS.values(), ids=SPINS)
def test_correlation_equals_the_sum_over_pairs(model: PairModel) -> None:
    x = some(model)
    spins = model.spins[x.long()]
    for d, (length, wraps) in enumerate(
        zip(model.lattice.shape, model.lattice.periodic, strict=True)
    ):
        values = observables.along(observables.correlation, d)(x, model)
        distances = length // 2 + 1 if wraps else length
        assert values.shape == (5, distances) and values.dtype == torch.float64
        for w, r in itertools.product(range(5), range(distances)):
            products = []
            for site in sites(model):
                there = list(site)
                there[d] += r
                if there[d] >= length and not wraps:
                    continue
                there[d] %= length
                products.append(float(spins[(w, *site)] @ spins[(w, *there)]))
            assert values[w, r].item() == pytest.approx(
                math.fsum(products) / len(products), abs=1e-12
            )


@pytest.mark.parametrize("model", SPINS.values(), ids=SPINS)
def test_structure_factor_equals_its_sum_and_the_transform_of_the_correlation(
    model: PairModel,
) -> None:
    x = some(model)
    spins = model.spins[x.long()]
    for d, (length, wraps) in enumerate(
        zip(model.lattice.shape, model.lattice.periodic, strict=True)
    ):
        if not wraps:
            with pytest.raises(ValueError, match=f"direction {d} is open"):
                observables.structure_factor(x, model, direction=d)
            continue
        values = observables.structure_factor(x, model, direction=d)
        assert values.shape == (5, length // 2 + 1)
        for n in range(length // 2 + 1):
            phase = (
                2
                * math.pi
                * n
                / length
                * torch.tensor([site[d] for site in sites(model)], dtype=torch.float64)
            )
            waves = torch.stack([phase.cos(), phase.sin()])
            amplitude = torch.einsum("cs,wsn->wcn", waves, spins.view(5, model.lattice.sites, -1))
            torch.testing.assert_close(
                values[:, n], amplitude.square().sum((1, 2)) / model.lattice.sites
            )
        squared = observables.magnetization_squared(x, model) * model.lattice.sites
        torch.testing.assert_close(values[:, 0], squared)


def test_correlation_of_the_ring_is_that_of_the_transfer_matrix() -> None:
    """``⟨s_0 s_r⟩ = (v^r + v^{L-r}) / (1 + v^L)``, ``v = tanh K``.

    The length ξ from the sum of its series.
    """
    length, v = 10, math.tanh(0.6)
    model = Ising((length,), 0.6)
    expected = [(v**r + v ** (length - r)) / (1 + v**length) for r in range(6)]
    means = enumerate_model(model).mean(observables.correlation, model)
    assert means.tolist() == pytest.approx(expected, rel=1e-12)
    full = [expected[min(r, length - r)] for r in range(length)]
    zero, first = (
        math.fsum(c * math.cos(2 * math.pi * n * r / length) for r, c in enumerate(full))
        for n in (0, 1)
    )
    expected_length = math.sqrt(zero / first - 1) / (2 * math.sin(math.pi / length))
    assert expectation(model, observables.correlation_length).item() == pytest.approx(
        expected_length, rel=1e-11
    )
    # Of the infinite chain it is √v / (1 - v).
    assert expected_length == pytest.approx(math.sqrt(v) / (1 - v), rel=0.02)


def test_correlation_length_has_the_length_of_its_direction() -> None:
    """Uncoupled rings of 4 sites, along either direction."""
    for shape, direction in (((3, 4), 1), ((4, 3), 0)):
        coupling = torch.zeros(2, *shape)
        coupling[direction] = 1.0
        model, ring = Ising(shape, 0.5, coupling), Ising((4,), 0.5)
        value = expectation(
            model, observables.along(observables.correlation_length, direction)
        ).item()
        assert value == pytest.approx(
            expectation(ring, observables.correlation_length).item(), rel=1e-11
        )
        # Across the chains nothing is correlated.
        across = expectation(
            model, observables.along(observables.correlation_length, 1 - direction)
        ).item()
        assert math.isnan(across) or across < 1e-6
    antiferromagnet = Ising((4, 4), 0.5, coupling=-1.0)
    assert math.isnan(expectation(antiferromagnet, observables.correlation_length).item())


@pytest.mark.parametrize("model", SPINS.values(), ids=SPINS)
def test_overlaps_equal_their_sums(model: PairModel) -> None:
    x = some(model, 10)
    first, second = x[:5], x[5:]
    a, b = (model.spins[y.long()] for y in (first, second))
    q, links = (
        observables.overlap(first, second, model),
        observables.link_overlap(first, second, model),
    )
    for w in range(5):
        pairs, products = [], []
        for site in sites(model):
            pairs.append(float(a[(w, *site)] @ b[(w, *site)]))
            for d, (length, wraps) in enumerate(
                zip(model.lattice.shape, model.lattice.periodic, strict=True)
            ):
                there = list(site)
                there[d] = (site[d] + 1) % length
                if wraps or there[d]:
                    products.append(
                        float((a[(w, *site)] @ a[(w, *there)]) * (b[(w, *site)] @ b[(w, *there)]))
                    )
        assert q[w].item() == pytest.approx(math.fsum(pairs) / model.lattice.sites, abs=1e-13)
        assert links[w].item() == pytest.approx(math.fsum(products) / len(products), abs=1e-13)


def test_overlaps_of_a_replica_with_itself_and_its_mirror_image() -> None:
    model = EdwardsAnderson((4, 4), 1.0)
    x = some(model)
    ones = torch.ones(5, dtype=torch.float64)
    assert torch.equal(observables.overlap(x, x, model), ones) and torch.equal(
        observables.overlap(x, 1 - x, model), -ones
    )
    assert torch.equal(observables.link_overlap(x, x, model), ones)
    assert torch.equal(observables.link_overlap(x, 1 - x, model), ones)
    with pytest.raises(ValueError, match="same shape"):
        observables.overlap(x, x[:3], model)
    with pytest.raises(ValueError, match="same shape"):
        observables.link_overlap(x, x[:3], model)


def test_the_histogram_of_overlaps_is_a_density() -> None:
    """Two free spins: q is -1, 0, 1 with probabilities 1/4, 1/2, 1/4.

    Weights count as copies do.
    """
    model = Ising((2,), 0.0)
    x = enumerate_model(model).configurations
    first, second = x.repeat_interleave(4, 0), x.repeat(4, 1)
    q = observables.overlap(first, second, model)
    histogram = observables.overlap_histogram(q, bins=5)
    assert histogram.centres.tolist() == pytest.approx([-0.8, -0.4, 0.0, 0.4, 0.8])
    assert histogram.density.tolist() == pytest.approx([0.625, 0.0, 1.25, 0.0, 0.625])
    weights = torch.arange(1.0, 17.0)
    weighted = observables.overlap_histogram(q, weights.log(), bins=5).density
    copies = observables.overlap_histogram(q.repeat_interleave(weights.long()), bins=5).density
    torch.testing.assert_close(weighted, copies)
    assert float(weighted.sum()) * 0.4 == pytest.approx(1.0)


def test_histograms_and_directions_that_are_refused() -> None:
    for arguments, message in (
        ({"overlaps": torch.tensor([1.1])}, "in \\[-1, 1\\]"),
        ({"overlaps": torch.tensor([math.nan])}, "in \\[-1, 1\\]"),
        ({"overlaps": torch.tensor([])}, "above 0"),
        ({"overlaps": torch.zeros(3), "log_weights": torch.zeros(2)}, "of one length"),
        ({"overlaps": torch.zeros(3), "bins": 0}, "bins must be"),
    ):
        with pytest.raises(ValueError, match=message):
            observables.overlap_histogram(**arguments)
    model = Ising((3, 3), 0.4)
    for direction in (2, -1):
        with pytest.raises(ValueError, match="direction must be an integer from 0 to 1"):
            observables.correlation(some(model), model, direction=direction)


def test_along_keeps_name_and_function() -> None:
    directed = observables.along(observables.correlation_length, 1)
    assert directed.__name__ == "correlation_length_1"
    assert directed.function is observables.correlation_length.function  # type: ignore[attr-defined]
    assert not hasattr(observables.along(observables.correlation, 1), "function")
