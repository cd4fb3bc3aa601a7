"""Short blocks: who computes walkers that nobody asked for, and that none of it changes a bit."""

from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.samplers.blocks import enough
from leaps_triton.samplers.sampler import Sampler

GLASS = lt.EdwardsAnderson((5, 7), beta=0.8, disorder="gaussian", seed=3)
MODELS: dict[str, Any] = {
    "Ising": lt.Ising((4, 4), 0.4),
    "odd Ising in a field": lt.Ising((3, 5), 0.4, field=0.3),
    "gaussian glass": GLASS,
    "Potts": lt.Potts((3, 3, 3), 3, 0.6),
    "clock": lt.Clock((5, 4), 5, 0.7, periodic=False),
}
MOVES: dict[str, Any] = {
    "heat bath": lt.HeatBath(),
    "Metropolis": lt.Metropolis(2),
    "clusters": lt.Compose(lt.SwendsenWang(), lt.Wolff()),
}


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Walkers of every block that is computed."""
    found: list[int] = []
    whole = Sampler.run_block

    def run_block(self: Sampler, walkers: Tensor, *others: Any, **options: Any) -> Any:
        found.append(len(walkers))
        return whole(self, walkers, *others, **options)

    monkeypatch.setattr(Sampler, "run_block", run_block)
    return found


def annealed(model: Any, move: Any, block: int = 256) -> lt.Sampler:
    return lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(3), move, block=block, device="cpu")


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", MODELS)
def test_walkers_of_a_short_block_are_those_of_a_whole_one(name: str, move: str) -> None:
    sampler = annealed(MODELS[name], MOVES[move])
    assert sampler.rowwise
    whole = sampler.sample(256, seed=3)
    for walkers in (1, 2, 3, 19, 64, 65, 131):
        some = sampler.sample(walkers, seed=3)
        assert torch.equal(some.configurations, whole.configurations[:walkers])
        assert torch.equal(some.log_weights, whole.log_weights[:walkers])


def test_a_short_block_along_the_path() -> None:
    sampler = annealed(MODELS["Ising"], lt.HeatBath())
    some, whole = (sampler.sample(walkers, seed=3, along=True) for walkers in (65, 256))
    assert some.recorded is not None and whole.recorded is not None
    assert torch.equal(some.recorded.log_weights, whole.recorded.log_weights[:65])
    assert torch.equal(some.recorded.values["energy"], whole.recorded.values["energy"][:65])


def test_classical_annealing_computes_what_is_asked_for(computed: list[int]) -> None:
    sampler = annealed(lt.Ising((8, 8), 0.4), lt.HeatBath())
    sampler.sample(3)
    sampler.sample(17)
    sampler.sample(256 + 30)
    assert computed == [16, 32, 256, 32]


@pytest.mark.parametrize(
    ("shape", "walkers", "expected"),
    [
        ((32, 32), 1, 2),
        ((32, 32), 5, 5),
        ((16, 16), 5, 8),
        ((15, 15), 5, 64),
        ((15, 15), 65, 100),
        ((32, 32), 100, 100),
    ],
)
def test_how_many_are_computed(shape: tuple[int, ...], walkers: int, expected: int) -> None:
    """Multiples of 1024 sites, or of 64 walkers; never a single one, nor more than a block."""
    path = lt.AnnealingPath(lt.Ising(shape, 0.4))
    assert enough(walkers, 100, path) == expected
    assert enough(1, 1, path) == 1


class Own:
    """A move of the user's, who does not say that it takes each walker for itself."""

    def __init__(self) -> None:
        self.move = lt.HeatBath()

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        return self.move.init(configurations, walkers)

    def step(self, state: Any, path: Any, t: Any, seed: int) -> Any:
        return self.move.step(state, path, t, seed)


class Rowwise(Own):
    """One who says so."""

    rowwise = True


class Energy:
    """An energy of the user's."""

    lattice = lt.Lattice((4, 4))
    q = 2
    beta = 0.3

    def energy(self, configurations: Tensor) -> Tensor:
        return -configurations.flatten(1).sum(1, dtype=torch.float64)


PATH = lt.AnnealingPath(lt.Ising((4, 4), 0.4))
WHOLE: dict[str, Any] = {
    "network": lt.Sampler(PATH, lt.LocalRates(PATH.model), lt.Jump(2), block=128, device="cpu"),
    "reversible rates": lt.Sampler(
        PATH, None, lt.Jump(2, reversible="barker"), lt.HeatBath(), block=128, device="cpu"
    ),
    "kinetic": annealed(PATH.model, lt.KineticMonteCarlo(), 128),
    "composed of such": annealed(PATH.model, lt.Compose(lt.HeatBath(), Own()), 128),
    "a move of the user's": annealed(PATH.model, Own(), 128),
    "an energy of the user's": annealed(Energy(), lt.HeatBath(), 128),
    "resampling": lt.Sampler(PATH, None, lt.Jump(2), lt.HeatBath(), 0.5, 128, "cpu"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_other_blocks_are_computed_whole(name: str, computed: list[int]) -> None:
    assert not WHOLE[name].rowwise
    WHOLE[name].sample(3)
    assert computed == [128]


def test_a_move_may_say_that_it_takes_each_walker_for_itself(computed: list[int]) -> None:
    annealed(PATH.model, Rowwise(), 128).sample(3)
    assert computed == [64]


def test_a_file_that_grows_draws_its_short_block_again(tmp_path: Any) -> None:
    sampler = annealed(MODELS["gaussian glass"], lt.HeatBath(), 32)
    lt.io.sample(sampler, 40, tmp_path / "one.h5", seed=2)
    grown = lt.io.sample(sampler, 70, tmp_path / "one.h5", seed=2, resume=True)
    whole = lt.io.sample(sampler, 70, tmp_path / "two.h5", seed=2)
    assert torch.equal(grown.log_weights, whole.log_weights)
