"""Moves of Swendsen and Wang and of Wolff: by enumeration, by law, in a sampler.

The oracles know the definition only: they enumerate which bonds join, search the clusters, and add
up the ways from one configuration to another. Statistical tests have fixed seeds and raise a false
alarm with probability 1e-4 each.
"""

import itertools
from typing import Any

import pytest
import torch
from cluster_cases import LINE, bonds_of, components
from torch import Tensor

import leaps_triton as lt
from helpers import ENERGY_ONLY, draw, index_of, pulls, rho, sigma_threshold, small_models, states
from leaps_triton import estimators, exact
from leaps_triton.mcmc.clusters import ClusterInfo

FLOAT64 = torch.float64
TIME = 0.8
MODELS: dict[str, Any] = {
    "ising ring": lt.Ising(3, beta=0.6, field=LINE[:3]),
    "ising 2x2": lt.Ising((2, 2), beta=0.4, field=0.3),
    "ising 2x3 open": lt.Ising((2, 3), beta=0.5, field=LINE.view(2, 3), periodic=False),
    "ising 2x3 no field": lt.Ising((2, 3), beta=0.45),
    "signs 3x2 half open": lt.EdwardsAnderson(
        (3, 2), beta=0.7, seed=3, field=0.2, periodic=(True, False)
    ),
    "gaussian 3x3 open": lt.EdwardsAnderson(
        (3, 3), beta=0.7, disorder="gaussian", seed=2, field=0.2, periodic=False
    ),
    "potts ring": lt.Potts(3, q=3, beta=0.8, field=[0.3, 0.0, -0.2]),
    "potts 2x2": lt.Potts((2, 2), q=3, beta=0.5, field=torch.linspace(-0.6, 0.8, 12).view(3, 2, 2)),
    "potts 2x2 no field": lt.Potts((2, 2), q=3, beta=0.6, periodic=(True, False)),
    "antiferromagnet": lt.Potts(
        5, q=3, beta=0.9, coupling=-1.0, field=[0.3, 0.0, -0.2], periodic=False
    ),
    "clock q=4": lt.Clock(3, q=4, beta=0.9, field=[0.1, 0.0, -0.3, 0.2]),
    "clock q=5 open": lt.Clock(3, q=5, beta=0.7, field=[0.1, 0.4, -0.3, 0.2, 0.0], periodic=False),
}
WOLFF = [name for name in MODELS if name != "gaussian 3x3 open"]


def exchange(model: Any, first: int, second: int) -> Tensor:
    """``R`` as a table of the states, by the definition of each model."""
    table = torch.arange(model.q)
    if isinstance(model, lt.Clock) and model.q > 3:
        return (first + second - table) % model.q
    table[first], table[second] = second, first
    return table


class Enumerated:
    """A model at one time, and probabilities of all its clusters for one exchange ``R``."""

    def __init__(self, model: Any, t: float, other: Tensor | None) -> None:
        self.model, self.x = model, states(model).flatten(1).long()
        self.beta, self.bonds = t * model.beta, bonds_of(model)
        self.other = other
        self.field = model.site_table.expand(model.q, *model.lattice.shape).flatten(1)
        self.joins = []
        for i, j, coupling in self.bonds:
            x, y = self.x[:, i], self.x[:, j]
            # Without an exchange: the least of φ, which ferromagnetic Potts models have off the
            # diagonal.
            base = model.bond_table.min() if other is None else model.bond_table[other[x], y]
            gain = self.beta * coupling * (model.bond_table[x, y] - base)
            self.joins.append(1.0 - torch.exp(-gain.clamp(min=0.0)))

    def partitions(self) -> list[tuple[list[list[int]], Tensor]]:
        """All ways to cut the lattice into clusters.

        With the probability of each from every configuration.
        """
        found: dict[str, tuple[list[list[int]], Tensor]] = {}
        for chosen in itertools.product((False, True), repeat=len(self.bonds)):
            p = torch.ones(len(self.x), dtype=FLOAT64)
            for join, on in zip(self.joins, chosen, strict=True):
                p = p * (join if on else 1.0 - join)
            pairs = [bond[:2] for bond, on in zip(self.bonds, chosen, strict=True) if on]
            clusters = sorted(components(self.x.shape[1], pairs))
            found[str(clusters)] = clusters, p + found.get(str(clusters), (clusters, 0.0))[1]
        return list(found.values())

    def weight(self, x: Tensor, cluster: list[int]) -> Tensor:
        """``exp(β Σ_i h_i(x_i))`` over a cluster."""
        return torch.exp(self.beta * sum(self.field[x[:, i], i] for i in cluster))

    def redrawn(self, choices: list[Tensor]) -> Tensor:
        """The matrix of an update that draws each cluster's choice in proportion to its weight."""
        n, sites = self.x.shape
        matrix, powers = (
            torch.zeros(n * n, dtype=FLOAT64),
            self.model.q ** torch.arange(sites - 1, -1, -1),
        )
        for clusters, p in self.partitions():
            ends, share = torch.arange(n).unsqueeze(1), p.unsqueeze(1)
            for cluster in clusters:
                moves = [
                    ((y - self.x)[:, cluster] * powers[cluster]).sum(1, keepdim=True)
                    for y in choices
                ]
                weights = torch.stack([self.weight(y, cluster) for y in choices], 1)
                weights = weights / weights.sum(1, keepdim=True)
                ends = torch.cat([ends + move for move in moves], 1)
                share = torch.cat([share * weights[:, k : k + 1] for k in range(len(choices))], 1)
            matrix.index_add_(
                0, (ends + n * torch.arange(n).unsqueeze(1)).flatten(), share.flatten()
            )
        return matrix.view(n, n)


def swendsen_wang_matrix(model: Any, t: float) -> Tensor:
    potts = not (isinstance(model, lt.Clock) and model.q > 3) and model.q > 2
    if potts and min(bond[2] for bond in bonds_of(model)) >= 0:
        given = Enumerated(model, t, None)
        return given.redrawn([torch.full_like(given.x, a) for a in range(model.q)])
    # Drawn as ordered pairs, of which (a, b) and (b, a) are one exchange.
    tables = [exchange(model, a, b) for a, b in itertools.combinations(range(model.q), 2)]
    made = [Enumerated(model, t, table) for table in tables]
    matrices = [
        given.redrawn([given.x, table[given.x]]) for given, table in zip(made, tables, strict=True)
    ]
    return torch.stack(matrices).mean(0)


def wolff_matrix(model: Any, t: float, rest: float = lt.Wolff.rest) -> Tensor:
    n, sites = model.q**model.lattice.sites, model.lattice.sites
    matrix = torch.zeros(n, n, dtype=FLOAT64)
    for a, b in itertools.product(range(model.q), repeat=2):
        if a == b:
            continue
        given = Enumerated(model, t, exchange(model, a, b))
        moved = exchange(model, a, b)[given.x]
        for clusters, p in given.partitions():
            for cluster, site in ((c, i) for c in clusters for i in c):
                y, from_a = given.x.clone(), given.x[:, site] == a
                y[:, cluster] = moved[:, cluster]
                accept = (given.weight(moved, cluster) / given.weight(given.x, cluster)).clamp(
                    max=1.0
                )
                accept = (1.0 - rest) * accept
                share = torch.where(from_a, p, 0.0) / (sites * (model.q - 1))
                matrix.index_put_(
                    (torch.arange(n), index_of(y, model.q)), share * accept, accumulate=True
                )
                matrix += torch.diag(share * (1.0 - accept))
    return matrix


ORACLES: dict[str, Any] = {
    "SwendsenWang": (lt.SwendsenWang(), swendsen_wang_matrix),
    "Wolff": (lt.Wolff(), wolff_matrix),
}
CASES = [("SwendsenWang", name) for name in MODELS] + [("Wolff", name) for name in WOLFF]


@pytest.mark.parametrize(("kernel", "name"), CASES)
def test_updates_are_in_detailed_balance_and_drawn_by_their_law(kernel: str, name: str) -> None:
    """``ρ(x) P(x, y) = ρ(y) P(y, x)`` of the oracle, and steps of the move against it."""
    model = MODELS[name]
    update, oracle = ORACLES[kernel]
    matrix, law = oracle(model, TIME), rho(model, TIME)
    assert (matrix.sum(1) - 1.0).abs().max() < 1e-12
    flow = law.unsqueeze(1) * matrix
    assert (flow - flow.T).abs().max() < 1e-14
    assert (law @ matrix - law).abs().max() < 1e-14
    path, x, n = lt.AnnealingPath(model), states(model), 20000
    for row in (len(x) // 3, len(x) - 2):
        state = update.init(x[row].expand(n, *model.lattice.shape), torch.arange(n))
        after, _ = update.step(state, path, TIME, seed=11)
        found = pulls(index_of(after.configurations, model.q), matrix[row])
        assert found.abs().max() < sigma_threshold(2 * len(found))


@pytest.mark.parametrize("kernel", ["SwendsenWang", "Wolff"])
def test_another_temperature_is_seen(kernel: str) -> None:
    model = MODELS["ising 2x3 open"]
    update, oracle = ORACLES[kernel]
    state = update.init(states(model)[21].expand(20000, 2, 3), torch.arange(20000))
    after, _ = update.step(state, lt.AnnealingPath(model), TIME, seed=11)
    found = pulls(index_of(after.configurations, 2), oracle(model, 0.7 * TIME)[21])
    assert found.abs().max() > sigma_threshold(len(found))


LARGER = small_models() | {
    "clock 3x3": lt.Clock(
        (3, 3), q=4, beta=0.6, field=[0.1, 0.0, -0.3, 0.2], periodic=(True, False)
    ),
    "pm1 2x2x3": lt.EdwardsAnderson(
        (2, 2, 3), beta=0.5, seed=1, field=0.2, periodic=(True, False, True)
    ),
    "potts 2x1x2x2": lt.Potts(
        (2, 1, 2, 2), q=3, beta=0.5, field=[0.3, 0.0, -0.2], periodic=(True, False, False, True)
    ),
    "antiferromagnet 3x3": lt.Potts((3, 3), q=3, beta=0.6, coupling=-1.0, field=[0.3, 0.0, -0.2]),
}


@pytest.mark.parametrize(
    "kernel", [lt.SwendsenWang(), lt.Wolff(clusters=2)], ids=["SwendsenWang", "Wolff"]
)
@pytest.mark.parametrize("name", list(LARGER))
def test_exact_samples_stay_exact(kernel: Any, name: str) -> None:
    """Magnetisation of each kind and energy, together.

    Few enough values to count on lattices beyond the oracle.
    """
    model, n = LARGER[name], 40000
    law, x = rho(model), states(model)
    energy = model.energy(x)
    kinds = torch.stack(
        [*((x == a).flatten(1).sum(1).double() for a in range(model.q)), energy.round(decimals=9)],
        1,
    )
    groups = kinds.unique(dim=0, return_inverse=True)[1]
    state = kernel.init(x[draw(law, n, seed=4)], torch.arange(n))
    state, info = kernel.step(state, lt.AnnealingPath(model), 1.0, seed=5)
    grouped = torch.zeros(int(groups.max()) + 1, dtype=FLOAT64).index_add_(0, groups, law)
    found = pulls(groups[index_of(state.configurations, model.q)], grouped)
    assert found.abs().max() < sigma_threshold(len(found))
    assert info.changed.mean() > 0.05


@pytest.mark.parametrize(
    "kernel", [lt.SwendsenWang(), lt.Wolff(clusters=4)], ids=["SwendsenWang", "Wolff"]
)
def test_critical_ising_against_kaufman(kernel: Any) -> None:
    """16 × 16 at β = 0.4407.

    Energy, specific heat, and the improved estimator of ``⟨m²⟩``, within 3σ (0.3 % each).
    """
    model, walkers, steps = lt.Ising((16, 16), beta=0.4407), 100, 80
    path = lt.AnnealingPath(model)
    state = kernel.init(path.start.sample(torch.arange(walkers), seed=1), torch.arange(walkers))
    gathered = []
    for step in range(20 + steps):
        state, info = kernel.step(state, path, 1.0, seed=2)
        if step >= 20:
            energy = model.energy(state.configurations) / 256
            magnetization = lt.observables.magnetization(state.configurations, model)
            gathered.append(torch.stack([energy, energy**2, magnetization**2 - info.size], 1))
    means, weights = torch.stack(gathered).mean(0), torch.zeros(walkers, dtype=FLOAT64)
    found = estimators.weighted_estimate(means[:, 0], weights)
    assert found.error < 0.01
    assert abs(found.pull(exact.ising_energy((16, 16), 0.4407))) < 3
    heat = estimators.weighted_estimate(
        means[:, :2], weights, lambda m: 256 * 0.4407**2 * (m[..., 1] - m[..., 0] ** 2)
    )
    assert heat.error < 0.06
    assert abs(heat.pull(exact.ising_specific_heat((16, 16), 0.4407))) < 3
    assert abs(estimators.weighted_estimate(means[:, 2], weights).pull(0.0)) < 3


SAMPLED = {
    "ising 2x3 field": small_models()["ising 2x3 field"],
    "potts 2x3 q=3": small_models()["potts 2x3 q=3"],
    "ising 4x4": lt.Ising((4, 4), beta=0.4407),
    "clock q=4": MODELS["clock q=4"],
}


@pytest.mark.parametrize(
    "kernel", [lt.SwendsenWang(), lt.Wolff(clusters=3)], ids=["SwendsenWang", "Wolff"]
)
@pytest.mark.parametrize("name", list(SAMPLED))
def test_weights_of_a_sampler_are_exact(kernel: Any, name: str) -> None:
    """Annealed importance sampling by cluster moves, forward from ρ_0.

    Where the model can be enumerated, backward from ρ_1 too.
    """
    model = SAMPLED[name]
    sampler = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(20), kernel, device="cpu")
    ensemble, log_z = sampler.sample(2000, seed=6), exact.log_z(model)
    assert 0.0 < ensemble.log_z_error < 0.1
    assert abs(ensemble.log_z - log_z) < 4 * ensemble.log_z_error
    if model.lattice.sites < 10:
        back = lt.reverse_ess(sampler, states(model)[draw(rho(model), 2000, seed=7)], seed=8)
        assert abs(back.log_z - log_z) < 4 * back.log_z_error
        assert back.ess == pytest.approx(ensemble.ess, rel=0.1)


def test_clusters_join_what_must_be_joined() -> None:
    """At great β J the whole lattice moves together, and with a great field not at all."""
    n, walkers = 200, torch.arange(200)
    up = torch.ones(n, 4, 5, dtype=torch.int8)
    path = lt.AnnealingPath(lt.Ising((4, 5), beta=50.0))
    state, info = lt.SwendsenWang().step(lt.SwendsenWang().init(up, walkers), path, 1.0, seed=1)
    assert bool((info.size == 1.0).all()) and set(info.changed.tolist()) == {0.0, 1.0}
    restless = lt.Wolff(rest=0.0)
    state, info = restless.step(restless.init(up, walkers), path, 1.0, seed=1)
    assert bool((info.changed == 1.0).all()) and bool((state.configurations == 0).all())
    path = lt.AnnealingPath(lt.Ising((4, 5), beta=50.0, field=3.0))
    for kernel in (lt.SwendsenWang(), lt.Wolff()):
        state, info = kernel.step(kernel.init(up, walkers), path, 1.0, seed=1)
        assert bool((state.configurations == 1).all()) and info.size.mean() == 1.0


@pytest.mark.parametrize("kernel", [lt.SwendsenWang(), lt.Wolff()], ids=["SwendsenWang", "Wolff"])
def test_several_updates_are_one_several_times(kernel: Any) -> None:
    path, walkers = lt.AnnealingPath(MODELS["potts 2x2"]), torch.arange(30)
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    at_once, info = type(kernel)(3).step(state, path, 0.8, seed=2)
    sizes = []
    for _ in range(3):
        state, one = kernel.step(state, path, 0.8, seed=2)
        sizes.append(one.size)
    assert (
        torch.equal(at_once.configurations, state.configurations)
        and at_once.sweep == state.sweep == 3
    )
    torch.testing.assert_close(info.size, torch.stack(sizes).mean(0))
    assert isinstance(info, ClusterInfo) and kernel.reversed() is kernel


@pytest.mark.parametrize(
    "kernel",
    [
        lt.SwendsenWang(),
        lt.Wolff(),
        lt.Overrelaxation(),
        lt.KineticMonteCarlo(),
        lt.Compose(lt.HeatBath(), lt.Wolff()),
    ],
    ids=lambda kernel: type(kernel).__name__,
)
def test_times_are_numbers_or_one_a_walker(kernel: Any) -> None:
    model = lt.Clock((3, 3), q=4, beta=0.8, field=[0.1, 0.0, -0.3, 0.2])
    path, walkers = lt.AnnealingPath(model, schedule=lambda t: t**2), torch.arange(40)
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)

    def after(t: float | Tensor) -> Tensor:
        return kernel.step(state, path, t, seed=8)[0].configurations

    assert torch.equal(after(0.6), after(torch.full((40,), 0.6, dtype=FLOAT64)))
    each = after(torch.tensor([0.2, 1.0], dtype=FLOAT64).repeat(20))
    assert torch.equal(each[::2], after(0.2)[::2]) and torch.equal(each[1::2], after(1.0)[1::2])
    assert not torch.equal(after(0.2), after(1.0))


@pytest.mark.parametrize(
    "kernel", [lt.SwendsenWang(), lt.Wolff(), lt.Houdayer()], ids=lambda kernel: str(kernel)[:5]
)
def test_models_without_bonds_are_refused(kernel: Any) -> None:
    class Mine(lt.Ising):
        def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
            return 2.0 * super().energy(configurations, check)

    for model, name in ((ENERGY_ONLY["2x3"], "EnergyOnly"), (Mine((2, 3), 0.5), "Mine")):
        path, walkers = lt.AnnealingPath(model), torch.arange(4)
        state = kernel.init(path.start.sample(walkers, seed=1), walkers)
        with pytest.raises(
            ValueError,
            match=f"{type(kernel).__name__} needs a PairModel.*got {name}; take HeatBath",
        ):
            kernel.step(state, path, 1.0, seed=0)


@pytest.mark.parametrize("kernel", [lt.SwendsenWang(), lt.Wolff()], ids=["SwendsenWang", "Wolff"])
@pytest.mark.parametrize(
    "table", [[[1.0, 0.0], [0.0, 0.5]], [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0], [2.0, 0.0, 1.0]]]
)
def test_bond_tables_without_the_symmetry_are_refused(kernel: Any, table: Any) -> None:
    path, walkers = lt.AnnealingPath(lt.PairModel((3, 3), 0.5, table)), torch.arange(4)
    state = kernel.init(path.start.sample(walkers, seed=1), walkers)
    with pytest.raises(
        ValueError,
        match=r"exchanges two states at all sites.*\(Ising, Potts, Clock\), got PairModel",
    ):
        kernel.step(state, path, 1.0, seed=0)


@pytest.mark.parametrize("count", [0, -1, 1.0, None])
def test_counts_that_are_refused(count: Any) -> None:
    for make, name in (
        (lt.SwendsenWang, "sweeps"),
        (lt.Wolff, "clusters"),
        (lt.Houdayer, "clusters"),
    ):
        with pytest.raises(
            ValueError, match=f"{name} must be an integer of at least 1, got {count!r}"
        ):
            make(count)
