"""Step and masses: found in a burn-in, kept by files, gone on with; and what cannot be settled."""

from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.io.parts import describe_move, rebuild_move
from leaps_triton.mcmc.fields.masses import orbits
from leaps_triton.report import summary

MODEL = lt.PhiFour((6, 6), mass_squared=-4.0, quartic=6.975)
OBSERVABLES = ["energy"]


def moment(x: Any, model: Any) -> Any:
    """Return ``V M²``."""
    return x.double().flatten(1).mean(1).square() * model.lattice.sites


@pytest.fixture(scope="module")
def hmc() -> lt.HMC:
    found = lt.HMC().settled(MODEL)
    assert isinstance(found, lt.HMC)
    return found


def test_a_burn_in_is_the_same_twice(hmc: lt.HMC) -> None:
    assert hmc.complete and hmc == lt.HMC().settled(MODEL)
    assert hmc.settled(MODEL) == hmc and hash(hmc.settled(MODEL)) == hash(hmc)
    assert hmc.masses is not None and len(hmc.masses) == orbits((6, 6))[1]
    # Long waves are light, and short ones near k̂² + m² of some mass.
    assert hmc.masses[0] < 1.0 and max(hmc.masses) > 7.0
    assert "step=0.2" in repr(hmc) and "masses=<10 of them>" in repr(hmc)


@pytest.mark.parametrize("move", [lt.HMC(), lt.HMC(2, fourier=False), lt.Langevin()])
def test_trajectories_are_accepted_as_often_as_asked(move: Any) -> None:
    """256 walkers in equilibrium: the mean acceptance is known to 0.006, the step to 0.02."""
    found = move.settled(MODEL)
    chain = lt.run_chain(
        MODEL, found, walkers=256, sweeps=60, seed=1, device="cpu", observables=[moment]
    )
    path = lt.AnnealingPath(MODEL)
    shares = []
    state = chain.state
    for _ in range(5):
        state, info = found.step(state, path, 1.0, seed=1)
        shares.append(float(info.acceptance.mean()))
    assert abs(sum(shares) / 5 - move.acceptance) < 0.05


def test_the_second_moment_is_the_published_one(hmc: lt.HMC) -> None:
    """``V⟨M²⟩ = 1.050(12)`` at L = 6, λ = 6.975; three sigma of both errors, 0.3 % of seeds."""
    move = lt.Compose(hmc, lt.SignCluster())
    chain = lt.run_chain(
        MODEL, move, walkers=128, sweeps=300, seed=2, device="cpu", observables=[moment]
    )
    found = chain.estimate("moment")
    assert found.error < 0.012
    assert abs(found.value - 1.050) < 3.0 * (found.error**2 + 0.012**2) ** 0.5


def test_what_is_given_stays() -> None:
    count = orbits((4, 4))[1]
    model = lt.PhiFour((4, 4), -1.0, 1.0)
    named = lt.HMC(step=0.25).settled(model)
    assert named.step_length == 0.25 and len(named.masses) == count
    heavy = lt.HMC(masses=[2.0] * count).settled(model)
    assert heavy.masses == (2.0,) * count and heavy.step_length is not None
    plain = lt.HMC(fourier=False).settled(model)
    assert plain.masses is None and plain.complete
    # No step is so long that a mode returns to where it was.
    free = lt.HMC(leapfrogs=3).settled(lt.PhiFour((4, 4), 1.0, 0.0))
    assert free.step_length == pytest.approx(1.11 / 3, abs=0.01)


def test_a_run_that_goes_on_keeps_both(hmc: lt.HMC) -> None:
    assert lt.HMC().settled(None, hmc) == hmc
    assert lt.HMC(step=0.1).settled(None, hmc).masses == hmc.masses
    other = lt.HMC(leapfrogs=5).settled(None, hmc)
    assert other.step_length is None and other.masses == hmc.masses
    assert lt.HMC().settled(None, lt.Langevin(step=0.3)) == lt.HMC()
    composed = lt.Compose(lt.HMC(), lt.SignCluster())
    assert composed.settled(None, composed.settled(MODEL)) == lt.Compose(hmc, lt.SignCluster())


@pytest.mark.parametrize("move", [lt.HMC(), lt.Compose(lt.Langevin(), lt.SignCluster())])
def test_files_keep_both(move: Any) -> None:
    found = move.settled(MODEL)
    described = describe_move(found)
    assert rebuild_move(described) == found
    assert rebuild_move(describe_move(move)) == move


def test_a_run_in_parts_is_the_run(tmp_path: Path) -> None:
    def run(file: str, sweeps: int, resume: bool = False) -> Any:
        return lt.io.run_chain(
            MODEL, lt.HMC(), walkers=8, sweeps=sweeps, file=tmp_path / file, seed=3, burn_in=4,
            every=10, device="cpu", observables=OBSERVABLES, resume=resume,
        )  # fmt: skip

    whole = run("whole.h5", 40)
    run("parts.h5", 20)
    parts = run("parts.h5", 40, resume=True)
    assert parts.move == whole.move and parts.move.complete
    assert torch.equal(parts.configurations, whole.configurations)
    assert torch.equal(parts.values["energy"], whole.values["energy"])


def test_chains_have_the_move_by_default() -> None:
    move = lt.default_move(MODEL)
    assert move == lt.Compose(lt.HMC(), lt.SignCluster())
    chain = lt.run_chain(MODEL, walkers=4, sweeps=5, device="cpu", observables=OBSERVABLES)
    moved: Any = chain.move
    assert moved.moves[0].complete


def test_moves_answer_what_samplers_ask(hmc: lt.HMC) -> None:
    assert hmc.reversed() is hmc and hmc.ergodic and not hmc.rowwise and not hmc.unweighted
    assert lt.SignCluster().rowwise and not lt.SignCluster().ergodic
    assert lt.Compose(hmc, lt.SignCluster()).ergodic


def test_signs_are_all_that_clusters_change() -> None:
    path = lt.AnnealingPath(MODEL)
    walkers = torch.arange(50)
    x = path.start.sample(walkers, seed=1)
    move = lt.SignCluster(2)
    after, info = move.step(move.init(x, walkers), path, 0.5, seed=1)
    assert after.sweep == 2 and torch.equal(after.configurations.abs(), x.abs())
    turned = (after.configurations != x).float().flatten(1).mean(1)
    torch.testing.assert_close(info.changed, turned)
    ising = lt.AnnealingPath(lt.Ising((3, 3), 0.4))
    spins = move.init(ising.start.sample(walkers, 0), walkers)
    with pytest.raises(ValueError, match=r"bonds of PhiFour on a path .*take HMC"):
        move.step(spins, ising, 1.0, 0)


BAD: list[tuple[Any, str]] = [
    (lambda: lt.HMC(0), "leapfrogs must be .*got 0"),
    (lambda: lt.HMC(step=-0.1), "step must be a positive number, got -0.1"),
    (lambda: lt.HMC(acceptance=1.0), "acceptance must be a probability between 0 and 1"),
    (lambda: lt.HMC(masses=[1.0, 0.0]), "masses must be positive numbers"),
    (lambda: lt.HMC(fourier=False, masses=[1.0]), "give fourier=True with masses="),
    (lambda: lt.SignCluster(0), "sweeps must be .*got 0"),
    (lambda: lt.HMC().settled(lt.Ising((3, 3), 0.4)), "moves real fields.*take HeatBath"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_moves_that_are_not_settled_say_so() -> None:
    path = lt.AnnealingPath(MODEL)
    walkers = torch.arange(2)
    x = path.start.sample(walkers, seed=0)
    move = lt.HMC(step=0.2)
    with pytest.raises(ValueError, match=r"takes move = lt.HMC\(...\).settled\(model\)"):
        move.step(move.init(x, walkers), path, 1.0, seed=0)
    alien = lt.HMC(step=0.2, masses=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"masses must be 10 numbers .* got 2; they are those of"):
        alien.step(alien.init(x, walkers), path, 1.0, seed=0)


def test_a_step_is_kept_for_what_it_was_found_for(hmc: lt.HMC) -> None:
    assert lt.HMC().settled(None, hmc) == hmc
    assert lt.HMC(acceptance=0.6).settled(None, hmc).step_length is None
    masses = [1.0] * len(hmc.masses or ())
    assert lt.HMC(masses=masses).settled(None, hmc).step_length is None
    # Masses are those of the target, whatever the acceptance.
    assert lt.HMC(acceptance=0.6).settled(None, hmc).masses == hmc.masses


def test_a_chain_tells_how_often_trajectories_are_accepted(hmc: lt.HMC, tmp_path: Path) -> None:
    """About a thousand trajectories: 0.02 is three errors, and the step is known to as much."""
    options: dict[str, Any] = {"walkers": 64, "sweeps": 20, "device": "cpu"}
    chain = lt.run_chain(MODEL, hmc, observables=OBSERVABLES, **options)
    assert chain.acceptance == pytest.approx(0.8, abs=0.04)
    assert "acceptance=0." in repr(chain) and not chain.doubts
    file = tmp_path / "chain.h5"
    kept = lt.io.run_chain(MODEL, hmc, file=file, observables=OBSERVABLES, **options)
    assert kept.acceptance == chain.acceptance
    # The chain itself is as it was.
    assert torch.equal(kept.configurations, chain.configurations)
    ising = lt.run_chain(lt.Ising((4, 4), 0.3), sweeps=20, device="cpu")
    assert ising.acceptance is None and "acceptance" not in ising.notes


def test_weighted_walkers_tell_how_often_trajectories_are_accepted(hmc: lt.HMC) -> None:
    path = lt.AnnealingPath(MODEL)
    sampler = lt.Sampler(path, None, lt.MapStep(8), hmc, block=64, device="cpu")
    found = sampler.sample(64, seed=0)
    before = found.configurations.clone()
    assert found.acceptance(sampler.mcmc) == pytest.approx(0.8, abs=0.06)
    assert torch.equal(found.configurations, before)
    assert found.acceptance(None) is None and found.acceptance(lt.SignCluster()) is None


def test_a_chain_that_stays_where_it_is_says_so() -> None:
    options: dict[str, Any] = {"walkers": 8, "sweeps": 20, "device": "cpu"}
    move = lt.Compose(lt.HMC(step=5.0, fourier=False), lt.SignCluster())
    chain = lt.run_chain(MODEL, move, observables=OBSERVABLES, **options)
    assert chain.acceptance is not None and chain.acceptance < 0.01
    # So few draws are too few for error bars as well.
    with (
        pytest.warns(lt.ShortChainWarning),
        pytest.warns(lt.LowAcceptanceWarning, match="smaller step"),
    ):
        found = summary.measure(chain, OBSERVABLES)
    assert "accepted with probability" in summary.render(found)
