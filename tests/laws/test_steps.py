"""One protocol for all integrators and moves: ``step(state, …)`` → ``(state, info)``."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from flow_cases import FixedDrift
from helpers import local_network, random_network
from leaps_triton import mcmc, registry

MODELS: dict[str, Any] = {
    "ising 3x4": lt.Ising(
        (3, 4), beta=0.4, field=torch.linspace(-0.5, 0.7, 12).view(3, 4), periodic=(True, False)
    ),
    "potts 5 q=3": lt.Potts(5, q=3, beta=0.7, field=[0.3, 0.0, -0.2]),
    "clock 3x3 q=5": lt.Clock(
        (3, 3), q=5, beta=0.8, field=[0.3, 0.0, -0.2, 0.1, 0.0], periodic=(False, True)
    ),
    "pm1 2x2x3": lt.EdwardsAnderson((2, 2, 3), beta=0.6, seed=2),
}
FIELDS: dict[str, Any] = {
    "phi4 2x4": lt.PhiFour((2, 4), mass_squared=-1.0, quartic=1.5, dtype=torch.float64),
}
WALKERS = 40


class Stepper(NamedTuple):
    """How to start from configurations of given walkers, and how to step."""

    init: Callable[[lt.AnnealingPath, Tensor, Tensor], Any]
    step: Callable[[Any, lt.AnnealingPath, int], tuple[Any, Any]]
    together: int = 1
    """How many consecutive walkers it moves jointly"""
    random: bool = True
    """Whether a step draws anything"""


def _init_jump(path: lt.AnnealingPath, x: Tensor, walkers: Tensor) -> Any:
    jump = lt.Jump(2)
    return jump.enter(jump.init(x, walkers), path)[0]


@torch.no_grad()
def _step_jump(state: Any, path: lt.AnnealingPath, seed: int) -> tuple[Any, Any]:
    return lt.Jump(2).step(state, path, random_network(path.model, scale=8.0), seed)


@torch.no_grad()
def _init_leap(path: lt.AnnealingPath, x: Tensor, walkers: Tensor) -> Any:
    """After a first step, so that the state has an evaluation."""
    leap, network = lt.TauLeap(2, floor=2.0), random_network(path.model, scale=8.0)
    state, _ = leap.enter(leap.init(x, walkers), path)
    return leap.enter(leap.step(state, path, network, seed=9)[0], path)[0]


@torch.no_grad()
def _step_leap(state: Any, path: lt.AnnealingPath, seed: int) -> tuple[Any, Any]:
    return lt.TauLeap(2, floor=2.0).step(state, path, random_network(path.model, scale=8.0), seed)


def _domains(path: lt.AnnealingPath) -> lt.Jump:
    """Columns of sites, or sites on a line."""
    first, *others = path.model.lattice.shape
    return lt.Jump(2, "barker", 3.0, domain=(first, *[1 for _ in others]) if others else 1)


def _init_domains(path: lt.AnnealingPath, x: Tensor, walkers: Tensor) -> Any:
    jump = _domains(path)
    return jump.enter(jump.init(x, walkers), path)[0]


@torch.no_grad()
def _step_domains(state: Any, path: lt.AnnealingPath, seed: int) -> tuple[Any, Any]:
    return _domains(path).step(state, path, local_network(path.model), seed)


def _flow(made: Any) -> Stepper:
    drift: Any = FixedDrift((2, 4))

    def init(path: lt.AnnealingPath, x: Tensor, walkers: Tensor) -> Any:
        return made.enter(made.init(x, walkers), path)[0]

    def step(state: Any, path: lt.AnnealingPath, seed: int) -> tuple[Any, Any]:
        found: tuple[Any, Any] = made.step(state, path, drift, seed)
        return found

    return Stepper(init, step, random=False)


def _ratio(made: lt.PathRatio) -> Stepper:
    drift: Any = FixedDrift((2, 4))

    def init(path: lt.AnnealingPath, x: Tensor, walkers: Tensor) -> Any:
        """After a first step, so that the state has momenta or an evaluation."""
        state, _ = made.enter(made.init(x, walkers), path)
        return made.enter(made.step(state, path, drift, seed=9)[0], path)[0]

    return Stepper(init, lambda state, path, seed: made.step(state, path, drift, seed))


def _move(name: str, move: mcmc.Move) -> Stepper:
    return Stepper(
        lambda path, x, walkers: move.init(x, walkers),
        lambda state, path, seed: move.step(state, path, 0.7, seed),
        TOGETHER.get(name, 1),
    )


# Moves that are not made without arguments, or not tested alone.
EXAMPLES: dict[str, Any] = {
    "HMC": lt.HMC(leapfrogs=3, step=0.3, fourier=False),
    "Langevin": lt.Langevin(step=0.3, fourier=False),
    "Compose": lt.Compose(lt.Metropolis(), lt.Wolff()),
    # Alone it does not part walkers that start alike.
    "Houdayer": lt.Compose(lt.HeatBath(), lt.Houdayer()),
    "ParallelTempering": lt.ParallelTempering([0.2, 0.6, 1.0]),
    "ParallelTempering of pairs": lt.ParallelTempering(
        [0.4, 1.0], lt.Compose(lt.Houdayer(), lt.HeatBath())
    ),
}
TOGETHER = {"Houdayer": 2, "ParallelTempering of pairs": 2}


def library_moves() -> dict[str, Any]:
    """All moves of the registry but those that other tests enter."""
    found = registry.things("move").items()
    return {name: made for name, made in found if made.__module__.startswith("leaps_triton")}


MOVES = {name: made() for name, made in library_moves().items() if name not in EXAMPLES}
MOVES |= EXAMPLES
STEPPERS = {
    "Jump": Stepper(_init_jump, _step_jump),
    "TauLeap": Stepper(_init_leap, _step_leap),
    "Jump with domains": Stepper(_init_domains, _step_domains),
    "MapStep": _flow(lt.MapStep(2)),
    "RungeKutta": _flow(lt.RungeKutta(2)),
    "PathRatio": _ratio(lt.PathRatio(2, diffusion=0.1)),
    "PathRatio with momenta": _ratio(lt.PathRatio(2, diffusion=0.1, momentum=2.0)),
    **{name: _move(name, move) for name, move in MOVES.items()},
}
OF_FIELDS = ("MapStep", "PathRatio", "RungeKutta", "HMC", "Langevin", "SignCluster")
NEEDS = {"Overrelaxation": ["clock 3x3 q=5"]} | {name: list(FIELDS) for name in OF_FIELDS}
CASES = {
    f"{name} {model}": (STEPPERS[name], model)
    for name in STEPPERS
    for model in NEEDS.get(name.split()[0], MODELS)
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stepper" in metafunc.fixturenames:
        known = MODELS | FIELDS
        cases = [(stepper, lt.AnnealingPath(known[model])) for stepper, model in CASES.values()]
        metafunc.parametrize(("stepper", "path"), cases, ids=CASES)


def begin(stepper: Stepper, path: lt.AnnealingPath) -> Any:
    walkers = torch.arange(1000, 1000 + WALKERS)
    return stepper.init(path, path.start.sample(walkers, seed=1), walkers)


def equal(first: Any, second: Any) -> bool:
    """Whether two states or infos are the same bit for bit, one in another too."""
    if isinstance(first, tuple):
        return len(first) == len(second) and all(
            equal(a, b) for a, b in zip(first, second, strict=True)
        )
    if isinstance(first, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    return bool(first == second)


def copied(state: Any) -> Any:
    return state._replace(
        **{n: v.clone() for n, v in state._asdict().items() if isinstance(v, Tensor)}
    )


def taken(state: Any, rows: Tensor) -> Any:
    return state._replace(
        **{n: v[rows] for n, v in state._asdict().items() if isinstance(v, Tensor)}
    )


def test_every_integrator_and_move_is_tested() -> None:
    integrators = registry.things("integrator").items()
    names = {name for name, made in integrators if made.__module__.startswith("leaps_triton")}
    assert names | library_moves().keys() == {name.split()[0] for name in STEPPERS}


@pytest.mark.parametrize("name", MOVES)
def test_moves_answer_for_themselves(name: str) -> None:
    move = mcmc.as_move("move", MOVES[name])
    assert move is MOVES[name] and move.own is move
    assert move.together == TOGETHER.get(name, 1)
    assert bool(move.unweighted) == (move.together > 1 or name == "ParallelTempering")
    if move.irreversible:
        with pytest.raises(ValueError, match="cannot be reversed"):
            move.reversed()
    else:
        assert move.reversed().reversed() == move


def test_state_and_info_are_named_tuples(stepper: Stepper, path: lt.AnnealingPath) -> None:
    before = begin(stepper, path)
    after, info = stepper.step(before, path, 0)
    assert type(after) is type(before)
    for value in (after, info):
        assert isinstance(value, tuple) and hasattr(type(value), "_fields")
    assert {"configurations", "walkers"} <= set(after._fields)
    for name, value in after._asdict().items():
        old = getattr(before, name)
        assert type(value) is type(old)
        if isinstance(value, Tensor):
            assert (
                value.dtype == old.dtype and value.shape == old.shape and value.device == old.device
            )
    assert torch.equal(after.walkers, before.walkers)


def test_configurations_stay_configurations(stepper: Stepper, path: lt.AnnealingPath) -> None:
    state, seen = begin(stepper, path), set()
    for _ in range(4):
        state, _ = stepper.step(state, path, 0)
        x = state.configurations
        assert x.dtype == path.model.dtype and x.shape == (WALKERS, *path.model.lattice.shape)
        seen |= set(x.unique().tolist())
    if path.model.dtype.is_floating_point:
        assert all(map(math.isfinite, seen))
        return
    assert seen == set(range(path.model.q))


def test_the_state_given_is_left_alone(stepper: Stepper, path: lt.AnnealingPath) -> None:
    before = begin(stepper, path)
    copy = copied(before)
    after, _ = stepper.step(before, path, 0)
    assert equal(before, copy)
    assert not torch.equal(after.configurations, before.configurations)
    after.configurations.fill_(0)
    assert equal(before, copy)


def test_the_seed_decides(stepper: Stepper, path: lt.AnnealingPath) -> None:
    state = begin(stepper, path)
    first, again, other = (stepper.step(state, path, seed) for seed in (5, 5, 6))
    assert equal(first, again)
    assert stepper.random or equal(first, other)
    if not stepper.random:
        return
    assert not torch.equal(first[0].configurations, other[0].configurations)


def test_every_step_has_random_numbers_of_its_own(stepper: Stepper, path: lt.AnnealingPath) -> None:
    """The next step from the same configurations, with as much time, leads elsewhere."""
    if not stepper.random:
        pytest.skip("a step draws nothing")
    before = begin(stepper, path)
    first, _ = stepper.step(before, path, 0)
    carried = first._replace(configurations=before.configurations)
    if hasattr(carried, "remaining"):
        carried = carried._replace(remaining=before.remaining)
    second, _ = stepper.step(carried, path, 0)
    changed = (first.configurations != second.configurations).flatten(1).any(1)
    assert changed.double().mean() > 0.3


def test_random_numbers_follow_the_index_of_the_walker(
    stepper: Stepper, path: lt.AnnealingPath
) -> None:
    """In any order and company, and whatever the others do.

    To rounding in what is not a configuration.
    """
    before = begin(stepper, path)
    together, _ = stepper.step(before, path, 0)
    groups = torch.arange(WALKERS).view(-1, stepper.together)
    order = groups.view(4, -1, stepper.together).transpose(0, 1).flatten(0, 1)
    for rows in (order.flatten(), order[:7].flatten(), order[-1]):
        apart, _ = stepper.step(taken(before, rows), path, 0)
        for name, value in apart._asdict().items():
            whole = getattr(together, name)
            if isinstance(value, Tensor) and value.is_floating_point():
                torch.testing.assert_close(value, whole[rows], rtol=0, atol=1e-12)
            else:
                assert equal(value, whole[rows] if isinstance(value, Tensor) else whole)


def test_walkers_have_random_numbers_of_their_own(stepper: Stepper, path: lt.AnnealingPath) -> None:
    """From one configuration, walkers part."""
    if not stepper.random:
        pytest.skip("a step draws nothing")
    walkers = torch.arange(WALKERS)
    x = path.start.sample(torch.zeros(WALKERS, dtype=torch.int64), seed=1)
    assert (x == x[0]).all()
    after, _ = stepper.step(stepper.init(path, x, walkers), path, 0)
    assert len(after.configurations.flatten(1).unique(dim=0)) >= 3
