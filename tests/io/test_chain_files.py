"""Chains in HDF5 equal chains in memory, and go on or grow to the file of an undisturbed run."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import leaps_triton as lt
from leaps_triton import io, observables
from leaps_triton.io import chains as chain_io
from leaps_triton.io import hdf5

ROOT = Path(__file__).parents[2]
GLASS = lt.EdwardsAnderson((4, 3), 0.9, seed=2, periodic=False)
NAMES = ["energy", "susceptibility", "correlation"]
KERNELS: dict[str, Any] = {
    "heat bath": lt.HeatBath(sweeps=2),
    "composition": lt.Compose(lt.HeatBath(), lt.SwendsenWang()),
    "tempering": lt.ParallelTempering([0.3, 0.6, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer())),
}


def chain(file: Path, kernel: Any = KERNELS["heat bath"], **options: Any) -> io.ChainRun:
    defaults: dict[str, Any] = {
        "walkers": 6,
        "sweeps": 57,
        "burn_in": 3,
        "thin": 2,
        "seed": 4,
        "observables": NAMES,
        "every": 10,
        "configurations": True,
        "device": "cpu",
    }
    return io.run_chain(**{**defaults, "model": GLASS, "move": kernel, "file": file, **options})


@pytest.mark.parametrize("name", KERNELS)
def test_a_file_holds_what_a_chain_in_memory_does(name: str, tmp_path: Path) -> None:
    found = chain(tmp_path / "r.h5", KERNELS[name])
    memory = lt.run_chain(
        GLASS,
        KERNELS[name],
        6,
        57,
        2,
        seed=4,
        burn_in=3,
        observables=NAMES,
        keep_configurations=True,
        device="cpu",
    )
    assert found.complete and (found.walkers, found.draws, found.sweeps, found.burn_in) == (
        6,
        28,
        56,
        3,
    )
    assert found.move == memory.move and list(found.values) == NAMES
    for each in NAMES:
        assert torch.equal(found.values[each], memory.values[each])
    assert found.kept is not None and memory.kept is not None
    assert torch.equal(found.kept, memory.kept) and torch.equal(
        found.configurations, memory.configurations
    )
    assert torch.equal(
        found.model.energy(found.configurations), GLASS.energy(memory.configurations)
    )
    assert os.listdir(tmp_path) == ["r.h5"]


def test_overlaps_and_energies_of_replicas_are_stored_and_go_on(tmp_path: Path) -> None:
    kernel, names = KERNELS["tempering"], ["overlap", "replica_energies"]
    memory = lt.run_chain(
        GLASS, kernel, 6, 57, 2, seed=4, burn_in=3, observables=names, device="cpu"
    )
    assert memory.values["overlap"].shape == (3, 28) and memory.values[
        "replica_energies"
    ].shape == (6, 28, 3)
    whole, halves = tmp_path / "whole.h5", tmp_path / "halves.h5"
    chain(whole, kernel, observables=names)
    chain(halves, kernel, observables=names, sweeps=31)
    found = chain(halves, kernel, observables=names, resume=True)
    assert whole.read_bytes() == halves.read_bytes()
    for name in names:
        assert torch.equal(found.values[name], memory.values[name])
    assert torch.equal(found.state.arrivals, memory.state.arrivals) and found.state.exchanges == 59
    ais = lt.Sampler(lt.AnnealingPath(GLASS), None, lt.Jump(3), lt.HeatBath(), device="cpu")
    with pytest.raises(ValueError, match=r"observables must be names .* got 'overlap'"):
        io.sample(ais, 10, tmp_path / "w.h5", observables=["overlap"])


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_both_kinds_of_runs_are_told_apart_and_have_one_face(tmp_path: Path) -> None:
    model = lt.Ising((3, 3), beta=0.3, field=0.2)
    ais = lt.Sampler(
        lt.AnnealingPath(model), None, lt.Jump(3), lt.HeatBath(), block=64, device="cpu"
    )
    weighted = io.sample(ais, 200, tmp_path / "w.h5", configurations=True)
    walked = chain(tmp_path / "c.h5", model=model, observables=io.OBSERVABLES)
    for made in (weighted, walked):
        run = io.read(tmp_path / ("w.h5" if made is weighted else "c.h5"))
        assert type(run) is type(made) and run.complete and run.model.beta == 0.3
        for name in io.OBSERVABLES:
            observable = getattr(observables, name)
            assert run.estimate(name).value == made.estimate(observable).value
            exact = float(lt.exact.expectation(model, observable))
            assert abs(run.estimate(name).value - exact) < 8 * run.estimate(name).error
        kept = run.estimate(observables.magnetization_squared)
        assert (
            abs(kept.value - float(lt.exact.expectation(model, observables.magnetization_squared)))
            < 8 * kept.error
        )
        second = run.estimate("binder", lambda means: means[..., 1])
        assert second.value == pytest.approx(
            run.estimate(lambda x, m: observables.binder(x, m)[:, 1]).value
        )
    with pytest.raises(ValueError, match=r"w.h5 holds weighted walkers, no chain"):
        chain(tmp_path / "w.h5", resume=True)
    with pytest.raises(ValueError, match=r"c.h5 holds a chain, no weighted walkers"):
        io.sample(ais, 200, tmp_path / "c.h5", resume=True)


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
def test_a_function_with_the_name_of_a_stored_one_is_another(tmp_path: Path) -> None:
    def energy(configurations: Any, model: Any) -> Any:
        return configurations.flatten(1)[:, 0].double()

    ais = lt.Sampler(lt.AnnealingPath(GLASS), None, lt.Jump(3), lt.HeatBath(), device="cpu")
    run = io.sample(ais, 100, tmp_path / "w.h5", observables=["energy"], configurations=True)
    assert run.configurations is not None
    expected = lt.estimators.weighted_estimate(energy(run.configurations, GLASS), run.log_weights)
    assert (
        run.estimate(energy)
        == expected
        != run.estimate("energy")
        == run.estimate(observables.energy)
    )
    without = io.sample(ais, 100, tmp_path / "v.h5", observables=["energy"])
    with pytest.raises(
        ValueError, match="one of energy, since no configurations are stored, got <function"
    ):
        without.estimate(energy)


@pytest.mark.filterwarnings("ignore::leaps_triton.LowEssWarning")
@pytest.mark.parametrize("configurations", [True, False])
def test_free_energies_of_a_file_are_those_of_its_walkers(
    configurations: bool, tmp_path: Path
) -> None:
    ais = lt.Sampler(lt.AnnealingPath(GLASS), None, lt.Jump(3), lt.HeatBath(), device="cpu")
    ensemble, names = ais.sample(100), () if configurations else ("energy",)
    run = io.sample(ais, 100, tmp_path / "w.h5", observables=names, configurations=configurations)
    for function in (lt.estimators.free_energy, lt.estimators.entropy):
        assert function(run) == pytest.approx(function(ensemble), rel=1e-12)
    neither = io.sample(ais, 100, tmp_path / "v.h5", observables=["binder"])
    assert lt.estimators.free_energy(neither) == lt.estimators.free_energy(run)
    with pytest.raises(
        ValueError,
        match="entropy needs the energy of every walker, and the file holds binder; sample",
    ):
        lt.estimators.entropy(neither)
    with pytest.raises(
        ValueError, match="ensemble must be a WeightedEnsemble, or weighted walkers of a file, got"
    ):
        lt.estimators.entropy(chain(tmp_path / "c.h5"))  # type: ignore[arg-type]


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    chain(tmp_path / "r.h5", configurations=False, start=torch.ones(6, 4, 3, dtype=torch.int8))
    with h5py.File(tmp_path / "r.h5") as file:
        assert file["observables/energy"].shape == (6, 28)
        assert file["observables/correlation"].shape == (6, 28, 4)
        assert "configurations" not in file
        manifest = json.loads(file.attrs["manifest"])
    assert manifest["chain"] == {
        "walkers": 6,
        "sweeps": 56,
        "burn_in": 3,
        "thin": 2,
        "seed": 4,
        "observables": NAMES,
        "configurations": False,
        "every": 10,
        "device": "cpu",
    }
    assert manifest["kernel"] == {"class": "HeatBath", "sweeps": 2}
    assert manifest["model"]["class"] == "EdwardsAnderson"
    assert set(manifest["provenance"]) == {"leaps_triton", "torch", "triton", "python", "commit"}
    assert str(tmp_path) not in json.dumps(manifest)


class _Stopped(Exception):
    pass


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("parts", [0, 1, 2])
def test_a_stopped_run_is_readable_and_goes_on_to_the_same_file(
    name: str, parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves, count = tmp_path / "whole.h5", tmp_path / "halves.h5", iter(range(parts))
    undisturbed = chain(whole, KERNELS[name])

    def stopping(*arguments: Any) -> None:
        if next(count, None) is None:
            raise _Stopped
        write(*arguments)

    write = hdf5.write
    monkeypatch.setattr(chain_io, "write", stopping)
    with pytest.raises(_Stopped):
        chain(halves, KERNELS[name])
    monkeypatch.undo()
    part = io.read(halves)
    assert isinstance(part, io.ChainRun) and not part.complete and part.draws == 10 * parts
    assert torch.equal(part.values["energy"], undisturbed.values["energy"][:, : 10 * parts])
    for _ in range(2):
        assert chain(halves, KERNELS[name], resume=True, burn_in=None).complete
        assert halves.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("sweeps", [7, 20, 40, 46])
def test_a_longer_run_grows_to_the_same_file(sweeps: int, tmp_path: Path) -> None:
    chain(tmp_path / "whole.h5", start=torch.ones(6, 4, 3, dtype=torch.int8))
    file, start = tmp_path / "grown.h5", torch.ones(6, 4, 3, dtype=torch.int8)
    assert chain(file, sweeps=sweeps, start=start).draws == sweeps // 2
    assert chain(file, start=start, burn_in=None, resume=True).draws == 28
    assert file.read_bytes() == (tmp_path / "whole.h5").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["grown.h5", "whole.h5"]


def test_a_part_without_its_digest_is_drawn_again(tmp_path: Path) -> None:
    """Between the two writes of a part its values and state are there, and its digest is not."""
    file = tmp_path / "r.h5"
    whole = chain(file)
    with h5py.File(file, "r+") as out:
        out["digests"][2:] = 0
        out["observables/energy"][3, 25] = 7.0
        out["state/configurations"][0] = 1
    part = io.read(file)
    assert isinstance(part, io.ChainRun) and part.draws == 20
    assert torch.equal(chain(file, resume=True).values["energy"], whole.values["energy"])


def test_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.h5"
    chain(file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"r.h5 exists; go on with it by resume"):
        chain(file)
    message = (
        r"kernel.class HeatBath \(now Metropolis\).*chain.sweeps 56 \(now 40\); "
        r"chain.seed 4 \(now 5\); kernel.rest None \(now 0.125\); use the"
    )
    with pytest.raises(ValueError, match=message):
        chain(file, lt.Metropolis(2), seed=5, sweeps=40, resume=True)
    for changed in (
        {"seed": 5, "sweeps": 100},
        {"start": torch.zeros(6, 4, 3, dtype=torch.int8)},
        {"burn_in": 4},
    ):
        with pytest.raises(ValueError, match="made with other settings"):
            chain(file, resume=True, **changed)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walkers": 0}, "walkers must be an integer of at least 1"),
        (
            {"move": lt.Houdayer(), "walkers": 5},
            "Houdayer moves 2 walkers together, so that their number must",
        ),
        ({"observables": ["correlation_length"]}, "wave vectors need a periodic direction"),
        ({"every": 0}, "every must be an integer of at least 1"),
        ({"observables": ["spin"]}, "observables must be names .* got 'spin'"),
        (
            {"observables": ["overlap"], "walkers": 5},
            "overlap compares walkers two by two, so their number must be even",
        ),
        (
            {"observables": ["replica_energies"]},
            "replica_energies is one of ParallelTempering, got HeatBath",
        ),
        (
            {"model": type("Mine", (lt.Ising,), {})((3, 3), 0.3)},
            "model must be one of PairModel, .* got Mine",
        ),
        (
            {"move": type("Mine", (lt.HeatBath,), {})()},
            "move must be one of .*HeatBath, .* got Mine; put @lt.register",
        ),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        chain(tmp_path / "r.h5", **options)
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, io.ChainRun]:
    folder = tmp_path_factory.mktemp("damaged")
    run = chain(folder / "good.h5")
    return folder / "bad.h5", (folder / "good.h5").read_bytes(), run


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**31), mask=st.integers(1, 255))
def test_a_changed_byte_is_found_or_harmless(
    good: tuple[Path, bytes, io.ChainRun], place: int, mask: int
) -> None:
    file, whole, undamaged = good
    data = bytearray(whole)
    data[place % len(data)] ^= mask
    file.write_bytes(data)
    try:
        run = io.read(file)
    except ValueError:
        return
    # Bytes that nobody reads may change; a digest that is gone leaves a shorter run.
    assert isinstance(run, io.ChainRun) and run.draws in (0, 10, 20, 28)
    assert run.kept is not None and undamaged.kept is not None
    assert torch.equal(run.kept, undamaged.kept[:, : run.draws])
    for name, values in run.values.items():
        assert torch.equal(values, undamaged.values[name][:, : run.draws])
    assert run.manifest == undamaged.manifest


RUN = """
import sys, torch, leaps_triton as lt
torch.set_num_threads(1)
move = lt.Compose(lt.HeatBath(), lt.SwendsenWang())
lt.io.run_chain(
    lt.Ising((6, 6), 0.4), move, 5, 600, sys.argv[1], configurations=True, every=7, resume=True,
    device="cpu",
)
"""


def test_killed_runs_go_on_to_the_same_file(tmp_path: Path) -> None:
    whole, file, chance = tmp_path / "whole.h5", tmp_path / "killed.h5", random.Random(0)
    command = [sys.executable, "-c", RUN]
    subprocess.run([*command, str(whole)], check=True, cwd=ROOT)
    draws = [0]
    for _ in range(3):
        before = file.stat().st_mtime_ns if file.exists() else 0
        process = subprocess.Popen([*command, str(file)], cwd=ROOT)
        while process.poll() is None and (not file.exists() or file.stat().st_mtime_ns == before):
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.2))
        process.kill()
        process.wait()
        part = io.read(file)
        assert isinstance(part, io.ChainRun)
        draws.append(part.draws)
        assert draws[-1] >= draws[-2] and draws[-1] % 7 == 0
    assert 0 < draws[-1] < 600
    subprocess.run([*command, str(file)], check=True, cwd=ROOT)
    assert file.read_bytes() == whole.read_bytes()
