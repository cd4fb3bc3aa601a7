"""Chains keep the lowest energy, of every draw or of all replicas at every step, and where."""

import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch

import leaps_triton as lt
from going_on import FILES
from leaps_triton.mcmc import Lowest

GLASS = lt.EdwardsAnderson((4, 3), 0.9, disorder="gaussian", seed=2)
TEMPERING = lt.ParallelTempering([0.3, 0.6, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer()))


def run(move: Any, model: Any = GLASS, **options: Any) -> lt.Chain:
    given = {"walkers": 6, "sweeps": 20, "burn_in": 4, "seed": 1, "observables": ["energy"]}
    return lt.run_chain(model, move, **{**given, "device": "cpu", **options})


def planted(length: int) -> tuple[torch.Tensor, float]:
    """Couplings of tiles of four bonds, one weak and unsatisfied, and their ground state energy.

    Every bond is in one tile, and in each the state of all spins alike is lowest.
    """
    coupling = torch.full((2, length, length), 2.0, dtype=torch.float64)
    for i in range(length):
        for j in range(i % 2, length, 2):
            # Another of the four bonds in turn.
            bonds = [(0, i, j), (0, i, (j + 1) % length), (1, i, j), (1, (i + 1) % length, j)]
            coupling[bonds[(i + j // 2) % 4]] = -1.0
    gauge = 1.0 - 2.0 * (torch.arange(length**2).view(length, length) % 7 < 3).double()
    for axis in (0, 1):
        coupling[axis] *= gauge * gauge.roll(-1, axis)
    return coupling, -5.0 * length**2 / 2


def test_the_planted_state_is_found() -> None:
    coupling, energy = planted(8)
    model = lt.EdwardsAnderson((8, 8), 2.0, coupling=coupling)
    move = lt.ParallelTempering([0.1, 0.2, 0.35, 0.6, 1.0], TEMPERING.move)
    chain = run(move, model, walkers=8, sweeps=80)
    assert chain.lowest_energy == energy
    assert chain.lowest_configuration is not None
    assert model.energy(chain.lowest_configuration.unsqueeze(0)).item() == energy


def test_the_lowest_is_the_exact_one_of_a_small_glass() -> None:
    states = lt.exact.enumerate_configurations((4, 3), 2)
    exact = float(GLASS.energy(states).min())
    for move in (TEMPERING, lt.HeatBath()):
        assert run(move, sweeps=50).lowest_energy == pytest.approx(exact, abs=1e-12)


def test_other_moves_look_at_every_draw() -> None:
    chain = run(lt.HeatBath(), thin=3, keep_configurations=True)
    assert chain.kept is not None and chain.lowest is not None
    energies = GLASS.energy(chain.kept.flatten(0, 1)).view(6, -1)
    assert torch.equal(chain.lowest.energies, energies.min(1).values)
    assert torch.equal(GLASS.energy(chain.lowest.configurations), chain.lowest.energies)
    assert chain.lowest_energy == energies.min()
    # Also where no observable asks for energies.
    silent = run(lt.HeatBath(), thin=3, observables=["magnetization"])
    assert silent.lowest_energy == chain.lowest_energy


def test_tempering_looks_at_all_replicas_at_every_step() -> None:
    chain = run(TEMPERING, thin=5)
    path = lt.AnnealingPath(GLASS)
    walkers = torch.arange(6)
    state = TEMPERING.init(path.start.sample(walkers, 1), walkers)
    lowest = torch.full((6,), torch.inf, dtype=torch.float64)
    for _ in range(24):
        state, info = TEMPERING.step(state, path, 1.0, 1)
        energies = GLASS.energy(state.replicas.flatten(0, 1)).view(6, 3)
        assert torch.equal(info.energies, energies)
        lowest = torch.minimum(lowest, energies.min(1).values)
    assert chain.lowest is not None
    assert torch.equal(chain.lowest.energies, lowest)
    assert torch.equal(GLASS.energy(chain.lowest.configurations), lowest)
    # Lower than what comes to the target, so that replicas count indeed.
    assert (lowest < GLASS.energy(chain.configurations)).any()


def test_a_nan_is_no_lowest_energy() -> None:
    x = torch.zeros(2, 3, dtype=torch.int8)
    before = Lowest(torch.tensor([1.0, 2.0], dtype=torch.float64), x)
    after = before.and_of(torch.tensor([torch.nan, 1.5], dtype=torch.float64), x + 1)
    assert after.energies.tolist() == [1.0, 1.5]
    assert after.configurations[:, 0].tolist() == [0, 1]


def test_files_hold_it_and_go_on(tmp_path: Path) -> None:
    def filed(name: str, sweeps: int, **options: Any) -> lt.io.ChainRun:
        return lt.io.run_chain(
            GLASS, TEMPERING, 6, sweeps, tmp_path / name, thin=2, seed=1, burn_in=4,
            observables=["energy"], device="cpu", every=3, **options,
        )  # fmt: skip

    memory = run(TEMPERING, thin=2)
    whole = filed("whole.h5", 20)
    filed("halves.h5", 10)
    halves = filed("halves.h5", 20, resume=True)
    again: Any = lt.io.read(tmp_path / "halves.h5")
    for found in (whole, halves, again):
        assert found.lowest_energy == memory.lowest_energy
        for one, other in zip(found.lowest, memory.lowest, strict=True):  # type: ignore[arg-type]
            assert torch.equal(one, other)
    with h5py.File(tmp_path / "whole.h5", "r+") as file:
        file["lowest/energies"][:] = -1e9
    with pytest.raises(ValueError, match="is damaged: the lowest of its walkers"):
        lt.io.read(tmp_path / "whole.h5")


def test_a_file_of_an_earlier_version_does_not_tell(tmp_path: Path) -> None:
    file = Path(shutil.copy(FILES / "chain-tempering-alone.h5", tmp_path))
    old: Any = lt.io.read(file)
    assert old.lowest is None and old.lowest_energy is None and old.lowest_configuration is None
