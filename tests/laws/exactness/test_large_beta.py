"""Large β and large couplings: exact values, moves and estimators keep all digits.

Real instances have couplings near 1e5, and low temperatures are β = 1000. Statistical tests have
fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from large_cases import CASES, FAR_APART, LARGE, glass
from torch import Tensor

import leaps_triton as lt
from helpers import sigma_threshold, states
from leaps_triton import estimators, exact
from leaps_triton.kernels import reference

FLOAT64 = torch.float64


def by_hand(model: Any) -> tuple[float, float, float]:
    """``log Z``, energy and specific heat per site by sums of integers' precision (``fsum``)."""
    energies = model.energy(states(model)).tolist()
    least = min(energies)
    weights = [math.exp(-model.beta * (energy - least)) for energy in energies]
    total = math.fsum(weights)
    above = [energy - least for energy in energies]
    pairs = list(zip(weights, above, strict=True))
    mean = math.fsum(w * e for w, e in pairs) / total
    variance = math.fsum(w * (e - mean) ** 2 for w, e in pairs) / total
    sites = model.lattice.sites
    log_z = math.log(total) - model.beta * least
    return log_z, (least + mean) / sites, model.beta**2 * variance / sites


EXACT: dict[str, Callable[[float, float], Any]] = {
    "Kaufman": lambda beta, size: lt.Ising((3, 4), beta, coupling=size),
    "Kaufman antiferromagnet": lambda beta, size: lt.Ising((4, 2), beta, coupling=-size),
    "enumeration": lambda beta, size: glass((3, 3), beta, size),
    "transfer": lambda beta, size: glass((4, 3), beta, size, field=0.3 * size),
    "transfer open": lambda beta, size: glass((7, 2), beta, size, periodic=False),
    "Potts": lambda beta, size: lt.Potts((2, 4), 3, beta, coupling=size, field=[size, 0.0, 0.0]),
}


@pytest.mark.parametrize(("beta", "size"), CASES)
@pytest.mark.parametrize("name", EXACT)
def test_exact_values(name: str, beta: float, size: float) -> None:
    model = EXACT[name](beta, size)
    log_z, energy, heat = by_hand(model)
    assert exact.log_z(model) == pytest.approx(log_z, rel=1e-13)
    assert exact.energy(model) == pytest.approx(energy, rel=1e-12)
    assert exact.specific_heat(model) == pytest.approx(heat, rel=1e-9, abs=1e-12)
    if name.startswith(("transfer", "enumeration")):
        moments = exact.transfer_moments(model, energies=True)
        assert moments.log_z == pytest.approx(log_z, rel=1e-13)
        assert moments.energy == pytest.approx(energy * model.lattice.sites, rel=1e-12)


@pytest.mark.parametrize(("beta", "size"), LARGE)
def test_closed_forms_end_in_the_ground_state(beta: float, size: float) -> None:
    """Two states of energy -2 J a site; without rounding, since all else underflows."""
    strength = beta * size
    assert exact.ising_log_z((6, 5), beta, size) - 60.0 * strength == pytest.approx(
        math.log(2.0), abs=1e-14 * 60.0 * strength
    )
    assert exact.onsager_log_z(beta, size) == pytest.approx(2.0 * strength, rel=1e-15)
    assert exact.ising_energy((6, 5), beta, size) == pytest.approx(-2.0 * size, rel=1e-15)
    assert exact.onsager_energy(beta, size) == pytest.approx(-2.0 * size, rel=1e-15)
    for heat in (
        exact.ising_specific_heat((6, 5), beta, size),
        exact.onsager_specific_heat(beta, size),
    ):
        assert heat == 0.0
        assert math.copysign(1.0, heat) == 1.0
    assert exact.yang_magnetization(beta, size) == 1.0


@pytest.mark.parametrize(("beta", "size"), CASES)
def test_exact_samples(beta: float, size: float) -> None:
    """At a large β J all are ground states; at β J of order 1 they are those of β = 1."""
    for shape in ((3, 3), (5, 4)):
        model = glass(shape, beta, size)
        energies = model.energy(exact.sample(model, 8, seed=1))
        if (beta, size) == FAR_APART:
            unit = glass(shape, 1.0, 1.0)
            same = unit.energy(exact.sample(unit, 8, seed=1))
            assert torch.allclose(energies, size * same, rtol=1e-12)
        else:
            least = torch.full_like(energies, shape[0] * shape[1] * exact.energy(model))
            assert torch.allclose(energies, least, rtol=1e-12)


@pytest.mark.parametrize(("beta", "size"), CASES)
def test_coupling_from_the_past_comes_or_says_that_it_does_not(beta: float, size: float) -> None:
    decided = lt.Ising((4, 4), beta, coupling=size, field=5.0 * size)
    up = exact.coupling_from_the_past(decided, 3, device="cpu")
    assert bool((up == 1).all())
    with pytest.raises(RuntimeError, match="another method if the model is ordered"):
        exact.coupling_from_the_past(
            lt.Ising((4, 4), 10.0 * beta, coupling=size), 3, max_sweeps=64, device="cpu"
        )


def test_energies_and_their_changes_have_all_digits() -> None:
    """Against a sum over bonds by ``fsum``; float64 throughout."""
    model = glass((3, 4), 1.0, 1e5, field=0.3)
    x = states(model)[[0, 77, 1234, 4000]]
    coupling = model.coupling
    for row, energy in zip(x, model.energy(x).tolist(), strict=True):
        spins = (2 * row.double() - 1).tolist()
        terms = [-0.3 * spins[i][j] for i, j in itertools.product(range(3), range(4))]
        for i, j in itertools.product(range(3), range(4)):
            terms.append(-float(coupling[0, i, j]) * spins[i][j] * spins[(i + 1) % 3][j])
            terms.append(-float(coupling[1, i, j]) * spins[i][j] * spins[i][(j + 1) % 4])
        assert energy == pytest.approx(math.fsum(terms), rel=1e-14)
    changes = model.energy_change(x)
    for i, j in itertools.product(range(3), range(4)):
        flipped = x.clone()
        flipped[:, i, j] = 1 - flipped[:, i, j]
        expected = model.energy(flipped) - model.energy(x)
        assert torch.allclose(changes[:, 0, i, j], expected, rtol=1e-12, atol=1e-9)


def test_probabilities_of_a_site_have_the_digits_of_float32() -> None:
    """Those of β = 1 and ``J = 1``, within a few roundings of a float32."""
    beta, size = FAR_APART
    small = glass((4, 4), 1.0, 1.0)
    large = glass((4, 4), beta, size)
    x = lt.AnnealingPath(small).start.sample(torch.arange(50), seed=0)
    cpu = torch.device("cpu")
    laws = []
    for model in (small, large):
        tables = model.tables(cpu)
        given = reference.Tables(*tables[:3], model.lattice.periodic)
        fields = reference.local_fields(x, given)
        inverse = torch.tensor([model.beta], dtype=FLOAT64)
        laws.append(reference.heat_bath_probabilities(fields, inverse))
    assert float((laws[0] - laws[1]).abs().max()) < 2e-6
    exactly = small.local_energy(x, torch.ones(1, dtype=FLOAT64), FLOAT64).log_ratios
    found = large.local_energy(x, torch.tensor([beta], dtype=FLOAT64)).log_ratios
    assert torch.allclose(found.double(), exactly, rtol=1e-5, atol=1e-5)


MOVES: dict[str, Any] = {
    "HeatBath": lt.HeatBath(),
    "Metropolis": lt.Metropolis(),
    "SwendsenWang": lt.SwendsenWang(),
    "Wolff": lt.Wolff(),
    "KineticMonteCarlo": lt.KineticMonteCarlo(),
    "KineticMonteCarlo by roots": lt.KineticMonteCarlo(1e-3, reversible="square_root"),
    "Houdayer": lt.Compose(lt.HeatBath(), lt.Houdayer()),
    "ParallelTempering": lt.ParallelTempering([0.0, 0.01, 0.1, 1.0]),
}
DOWNHILL = ["HeatBath", "Metropolis", "KineticMonteCarlo"]
"""Moves of single sites, none of which goes up where a step up has a weight of ``e^{-1000}``."""


def after(move: Any, model: Any, sweeps: int, x: Tensor) -> Tensor:
    path = lt.AnnealingPath(model)
    state = move.init(x, torch.arange(len(x)))
    for _ in range(sweeps):
        state, _ = move.step(state, path, 1.0, 5)
    return state.configurations


@pytest.mark.parametrize("name", MOVES)
def test_moves_know_the_product_of_beta_and_coupling_alone(name: str) -> None:
    """The same random numbers lead to the same walkers where β J is the same."""
    beta, size = FAR_APART
    model = glass((4, 4), 1.0, 1.0)
    x = lt.AnnealingPath(model).start.sample(torch.arange(20), seed=2)
    expected = after(MOVES[name], model, 4, x)
    assert torch.equal(after(MOVES[name], glass((4, 4), beta, size), 4, x), expected)
    assert not torch.equal(expected, x)


@pytest.mark.parametrize(("beta", "size"), LARGE)
@pytest.mark.parametrize("name", [name for name in MOVES if "roots" not in name])
def test_moves_at_large_beta(name: str, beta: float, size: float) -> None:
    model = glass((4, 4), beta, size)
    x = lt.AnnealingPath(model).start.sample(torch.arange(20), seed=2)
    moved = after(MOVES[name], model, 8, x)
    before = model.energy(x)
    energies = model.energy(moved)
    assert bool(energies.isfinite().all())
    if name in DOWNHILL:
        assert bool((energies <= before).all())
        assert bool((energies < before).any())


def test_reflections_at_large_beta() -> None:
    """Clock states on a circle; over-relaxation keeps the energy where it can."""
    for beta, size in LARGE:
        model = lt.Clock((4, 4), 5, beta, coupling=size)
        x = lt.AnnealingPath(model).start.sample(torch.arange(20), seed=2)
        moved = after(lt.Overrelaxation(), model, 4, x)
        assert bool((model.energy(moved) <= model.energy(x) + 1e-9 * size).all())


def test_rates_by_roots_are_too_large_and_say_so() -> None:
    for beta, size in LARGE:
        model = glass((4, 4), beta, size)
        x = lt.AnnealingPath(model).start.sample(torch.arange(20), seed=2)
        with pytest.raises(RuntimeError, match=r"take reversible='metropolis'|take a shorter time"):
            after(MOVES["KineticMonteCarlo by roots"], model, 8, x)


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_estimators_know_the_product_of_beta_and_coupling_alone() -> None:
    """Reweighting, multi-histograms, stepping stones, weights: at β = 1e-5 those of β = 1."""
    fractions = [0.0, 0.2, 0.5, 1.0]
    results = []
    for beta, size in ((1.0, 1.0), FAR_APART):
        model = glass((3, 3), beta, size)
        with warnings.catch_warnings():
            # The chains are short, and both the same.
            warnings.simplefilter("ignore", lt.ShortChainWarning)
            chain = lt.run_chain(
                model,
                lt.ParallelTempering(fractions),
                8,
                60,
                observables=["replica_energies"],
                device="cpu",
            )
            energies = chain.values["replica_energies"]
            betas = [fraction * beta for fraction in fractions]
            of_each = [energies[..., k] for k in range(len(betas))]
            values = [each / size for each in of_each]
            target = 0.7 * beta
            found = [
                estimators.stepping_stones(energies, betas, chain.together).value,
                estimators.multi_reweight(of_each, values, betas, beta_to=target).value,
                estimators.reweight(of_each[3], values[3], beta, target).value,
                float(estimators.mbar([each.flatten() for each in of_each], betas)[-1]),
                estimators.exchange_rates(energies, betas)[1].value,
            ]
            sampler = lt.Sampler(
                lt.AnnealingPath(model), None, lt.Jump(10), lt.HeatBath(), block=50, device="cpu"
            )
            ensemble = sampler.sample(50, seed=0)
            found += [ensemble.log_z, ensemble.ess, ensemble.estimate("energy").value / size]
            results.append(found)
    assert results[0] == pytest.approx(results[1], rel=1e-9)
    # Stepping stones at β = 1, against the exact value.
    log_z = exact.log_z(glass((3, 3), 1.0, 1.0)) - 9.0 * math.log(2.0)
    assert abs(results[0][0] - log_z) < 0.2 * sigma_threshold(1)
