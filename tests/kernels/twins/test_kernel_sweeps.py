"""The op heat_bath_sweeps: updates and sweeps by enumeration, draws by a loop and by their law.

Statistical tests have fixed seeds and raise a false alarm with probability 1e-4 each.
"""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from helpers import heat_bath_matrix, index_of, sigma_threshold, small_models, states
from leaps_triton import exact, kernels
from leaps_triton.kernels import Stream, reference

FLOAT64 = torch.float64
FIELD = torch.tensor([[0.3, 0.0, -0.2], [0.7, -0.4, 0.1], [0.0, 0.5, -0.6]])
MODELS = small_models() | {
    "ising 2x3 open": lt.Ising(
        (2, 3), beta=0.6, field=torch.linspace(0.6, -0.5, 6).view(2, 3), periodic=False
    ),
    "ising 3x2 half open": lt.Ising((3, 2), beta=0.5, field=0.2, periodic=(True, False)),
    "one way 2x3 q=3": lt.PairModel(
        (2, 3), 0.6, FIELD + FIELD.T**2, [0.2, 0.0, -0.3], coupling=0.8
    ),
    "clock 4 q=4": lt.Clock(4, q=4, beta=0.9, field=[0.1, 0.0, -0.3, 0.2]),
}
TIME = 0.7


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)


def inputs(
    model: Any, walkers: int, beta: float | Tensor | None = None, seed: int = 0
) -> dict[str, Any]:
    """The op's input for a pair model, from random configurations."""
    q = model.q
    shape = model.lattice.shape
    return {
        "configurations": (q * uniform(walkers, *shape, seed=seed)).to(torch.int8),
        "coupling": model.coupling.unsqueeze(0),
        "bond_table": model.bond_table,
        "site_table": model.site_table.unsqueeze(0),
        "beta": torch.as_tensor(model.beta if beta is None else beta, dtype=FLOAT64).view(-1),
        "periodic": model.lattice.periodic,
        "colours": model.lattice.colours(),
        "num_colours": model.lattice.num_colours,
        "walkers": torch.arange(50, 50 + walkers),
        "first_sweep": 3,
        "sweeps": 1,
        "seed": 17,
    }


def rho(model: Any, beta: float) -> Tensor:
    return exact.enumerate_model(model, beta=beta).log_probabilities.exp()


def site_update(path: lt.AnnealingPath, tau: float, site: int) -> Tensor:
    """Transition matrix of the update of one site, from the op's own probabilities."""
    model: Any = path.model
    x = states(model)
    tables = (model.coupling.unsqueeze(0), model.bond_table, model.site_table.unsqueeze(0))
    fields = reference.local_fields(x, reference.Tables(*tables, model.lattice.periodic), FLOAT64)
    probabilities = reference.heat_bath_probabilities(fields, path.beta(tau)).flatten(2)[:, :, site]
    update = torch.zeros(len(x), len(x), dtype=FLOAT64)
    for state in range(model.q):
        y = x.flatten(1).clone()
        y[:, site] = state
        update[torch.arange(len(x)), index_of(y, model.q)] = probabilities[:, state]
    return update


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_site_updates_are_in_detailed_balance(model: Any) -> None:
    """``ρ(x) P_i(x, y) = ρ(y) P_i(y, x)``, where ``P_i`` redraws site ``i`` alone.

    It is a projection, since it forgets ``x_i``.
    """
    path = lt.AnnealingPath(model)
    p = rho(model, float(path.beta(TIME)))
    for site in range(model.lattice.sites):
        update = site_update(path, TIME, site)
        flow = p.unsqueeze(1) * update
        assert (flow - flow.T).abs().max() < 1e-15
        assert (update.sum(1) - 1.0).abs().max() < 1e-14
        assert (update @ update - update).abs().max() < 1e-14
        assert (update > 0).sum() == model.q * len(p)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_sweeps_leave_the_model_invariant(model: Any) -> None:
    path = lt.AnnealingPath(model)
    p = rho(model, float(path.beta(TIME)))
    sweep = heat_bath_matrix(path, TIME)
    assert (p @ sweep - p).abs().max() < 1e-12
    assert (sweep.sum(1) - 1.0).abs().max() < 1e-12
    # Not for want of moving, nor of minding the time.
    assert sweep.diag().max() < 0.9
    assert (rho(model, model.beta) @ sweep - rho(model, model.beta)).abs().max() > 1e-4


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_updates_of_one_colour_commute(model: Any) -> None:
    """So that drawing them at once is drawing them one after another."""
    path = lt.AnnealingPath(model)
    colours = model.lattice.colours().flatten()
    updates = [site_update(path, TIME, site) for site in range(model.lattice.sites)]
    clash = 0.0
    for i, j in itertools.combinations(range(model.lattice.sites), 2):
        difference = float((updates[i] @ updates[j] - updates[j] @ updates[i]).abs().max())
        if colours[i] == colours[j]:
            assert difference < 1e-15
        clash = max(clash, difference)
    assert clash > 1e-3


def loop_sweep(
    model: Any, x: Tensor, beta: float, walker: int, sweep: int, seed: int, colours: Tensor
) -> Tensor:
    """One walker's sweep, site by site: the law of a site from the energies of all its values."""
    x = x.clone()
    for colour in range(int(colours.max()) + 1):
        for site in (colours.flatten() == colour).nonzero().flatten().tolist():
            trials = x.flatten().repeat(model.q, 1)
            trials[:, site] = torch.arange(model.q)
            law = torch.softmax(-beta * model.energy(trials.view(model.q, *x.shape)), dim=0)
            word = int(kernels.philox(seed, Stream.SWEEP, site // 4, sweep, 0, walker)[site % 4])
            u = ((word >> 9) + 0.5) / 2.0**23
            x.view(-1)[site] = int((law.cumsum(0)[:-1] <= u).sum())
    return x


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_equals_a_plain_loop(model: Any) -> None:
    """With each walker's own β, negative ones too."""
    walkers = 12
    given = inputs(model, walkers, 2.0 * uniform(walkers, seed=1) - 0.6)
    after = kernels.heat_bath_sweeps(**given | {"sweeps": 2})
    assert after.dtype == torch.int8 and after.shape == given["configurations"].shape
    for row, x in enumerate(given["configurations"]):
        for sweep in (3, 4):
            x = loop_sweep(
                model, x, float(given["beta"][row]), 50 + row, sweep, 17, given["colours"]
            )
        assert torch.equal(after[row], x)
    assert (after != given["configurations"]).any(0).all()


def test_colours_are_taken_in_their_order() -> None:
    """A class a site, in an order of its own."""
    model = MODELS["potts 2x3 q=3"]
    given = inputs(model, 20)
    colours = torch.tensor([[3, 0, 5], [1, 4, 2]])
    after = kernels.heat_bath_sweeps(**given | {"colours": colours, "num_colours": 6})
    assert not torch.equal(after, kernels.heat_bath_sweeps(**given))
    for row, x in enumerate(given["configurations"]):
        assert torch.equal(after[row], loop_sweep(model, x, model.beta, 50 + row, 3, 17, colours))


@pytest.mark.parametrize(("own", "walkers"), [("coupling", 10), ("site_table", 10), ("both", 10)])
def test_walkers_may_have_tables_of_their_own(own: str, walkers: int) -> None:
    shape = (2, 3)
    q = 3
    given = inputs(MODELS["potts 2x3 q=3"], walkers)
    if own != "site_table":
        given["coupling"] = 2.0 * uniform(walkers, 2, *shape, seed=2) - 0.5
    if own != "coupling":
        given["site_table"] = uniform(walkers, q, *shape, seed=3)
    after = kernels.heat_bath_sweeps(**given)
    for row, x in enumerate(given["configurations"]):
        coupling, table = (
            given[name][row if len(given[name]) > 1 else 0] for name in ("coupling", "site_table")
        )
        coupling = coupling.expand(2, *shape)
        model = lt.PairModel(shape, 0.8, torch.eye(q), table.expand(q, *shape), coupling)
        assert torch.equal(after[row], loop_sweep(model, x, 0.8, 50 + row, 3, 17, given["colours"]))


@pytest.mark.parametrize(
    "name", ["ising 2x3 field", "potts 2x3 q=3", "pm1 3x3", "ising 2x3 open", "one way 2x3 q=3"]
)
def test_transitions_from_a_state_are_those_of_the_sweep(name: str) -> None:
    """Half of the walkers are at one β, half at another, each against its own matrix.

    States that are rarely reached are taken together.
    """
    model = MODELS[name]
    n = 30000
    path = lt.AnnealingPath(model)
    start = model.q**model.lattice.sites // 3
    times = torch.tensor([0.3, 1.0], dtype=FLOAT64).repeat(n)
    given = inputs(model, 2 * n, path.beta(times))
    given["configurations"] = states(model)[start].expand(2 * n, *model.lattice.shape)
    after = index_of(kernels.heat_bath_sweeps(**given), model.q)
    tests = 0
    largest = 0.0
    for half, tau in enumerate((0.3, 1.0)):
        law = heat_bath_matrix(path, tau)[start]
        counts = torch.bincount(after[half::2], minlength=len(law)).double()
        often = n * law >= 20
        law = torch.cat([law[often], law[~often].sum().view(1)])
        counts = torch.cat([counts[often], counts[~often].sum().view(1)])
        pulls = (counts - n * law) / (n * law * (1 - law)).sqrt().clamp(min=1e-6)
        tests = tests + len(pulls)
        largest = max(largest, float(pulls.abs().max()))
        assert often.sum() > 20
    assert largest < sigma_threshold(tests)


@pytest.mark.parametrize("name", ["ising 3x3 field", "potts 2x3 q=3"])
def test_two_sweeps_are_one_sweep_twice(name: str) -> None:
    """Bit for bit, with the count of sweeps carried on."""
    given = inputs(MODELS[name], 50)
    both = kernels.heat_bath_sweeps(**given | {"sweeps": 2})
    first = kernels.heat_bath_sweeps(**given)
    second = kernels.heat_bath_sweeps(**given | {"configurations": first, "first_sweep": 4})
    again = kernels.heat_bath_sweeps(**given | {"configurations": first})
    assert torch.equal(both, second)
    assert not torch.equal(second, again)


def test_no_sweeps_change_nothing() -> None:
    given = inputs(MODELS["pm1 3x3"], 5)
    assert torch.equal(kernels.heat_bath_sweeps(**given | {"sweeps": 0}), given["configurations"])


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_results_do_not_depend_on_the_other_walkers(model: Any) -> None:
    """Bit for bit, in any order and company."""
    walkers = 40
    given = inputs(model, walkers, 2.0 * uniform(walkers, seed=4)) | {"sweeps": 3}
    together = kernels.heat_bath_sweeps(**given)
    order = uniform(walkers, seed=5).argsort()
    for rows in (order, order[:17], *torch.arange(walkers).split(1)):
        own = {name: given[name][rows] for name in ("configurations", "beta", "walkers")}
        assert torch.equal(kernels.heat_bath_sweeps(**given | own), together[rows])


@pytest.mark.parametrize("name", ["seed", "walkers", "first_sweep"])
def test_random_numbers_depend_on(name: str) -> None:
    given = inputs(MODELS["ising 3x3 field"], 50, 0.0)
    first = kernels.heat_bath_sweeps(**given)
    again = kernels.heat_bath_sweeps(**given)
    other = kernels.heat_bath_sweeps(**given | {name: given[name] + 1})
    assert torch.equal(first, again)
    # At β = 0 every value is a coin.
    assert (
        abs(float((first == other).double().mean()) - 0.5)
        < sigma_threshold(1) * 0.5 / first.numel() ** 0.5
    )


def test_one_beta_is_the_same_beta_for_all() -> None:
    given = inputs(MODELS["potts 2x3 q=3"], 30)
    expanded = given | {"beta": given["beta"].expand(30).contiguous()}
    assert torch.equal(kernels.heat_bath_sweeps(**given), kernels.heat_bath_sweeps(**expanded))


@pytest.mark.parametrize("beta", [1e4, -1e4])
def test_large_beta_takes_the_best_state(beta: float) -> None:
    """No overflow: every site goes where its field is largest, or smallest."""
    model = lt.Ising((3, 4), beta=1.0, coupling=0.0, field=torch.linspace(-1.0, 1.3, 12).view(3, 4))
    after = kernels.heat_bath_sweeps(**inputs(model, 9, beta))
    up = torch.linspace(-1.0, 1.3, 12).view(3, 4) > 0
    assert torch.equal(after == 1, (up if beta > 0 else ~up).expand(9, 3, 4))


def test_inputs_are_left_alone() -> None:
    given = inputs(MODELS["potts 2x3 q=3"], 10)
    copies = {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)}
    kernels.heat_bath_sweeps(**given | {"sweeps": 2}).fill_(1)
    assert all(torch.equal(given[name], value) for name, value in copies.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweeps": -1}, "sweeps must be an integer of at least 0, got -1"),
        ({"colours": torch.zeros(3, 2)}, r"colours must have shape \(2, 3\), got \(3, 2\)"),
        ({"colours": torch.zeros(6)}, r"colours must have shape \(2, 3\), got \(6,\)"),
        ({"walkers": torch.arange(3)}, r"walkers must have shape \(4,\) on cpu, got \(3,\) on cpu"),
        (
            {"walkers": torch.zeros(4, device="meta")},
            r"walkers must have shape \(4,\) on cpu, got \(4,\) on meta",
        ),
        ({"beta": torch.ones(3, dtype=FLOAT64)}, r"beta must have shape \(1 \| 4\), got \(3,\)"),
        ({"beta": torch.ones(1)}, "beta must be float64, got torch.float32"),
        ({"coupling": torch.ones(1, 1, 3, 2, dtype=FLOAT64)}, "coupling must have shape"),
        ({"bond_table": torch.ones(3, 2, dtype=FLOAT64)}, r"bond_table must have shape \(3, 3\)"),
        ({"site_table": torch.ones(1, 2, 1, 1, dtype=FLOAT64)}, "site_table must have shape"),
        ({"periodic": (True,)}, "configurations must be .* with 1 lattice axes"),
    ],
)
def test_inputs_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.heat_bath_sweeps(**inputs(MODELS["potts 2x3 q=3"], 4) | changes)
