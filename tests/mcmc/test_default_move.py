"""The move of chains whose user names none: by the model, recorded, and kept by files."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.mcmc import settled
from leaps_triton.models.base import SweepPlan

LOCAL = lt.Metropolis()
ORDERS = lt.Compose(lt.Metropolis(4), lt.SwendsenWang())
STATES = lt.Compose(lt.HeatBath(4), lt.SwendsenWang())
NO_SYMMETRY = [[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


class Own:
    """An energy alone."""

    q = 2
    beta = 0.4
    lattice = lt.Lattice((3, 3))

    def energy(self, configurations: Tensor) -> Tensor:
        return -configurations.flatten(1).sum(1, dtype=torch.float64)


class OwnStates(Own):
    """An energy of three states."""

    q = 3


class Sweeping(lt.Ising):
    """A model that brings its own sweeps, which never rest."""

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return super().energy(configurations, check)

    def local_energy(self, *arguments: Any, **options: Any) -> Any:
        return super().local_energy(*arguments, **options)

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        return super().heat_bath(configurations, beta, plan)

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        return super().metropolis(configurations, beta, plan._replace(rest=0.0))


def edge(value: float) -> Tensor:
    """Couplings of an open chain, with one of any sign on the bond that leaves it."""
    coupling = torch.ones(1, 5)
    coupling[0, -1] = value
    return coupling


MODELS: dict[str, tuple[Any, Any]] = {
    "Ising": (lt.Ising((4, 4), 0.4), ORDERS),
    "Ising of another size and temperature": (lt.Ising((6, 4, 4), 2.0), ORDERS),
    "random ferromagnet": (lt.Ising((3, 3), 0.4, coupling=torch.rand(2, 3, 3)), ORDERS),
    "antiferromagnet": (lt.Ising((4, 4), 0.4, coupling=-1.0), ORDERS),
    "odd antiferromagnet": (lt.Ising((3, 4), 0.4, coupling=-1.0), LOCAL),
    "open odd antiferromagnet": (lt.Ising((3, 3), 0.4, coupling=-1.0, periodic=False), ORDERS),
    "beyond the edge": (lt.Ising((5,), 0.4, coupling=edge(-1.0), periodic=False), ORDERS),
    "within the edge": (lt.Ising((5,), 0.4, coupling=edge(-1.0)), LOCAL),
    "Ising with a field": (lt.Ising((4, 4), 0.4, field=0.1), LOCAL),
    "glass": (lt.EdwardsAnderson((4, 4), beta=1.0, seed=1), LOCAL),
    "Potts": (lt.Potts((4, 4), 3, 1.0), STATES),
    "antiferromagnetic Potts": (lt.Potts((4, 4), 3, 1.0, coupling=-1.0), lt.HeatBath()),
    "Potts with a field": (lt.Potts((4, 4), 3, 1.0, field=[0.1, 0.0, 0.0]), lt.HeatBath()),
    "two states of Potts": (lt.Potts((4, 4), 2, 1.0), ORDERS),
    "Clock": (lt.Clock((4, 4), 6, 1.0), STATES),
    "pairs without symmetry": (lt.PairModel((4, 4), 1.0, NO_SYMMETRY), lt.HeatBath()),
    "an energy alone": (Own(), LOCAL),
    "an energy of three states": (OwnStates(), lt.HeatBath()),
    "sweeps of the user's own": (Sweeping((4, 4), 0.4), lt.HeatBath()),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_model_alone_decides(name: str) -> None:
    model, expected = MODELS[name]
    found = lt.default_move(model)
    assert found == expected
    assert found.ergodic
    # It takes the model, and is told by the chain.
    chain = lt.run_chain(model, walkers=2, sweeps=2, device="cpu")
    assert chain.move == settled(expected, chain.model, None, 2)


def test_without_states_there_is_no_default() -> None:
    class Flat:
        shape = (3,)
        dtype = torch.float32
        beta = 1.0

        def energy(self, configurations: Tensor) -> Tensor:
            return configurations.flatten(1).double().square().sum(1)

    with pytest.raises(ValueError, match=r"Flat are torch.float32, .* give a move of your own"):
        lt.default_move(Flat())

    class Steep(Flat):
        def force(self, configurations: Tensor) -> Tensor:
            return -2.0 * configurations

    assert lt.default_move(Steep()) == lt.HMC(fourier=False)


def test_chains_without_a_move_are_those_of_its_default() -> None:
    model = lt.Ising((4, 4), 0.4)
    one = lt.run_chain(model, walkers=8, sweeps=20, seed=3, device="cpu")
    two = lt.run_chain(model, ORDERS, 8, 20, seed=3, device="cpu")
    assert torch.equal(one.values["energy"], two.values["energy"])


def test_replicas_are_moved_by_the_default() -> None:
    """By the chain that records it, and by a step alone."""
    glass = lt.EdwardsAnderson((4, 4), beta=1.0, seed=1)
    unnamed = lt.ParallelTempering([0.5, 1.0])
    named = lt.ParallelTempering([0.5, 1.0], LOCAL)
    assert unnamed.ergodic and unnamed.together == 1
    one = lt.run_chain(glass, unnamed, 8, 20, seed=3, device="cpu")
    two = lt.run_chain(glass, named, 8, 20, seed=3, device="cpu")
    assert one.move == two.move == settled(named, glass, None, 8)
    assert torch.equal(one.values["energy"], two.values["energy"])
    path, walkers = lt.AnnealingPath(glass), torch.arange(4)
    begun = path.start.sample(walkers, seed=0)
    made = [move.step(move.init(begun, walkers), path, 1.0, 5)[0] for move in (unnamed, named)]
    assert torch.equal(made[0].replicas, made[1].replicas)


@pytest.mark.parametrize("method", ["chains", "tempering", "annealing"])
def test_scans_take_the_default(method: str) -> None:
    model = lt.Ising((4, 4), 0.4)
    options: dict[str, Any] = {"walkers": 4, "device": "cpu", "seed": 1}
    if method == "annealing":
        options["intervals"] = 4
    else:
        options["sweeps"] = 6
    one = lt.scan(model, [0.2, 0.4], method, **options)
    two = lt.scan(model, [0.2, 0.4], method, ORDERS, **options)
    for first, second in zip(one.runs, two.runs, strict=True):
        assert torch.equal(first.values["energy"], second.values["energy"])


OLDER = [lt.HeatBath(2), lt.ParallelTempering([0.5, 1.0], lt.HeatBath())]


@pytest.mark.parametrize("older", OLDER, ids=["alone", "replicas"])
def test_a_file_keeps_its_move_where_none_is_named(tmp_path: Path, older: Any) -> None:
    """Another default than today's, be it of the chain or of its replicas."""
    model = lt.Ising((4, 4), 0.4)
    unnamed = None
    if isinstance(older, lt.ParallelTempering):
        unnamed = lt.ParallelTempering([0.5, 1.0])
    whole = lt.run_chain(model, older, 4, 20, burn_in=2, seed=3, device="cpu")
    file = tmp_path / "chain.h5"
    options: dict[str, Any] = {"burn_in": 2, "seed": 3, "device": "cpu"}
    lt.io.run_chain(model, older, 4, 10, file, **options)
    longer = lt.io.run_chain(model, unnamed, 4, 20, file, resume=True, **options)
    assert longer.move == settled(older, model, None, 4)
    assert torch.equal(longer.values["energy"], whole.values["energy"])
    # Whoever names a move asks for that one.
    with pytest.raises(ValueError, match="made with other settings"):
        lt.io.run_chain(model, lt.HeatBath(3), 4, 20, file, resume=True, **options)


@pytest.mark.parametrize("method", ["tempering", "annealing"])
def test_a_file_of_a_scan_keeps_its_move(tmp_path: Path, method: str) -> None:
    model = lt.Ising((4, 4), 0.4)
    file = tmp_path / "scan.h5"
    options: dict[str, Any] = {"file": file, "method": method, "device": "cpu"}
    more: dict[str, Any] = {"sweeps": 20}
    less: dict[str, Any] = {"sweeps": 10, "burn_in": 2}
    if method == "annealing":
        options["intervals"] = 4
        less = {"walkers": 4}
        more = {"walkers": 8}
    lt.io.scan(model, [0.2, 0.4], move=lt.HeatBath(), **less, **options)
    found = lt.io.scan(model, [0.2, 0.4], **{**less, **more}, resume=True, **options)
    result: Any = found.result
    if method == "annealing":
        assert result.sampler.mcmc == lt.HeatBath(packed="walkers")
    else:
        assert result.move.move == lt.HeatBath(packed="walkers")


def test_a_file_must_be_named() -> None:
    with pytest.raises(ValueError, match="file must be the name of a file, got None"):
        lt.io.run_chain(lt.Ising((4, 4), 0.4), device="cpu")
