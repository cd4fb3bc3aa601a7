"""What a move of a user's own needs, what is answered for it, and former names of moves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.mcmc import SweepState, as_move
from leaps_triton.renamed import renamed

MODEL = lt.Ising((3, 3), 0.4)


class Plain:
    """The least: each step is a sweep of the library's heat bath."""

    def init(self, configurations: Tensor, walkers: Tensor) -> Any:
        return lt.HeatBath().init(configurations, walkers)

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        return lt.HeatBath().step(state, path, t, seed)


class Answering(Plain):
    """A move that answers all questions itself."""

    together = 3
    unweighted = "walkers meet"

    def reversed(self) -> "Answering":
        return self


def test_two_methods_make_a_move() -> None:
    given = Plain()
    move = as_move("move", given)
    assert (move.together, move.unweighted, move.own) == (1, "", given)
    assert move.irreversible == "Plain has no reversed()"
    with pytest.raises(ValueError, match=r"cannot be reversed in time: Plain has no reversed\(\)"):
        move.reversed()
    found = lt.run_chain(MODEL, given, 4, 10, seed=3, device="cpu")
    expected = lt.run_chain(MODEL, lt.HeatBath(), 4, 10, seed=3, device="cpu")
    assert torch.equal(found.values["energy"], expected.values["energy"])
    assert found.move is given and found.together == 1


def test_answers_of_a_users_move_are_kept() -> None:
    given = Answering()
    move = as_move("move", given)
    assert (move.together, move.unweighted, move.irreversible) == (3, "walkers meet", "")
    assert move.reversed().own is given
    composed = lt.Compose(lt.HeatBath(), given, lt.Houdayer())
    assert composed.together == 6 and composed.unweighted == "walkers meet"
    assert lt.ParallelTempering([0.5, 1.0], given).together == 3
    with pytest.raises(ValueError, match="Answering moves 3 walkers together"):
        lt.run_chain(MODEL, given, 4, 10, device="cpu")


def test_moves_say_whether_they_reach_every_configuration() -> None:
    """A user's own move is believed; one ergodic part makes a composition ergodic."""

    class Doubtful(Plain):
        ergodic = False

    assert as_move("move", Plain()).ergodic and lt.Metropolis().ergodic
    assert not as_move("move", Doubtful()).ergodic
    assert not lt.Compose(Doubtful(), lt.Overrelaxation()).ergodic
    assert lt.Compose(Doubtful(), lt.HeatBath()).ergodic
    # Tempering is as the move of its replicas.
    assert lt.ParallelTempering([0.5, 1.0]).ergodic
    assert not lt.ParallelTempering([0.5, 1.0], lt.Metropolis(rest=0.0)).ergodic


CONFINED: dict[str, tuple[Any, str]] = {
    "Houdayer": (lt.Houdayer(), r"take Compose\(HeatBath\(\), Houdayer\(\)\)"),
    "Overrelaxation": (lt.Overrelaxation(), r"take Compose\(HeatBath\(\), Overrelaxation\(\)\)"),
    "Metropolis": (lt.Metropolis(rest=0.0), r"closed orbits; take rest=0.125"),
    "Wolff": (lt.Wolff(rest=0.0), r"parity is fixed; take rest=0.03125"),
    "tempering": (lt.ParallelTempering([0.5, 1.0], lt.Houdayer()), r"take Compose\(HeatBath\(\)"),
}


@pytest.mark.parametrize("name", CONFINED)
def test_chains_that_may_not_reach_everything_warn(name: str, tmp_path: Path) -> None:
    """Once, at the line that runs them, in memory and into a file, with the mend."""
    move, mend = CONFINED[name]
    model = lt.Clock((3, 3), 3, 0.4)
    with pytest.warns(lt.NotErgodicWarning, match=mend) as said:
        lt.run_chain(model, move, 4, 4, device="cpu")
    assert len(said) == 1 and said[0].filename == __file__
    assert str(said[0].message).startswith("the chain may never reach some configurations: ")
    with pytest.warns(lt.NotErgodicWarning, match=mend) as said:
        lt.io.run_chain(model, move, 4, 4, tmp_path / "chain.h5", device="cpu")
    assert len(said) == 1 and said[0].filename == __file__
    # To look at the file is no reason to warn again.
    lt.io.read(tmp_path / "chain.h5")


def test_a_composition_is_reversed_if_its_parts_are() -> None:
    forth = lt.Compose(lt.HeatBath(), lt.Metropolis(2))
    assert forth.reversed() == lt.Compose(lt.Metropolis(2, True), lt.HeatBath(1, True))
    halted = lt.Compose(lt.HeatBath(), Plain())
    assert halted.irreversible == "Plain has no reversed()"
    with pytest.raises(ValueError, match="cannot be reversed in time"):
        halted.reversed()


@pytest.mark.parametrize("given", [lt.HeatBath, lt.Jump(), "heat bath", None])
def test_what_is_no_move(given: Any) -> None:
    with pytest.raises(ValueError, match=r"mine must be a move such as HeatBath\(sweeps=1\)"):
        as_move("mine", given)


class Gaussian:
    """A target of floating-point configurations, of unit variance."""

    shape = (3,)
    dtype = torch.float64
    beta = 1.0

    def energy(self, configurations: Tensor) -> Tensor:
        return 0.5 * configurations.square().sum(1)


class Redrawn:
    """A move that draws all numbers anew from the law of :class:`Gaussian`."""

    def init(self, configurations: Tensor, walkers: Tensor) -> SweepState:
        return SweepState(configurations, walkers, 0)

    def step(self, state: SweepState, path: Any, t: Any, seed: int) -> tuple[SweepState, None]:
        index = state.walkers.unsqueeze(1)
        words = lt.kernels.philox(seed, 0, torch.arange(3), state.sweep, 0, index)
        uniform = lt.kernels.uniform64(words[0], words[1])
        x = 2.0**0.5 * torch.erfinv(2.0 * uniform - 1.0)
        return SweepState(x, state.walkers, state.sweep + 1), None


def test_chains_of_a_continuous_target() -> None:
    def square(configurations: Tensor, model: Any) -> Tensor:
        return configurations.square().sum(1)

    chain = lt.run_chain(
        Gaussian(),
        Redrawn(),
        walkers=8,
        sweeps=400,
        seed=1,
        observables=[square],
        start=torch.zeros(8, 3, dtype=torch.float64),
        device="cpu",
    )
    # A false alarm with probability 1e-4.
    assert abs(chain.estimate(square).pull(3.0)) < 4
    assert chain.names == ["square"] and chain.configurations.dtype == torch.float64


FORMER: dict[str, tuple[Callable[[], Any], str]] = {
    "run_chain": (
        lambda: lt.run_chain(MODEL, kernel=lt.HeatBath(), walkers=2, sweeps=4, device="cpu"),  # type: ignore[call-arg]
        "kernel= is now move=",
    ),
    "Chain.kernel": (
        lambda: lt.run_chain(MODEL, lt.HeatBath(), 2, 4, device="cpu").kernel,
        "Chain.kernel is now Chain.move",
    ),
    "Compose.kernels": (
        lambda: lt.Compose(lt.HeatBath()).kernels,
        "Compose.kernels is now Compose.moves",
    ),
    "ParallelTempering(kernel=)": (
        lambda: lt.ParallelTempering([0.5, 1.0], kernel=lt.HeatBath()),  # type: ignore[call-arg]
        "kernel= is now move=",
    ),
    "ParallelTempering.kernel": (
        lambda: lt.ParallelTempering([0.5, 1.0], lt.HeatBath()).kernel,
        "ParallelTempering.kernel is now ParallelTempering.move",
    ),
    "KineticMonteCarlo(rates=)": (
        lambda: lt.KineticMonteCarlo(rates="metropolis"),  # type: ignore[call-arg]
        "rates= is now reversible=",
    ),
    "KineticMonteCarlo.rates": (
        lambda: lt.KineticMonteCarlo(reversible="metropolis").rates,
        "KineticMonteCarlo.rates is now KineticMonteCarlo.reversible",
    ),
}


@pytest.mark.parametrize("name", FORMER)
def test_former_names_work_with_a_warning(name: str) -> None:
    call, message = FORMER[name]
    with pytest.warns(DeprecationWarning, match=" is now ") as said:
        found = call()
    assert [str(warning.message) for warning in said] == [message]
    # The warning is at the line to be changed.
    assert said[0].filename == __file__ and found is not None


def test_a_keyword_is_given_under_one_name() -> None:
    @renamed(old="new")
    def call(new: int) -> int:
        return new

    assert call(new=2) == 2
    with pytest.raises(TypeError, match="give new= alone: old= is its former name"):
        call(old=1, new=2)  # type: ignore[call-arg]


class Frozen(lt.HeatBath):
    """A user's own sweeps, which move nothing."""

    def step(self, state: Any, path: Any, t: Any, seed: int) -> tuple[Any, Any]:
        return state, None


@pytest.mark.parametrize(
    "move",
    [lt.HeatBath(2), lt.Metropolis(), lt.Compose(lt.HeatBath(), lt.Wolff()), Plain(), Frozen()],
    ids=["heat bath", "Metropolis", "composed", "own", "own sweeps"],
)
def test_advancing_is_stepping_without_a_word_on_it(move: Any) -> None:
    path = lt.AnnealingPath(MODEL)
    given = as_move("move", move)
    walkers = torch.arange(4)
    state = given.init(path.start.sample(walkers, seed=0), walkers)
    stepped, _ = given.step(state, path, 1.0, 3)
    advanced, lowest = given.advance(state, path, 1.0, 3)
    assert torch.equal(advanced.configurations, stepped.configurations)
    assert advanced.sweep == stepped.sweep
    assert lowest is None
