"""Over-relaxation and compositions of kernels: by enumeration, and their draws by the law.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import functools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import (
    ENERGY_ONLY,
    draw,
    heat_bath_matrix,
    index_of,
    metropolis_matrix,
    pulls,
    rho,
    sigma_threshold,
    states,
)
from leaps_triton import exact, kernels
from leaps_triton.kernels import Stream
from leaps_triton.mcmc import ComposeInfo

FLOAT64 = torch.float64
SIGNS = lt.EdwardsAnderson(3, beta=1.0, disorder="gaussian", seed=4).coupling
MODELS: dict[str, Any] = {
    "clock 2x2 q=4": lt.Clock((2, 2), q=4, beta=0.7, field=[0.1, 0.0, -0.3, 0.2]),
    "clock ring q=5": lt.Clock(3, q=5, beta=0.9, field=torch.linspace(-0.6, 0.8, 15).view(5, 3)),
    "clock ring q=6": lt.Clock(3, q=6, beta=1.1, coupling=SIGNS),
    "potts 2x3": lt.Potts((2, 3), q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
}


PATHS = {name: lt.AnnealingPath(model) for name, model in MODELS.items()}


def reflected(model: Any, x: list[int], site: int) -> int:
    """The state of a site reflected about the axis nearest to its field, from plane geometry."""
    q, neighbours = model.q, model.lattice.neighbours()
    coupling = model.coupling.expand(model.lattice.ndim, *model.lattice.shape).flatten(1)
    along, across = 0.0, 0.0
    for state in range(q):
        weight = float(model.site_table.expand(q, *model.lattice.shape).flatten(1)[state, site])
        for row in range(len(neighbours)):
            other = int(neighbours[row, site])
            if other >= 0:
                bond = float(coupling[row // 2, other if row % 2 else site])
                weight += bond * float(model.bond_table[state, x[other]])
        along += weight * math.cos(2 * math.pi * state / q)
        across += weight * math.sin(2 * math.pi * state / q)
    if math.hypot(along, across) < 1e-9:
        return -x[site] % q
    angle = math.atan2(across, along)
    # Axes have no direction, so that angles are modulo π.
    distances = [
        abs((angle - math.pi * r / q + math.pi / 2) % math.pi - math.pi / 2) for r in range(q)
    ]
    axis = next(r for r, distance in enumerate(distances) if distance <= min(distances) + 1e-8)
    return (axis - x[site]) % q


@functools.cache
def overrelaxation_matrix(path: lt.AnnealingPath, t: float, backward: bool = False) -> Tensor:
    """Transition matrix of one sweep, colour after colour, from energies."""
    model: Any = path.model
    x = states(model)
    n, energy, colours = len(x), model.energy(x), model.lattice.colours().flatten()
    sweep, classes = torch.eye(n, dtype=FLOAT64), range(model.lattice.num_colours)
    for colour in reversed(classes) if backward else classes:
        for site in (colours == colour).nonzero().squeeze(1).tolist():
            y = x.flatten(1).clone()
            y[:, site] = torch.tensor(
                [reflected(model, row, site) for row in x.flatten(1).tolist()]
            )
            ends = index_of(y, model.q)
            assert torch.equal(ends[ends], torch.arange(n))
            accepted = torch.exp(-path.beta(t) * (energy[ends] - energy)).clamp(max=1.0)
            update = torch.diag(1.0 - accepted)
            update[torch.arange(n), ends] += accepted
            sweep = sweep @ update
    return sweep


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_sweeps_leave_the_model_invariant_and_reverse(path: lt.AnnealingPath) -> None:
    law = rho(path.model, 0.7).unsqueeze(1)
    forth, back = overrelaxation_matrix(path, 0.7), overrelaxation_matrix(path, 0.7, backward=True)
    assert (law.T @ forth - law.T).abs().max() < 1e-14
    assert (law * forth - (law * back).T).abs().max() < 1e-14
    assert forth.diag().mean() < 0.5
    kernel = lt.Overrelaxation(2)
    assert (
        kernel.reversed() == lt.Overrelaxation(2, backward=True)
        and kernel.reversed().reversed() == kernel
    )


@pytest.mark.parametrize("backward", [False, True], ids=["forth", "back"])
@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_a_step_is_drawn_by_its_law(path: lt.AnnealingPath, backward: bool) -> None:
    model, n, kernel = path.model, 20000, lt.Overrelaxation(backward=backward)
    matrix, x = overrelaxation_matrix(path, 0.7, backward), states(model)
    row = int((matrix > 0.002).sum(1).argmax())
    state, _ = kernel.step(
        kernel.init(x[row].expand(n, *x.shape[1:]), torch.arange(n)), path, 0.7, seed=2
    )
    found = pulls(index_of(state.configurations, model.q), matrix[row])
    assert found.abs().max() < sigma_threshold(len(found))


def test_reflections_keep_the_energy_where_the_axis_is_one_of_the_clock() -> None:
    """Between two equal neighbours of a chain the local field is a clock axis.

    Always accepted, energy unchanged.
    """
    model = lt.Clock(9, q=12, beta=5.0, periodic=False)
    path, walkers = lt.AnnealingPath(model), torch.arange(50)
    kernel = lt.Overrelaxation()
    before = kernel.init(path.start.sample(walkers, seed=1), walkers)
    after, info = kernel.step(before, path, 1.0, seed=2)
    energies = [model.energy(s.configurations) for s in (before, after)]
    torch.testing.assert_close(*energies, rtol=0, atol=1e-12)
    assert info.changed.mean() > 0.6


def test_a_vanishing_field_is_no_direction() -> None:
    """Opposite neighbours cancel to rounding; the reflection is x → -x, whatever the rounding."""
    model = lt.Clock(3, q=6, beta=1.0, periodic=False)
    x = torch.tensor([[k, 1, (k + 3) % 6] for k in range(6)], dtype=torch.int8)
    tables = model.tables(x.device)
    middle = torch.tensor([0, 1, 0])
    after = kernels.overrelaxation_sweeps(
        x,
        *tables[:3],
        torch.ones(1, dtype=FLOAT64),
        (False,),
        middle - 1,
        1,
        torch.arange(6),
        0,
        1,
        3,
    )
    assert after[:, 1].tolist() == [5] * 6 and torch.equal(after[:, ::2], x[:, ::2])


def test_a_field_between_two_axes_takes_the_first() -> None:
    """At q = 3 neighbours 0, 0 and 1 point along 30°, between the axes of 0° and 60°.

    Rounding does not choose.
    """
    model = lt.Clock((2, 3), q=3, beta=1.0, periodic=False)
    x = torch.tensor([[[0, k, 0], [2, 1, 2]] for k in range(3)], dtype=torch.int8)
    middle = torch.tensor([[0, 1, 0], [0, 0, 0]])
    after = kernels.overrelaxation_sweeps(
        x, *model.tables(x.device)[:3], torch.zeros(1, dtype=FLOAT64), (False, False), middle - 1,
        1, torch.arange(3), 0, 1, 3,
    )  # fmt: skip
    assert (
        after[:, 0, 1].tolist()
        == [reflected(model, row.flatten().tolist(), 1) for row in x]
        == [0, 2, 1]
    )


def test_a_sweep_takes_the_second_word_of_a_site() -> None:
    """Against a plain loop on the same counters."""
    model = MODELS["clock 2x2 q=4"]
    path, walkers = lt.AnnealingPath(model), torch.arange(30)
    x = path.start.sample(walkers, seed=1)
    state = lt.Overrelaxation().init(x, walkers)._replace(sweep=5)
    found, _ = lt.Overrelaxation().step(state, path, 0.7, seed=9)
    colours = model.lattice.colours().flatten()
    for walker, start in enumerate(x):
        y = start.flatten().tolist()
        for colour in range(2):
            for site in (colours == colour).nonzero().flatten().tolist():
                z = list(y)
                z[site] = reflected(model, y, site)
                pair = torch.tensor([y, z], dtype=torch.int8).view(2, 2, 2)
                word = int(kernels.philox(9, Stream.SWEEP, site // 4, 5, 1, walker)[site % 4])
                energy = model.energy(pair)
                if ((word >> 9) + 0.5) / 2.0**23 < math.exp(
                    -0.7 * model.beta * float(energy[1] - energy[0])
                ):
                    y = z
        assert found.configurations[walker].flatten().tolist() == y


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lt.Ising((2, 3), 0.5), r"with q > 2 \(Clock, Potts\), got Ising"),
        (
            lt.PairModel((2, 3), 0.5, [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [2.0, 0.0, 1.0]]),
            "got PairModel",
        ),
        (ENERGY_ONLY["2x3"], "Overrelaxation needs a PairModel.*got EnergyOnly"),
    ],
)
def test_models_without_reflections_are_refused(model: Any, message: str) -> None:
    path, walkers = lt.AnnealingPath(model), torch.arange(4)
    state = lt.Overrelaxation().init(path.start.sample(walkers, seed=1), walkers)
    with pytest.raises(ValueError, match=message):
        lt.Overrelaxation().step(state, path, 1.0, seed=0)


def test_a_composition_is_its_kernels_one_after_another() -> None:
    """Their matrices multiplied, in the order given; reversed, in the opposite order."""
    path, n = PATHS["potts 2x3"], 30000
    model, x = path.model, states(path.model)
    kernel = lt.Compose(lt.HeatBath(), lt.Metropolis(), lt.Overrelaxation())
    forth = (
        heat_bath_matrix(path, 0.7)
        @ metropolis_matrix(path, 0.7)
        @ overrelaxation_matrix(path, 0.7)
    )
    back = (
        overrelaxation_matrix(path, 0.7, True)
        @ metropolis_matrix(path, 0.7, True)
        @ heat_bath_matrix(path, 0.7, True)
    )
    law = rho(model, 0.7).unsqueeze(1)
    assert (law * forth - (law * back).T).abs().max() < 1e-14
    for made, matrix in ((kernel, forth), (kernel.reversed(), back)):
        state, info = made.step(
            made.init(x[400].expand(n, 2, 3), torch.arange(n)), path, 0.7, seed=3
        )
        found = pulls(index_of(state.configurations, 3), matrix[400])
        assert found.abs().max() < sigma_threshold(2 * len(found))
        assert isinstance(info, ComposeInfo) and len(info.parts) == 3 and state.sweep == 3


def test_a_composition_repeats_no_random_numbers() -> None:
    """Two heat baths in one are two sweeps."""
    path, walkers = lt.AnnealingPath(MODELS["potts 2x3"]), torch.arange(40)
    x = path.start.sample(walkers, seed=1)
    twice = lt.Compose(lt.HeatBath(), lt.Compose(lt.HeatBath()))
    one, _ = twice.step(twice.init(x, walkers), path, 1.0, seed=4)
    other, _ = lt.HeatBath(2).step(lt.HeatBath(2).init(x, walkers), path, 1.0, seed=4)
    assert torch.equal(one.configurations, other.configurations) and one.sweep == other.sweep == 2


def test_a_composition_in_a_sampler_is_exact_both_ways() -> None:
    model = lt.Clock((2, 2), q=4, beta=0.7, field=[0.1, 0.0, -0.3, 0.2])
    kernel = lt.Compose(lt.HeatBath(), lt.Overrelaxation(), lt.KineticMonteCarlo(0.3))
    sampler = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(8), kernel, device="cpu")
    ensemble, log_z = sampler.sample(2000, seed=5), exact.log_z(model)
    assert abs(ensemble.log_z - log_z) < 4 * ensemble.log_z_error < 0.2
    back = lt.reverse_ess(sampler, states(model)[draw(rho(model), 2000, seed=6)], seed=7)
    assert abs(back.log_z - log_z) < 4 * back.log_z_error < 0.2


def test_what_cannot_be_composed() -> None:
    with pytest.raises(ValueError, match="Compose needs at least one move, got none"):
        lt.Compose()
    kernel = lt.Compose(lt.HeatBath(), lt.ParallelTempering([0.5, 1.0]))
    with pytest.raises(
        ValueError, match="ParallelTempering has a state of its own; put Compose into it"
    ):
        kernel.init(torch.zeros(2, 3, dtype=torch.int8), torch.arange(2))
