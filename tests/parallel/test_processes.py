"""One, two and three processes end with the same files, to the last bit; a lost one is named."""

import importlib
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

import leaps_triton as lt
import many_processes

pytest.importorskip("tyro")

from leaps_triton import cli
from leaps_triton.io import weighted
from leaps_triton.mcmc.march import ChainSettings, March
from leaps_triton.parallel import ALONE, Ranks, combined, together

CHAINS: dict[str, Any] = {
    # Pairs of walkers, several temperatures, and all draws from the first on.
    "tempering": (
        lt.EdwardsAnderson((4, 4), beta=1.0, seed=1),
        lt.ParallelTempering([0.4, 1.0], lt.Compose(lt.HeatBath(), lt.Houdayer())),
        ("energy", "energy_at_betas"),
        "auto",
    ),
    "sweeps": (
        lt.Ising((6, 4), beta=0.4, field=0.1),
        lt.Compose(lt.HeatBath(), lt.SwendsenWang()),
        ("energy", "abs_magnetization", "correlation", "overlap"),
        2,
    ),
}

TRAININGS: dict[str, dict[str, Any]] = {
    "adam": {
        "loss": "log_variance",
        "leaps": 4,
        "segment": 2,
        "baseline": "learned",
        "ema": 0.9,
        "huber_steps": 2,
    },
    "spring": {"optimizer": "spring"},
}


def smc() -> lt.Sampler:
    path = lt.AnnealingPath(lt.Ising((3, 4), beta=0.5))
    return lt.Sampler(
        path, None, lt.Jump(4), lt.HeatBath(), block=32, resample_below=0.95, device="cpu"
    )


def ais() -> lt.Sampler:
    path = lt.AnnealingPath(lt.Ising((3, 3), beta=0.3))
    return lt.Sampler(path, None, lt.Jump(3), lt.HeatBath(), block=32, device="cpu")


def trained(settings: dict[str, Any], ranks: Ranks) -> lt.Trainer:
    path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
    network = lt.HollowConv(path.model, kernel_size=3, channels=2, width=4, modes=1, seed=1)
    config = lt.TrainingConfig(
        steps=4, times=6, walkers=3, buffer=8, rollout=8, rollout_every=2, shares=6, **settings
    )
    return lt.Trainer(lt.Sampler(path, network, lt.Jump(3), device="cpu", block=8), config, ranks)


def warm() -> None:
    """Load what all processes need, but nothing that a forked one could not use."""
    importlib.import_module("torch._dynamo")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        lt.io.sample(smc(), 10, Path(folder, "w.h5"), along=True)
        for name, (model, move, observables, _) in CHAINS.items():
            lt.io.run_chain(
                model, move, 2, 1, Path(folder, name), observables=observables, device="cpu"
            )
        lt.save(smc(), Path(folder, "s.safetensors"))
    with torch.no_grad():
        for settings in TRAININGS.values():
            trainer = trained({**settings, "evaluate_every": 0}, ALONE)
            trainer.fresh_walkers(2)
            trainer.buffer.prepare(trainer.network, trainer._draws())


def work(folder: Path) -> None:
    """All that several processes can do together, into files."""
    with together() as ranks:
        speak(ranks)
    # Again, as a script may, with keys and connections of their own.
    with together() as ranks:
        sampler = smc()
        # Nine blocks: in the last round not every process has one.
        for walkers in (150, 270):
            run = lt.io.sample(
                sampler, walkers, folder / "w.h5", 3, along=True, configurations=True, resume=True,
                ranks=ranks,
            )  # fmt: skip
            assert (len(run.log_weights) == walkers) == ranks.first
        for name, (model, move, observables, burn_in) in CHAINS.items():
            for sweeps in (7, 12):
                chain = lt.io.run_chain(
                    model, move, 200, sweeps, folder / f"{name}.h5", seed=5, burn_in=burn_in,
                    observables=observables, every=5, device="cpu", resume=True, ranks=ranks,
                )  # fmt: skip
                assert bool(chain.values) == ranks.first
        for name, settings in TRAININGS.items():
            file = folder / f"{name}.safetensors"
            trained(settings, ranks).run(2, checkpoint=file)
            ranks.meet()
            again = trained(settings, ranks)
            again.resume(file)
            if ranks.rank == ranks.world - 1:
                again.stop()
            again.run(checkpoint=file)
            assert again.step == 4


def speak(ranks: Ranks) -> None:
    """Every way in which processes speak to one another."""
    everyone = list(range(ranks.world))
    assert ranks.everywhere(torch.tensor([ranks.rank])).flatten().tolist() == everyone
    assert ranks.from_first(lambda: ranks.rank) == 0
    assert ranks.to_first({"rank": ranks.rank}) == [
        {"rank": each} for each in everyone if ranks.first
    ]
    assert ranks.largest(ranks.rank, 1) == max(1, ranks.world - 1)
    assert ranks.largest() == 0
    shares = [Ranks(rank, ranks.world).share(7) for rank in everyone]
    assert [each for share in shares for each in share] == list(range(7))


def command(*arguments: str) -> None:
    """Run a command; what ends it is printed as the interpreter would."""
    try:
        cli.main(arguments)
    except SystemExit as ended:
        print(f"ended: {ended.code}", flush=True)


def refused(folder: Path) -> None:
    command("demo")


def mistaken(folder: Path) -> None:
    command("chain", "--output", str(folder / "c.h5"), "--seed", "-1", "--device", "cpu")


def stopped(folder: Path) -> None:
    """Training of which one process is told to stop."""
    advance = lt.Trainer._advance

    def advanced(self: lt.Trainer) -> float:
        if self.ranks.rank == 1 and self.step == 2:
            signal.raise_signal(signal.SIGTERM)
        return advance(self)

    lt.Trainer._advance = advanced  # type: ignore[method-assign]
    command(
        "train", "--checkpoint", str(folder / "t.safetensors"), "--shape", "4", "4", "--network",
        "local-rates", "--steps", "50", "--intervals", "2", "--beta", "0.1", "--device", "cpu",
    )  # fmt: skip


def lost(folder: Path) -> None:
    """Sampling of which one process is killed."""
    draw = weighted._draw

    def drawn(sampler: Any, settings: Any, block: int, *rest: Any) -> Any:
        if block == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(sampler, settings, block, *rest)

    weighted._draw = drawn  # type: ignore[assignment]
    file = folder / f"{os.environ['RANK']}.safetensors"
    lt.save(ais(), file)
    command("sample", str(file), "--output", str(folder / "l.h5"), "--walkers", "200")


PHASES = [(1, "work"), (2, "work"), (3, "work")] + [
    (2, each.__name__) for each in (refused, mistaken, stopped, lost)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def phases(folder: Path) -> list[list[many_processes.Ended]]:
    return many_processes.run("parallel.test_processes", folder, PHASES)


def test_files_are_the_same_for_any_number_of_processes(
    folder: Path, phases: list[list[many_processes.Ended]]
) -> None:
    files: list[dict[str, bytes]] = []
    for phase, processes in enumerate(phases[:3]):
        assert [each.status for each in processes] == [0] * (phase + 1), processes
        own = folder / str(phase)
        files.append({name: (own / name).read_bytes() for name in os.listdir(own)})
    assert len(files[0]) == 1 + len(CHAINS) + len(TRAININGS)
    for several in files[1:]:
        assert several.keys() == files[0].keys()
        assert [name for name, data in several.items() if data != files[0][name]] == []


def test_an_error_is_told_once_and_names_its_process(
    phases: list[list[many_processes.Ended]],
) -> None:
    for first, second in phases[3:5]:
        assert "ended: leaps-triton (rank 0 of 2): " in first.out
        # The first alone prints; what both would say is said once.
        assert second.out == "ended: 1\n"
        assert second.error == ""
    assert "demo runs in one process, got 2; torchrun is for train, sample" in phases[3][0].out
    assert "seed must be" in phases[4][0].out


def test_a_signal_to_one_process_stops_all_after_the_same_step(
    folder: Path, phases: list[list[many_processes.Ended]]
) -> None:
    first, second = phases[5]
    said = first.error.splitlines()[-1]
    assert "leaps-triton (rank 0 of 2): stopped by SIGTERM; " in said
    assert "this goes on with it: leaps-triton train " in said
    assert second.error == ""
    assert "ended: 143" in second.out
    assert "device cpu" in first.out
    assert "device cpu" not in second.out
    assert len(lt.training.read_history(folder / "5" / "t.safetensors").loss) == 3


def test_a_lost_process_is_named_and_its_file_goes_on(
    folder: Path, phases: list[list[many_processes.Ended]]
) -> None:
    first, second = phases[6]
    assert second.status == -signal.SIGKILL
    # Processes of these tests are lost after two seconds, others after half a minute.
    said = first.error.splitlines()[-1]
    assert "(rank 0 of 2): rank 1 of 2 is lost: no sign of life for 2 s; " in said
    assert "l.h5 holds what is done, and this goes on with it: leaps-triton sample " in said
    assert "ended: 1" in first.out
    file = folder / "6" / "l.h5"
    run = lt.io.read(file)
    assert isinstance(run, lt.io.Run)
    assert run.progress == "64 of 200 walkers"
    whole = lt.io.sample(ais(), 200, file, resume=True)
    assert torch.equal(whole.log_weights, ais().sample(200).log_weights)


def test_a_process_alone_has_nobody_to_ask() -> None:
    speak(ALONE)
    with together() as ranks:
        assert ranks is ALONE
    assert ALONE.placed(torch.device("cpu")).type == "cpu"
    there = Ranks(1, 2, torch.device("cuda", 1))
    assert there.placed(torch.device("cuda")) == torch.device("cuda", 1)
    assert there.placed(torch.device("cpu")) == torch.device("cpu")


def test_what_torchrun_has_not_said_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(SystemExit, match="WORLD_SIZE is 2, but MASTER_ADDR, MASTER_PORT not set"):
        cli.main(["demo"])


def test_chains_are_shared_out_in_walkers_that_round_alike() -> None:
    march = March(lt.Ising((8, 8), beta=0.4), lt.HeatBath(), ChainSettings(70, 10), device="cpu")
    # Sixteen walkers of 64 sites are 1024 numbers; the last process has the rest.
    assert march.shares(3) == [range(16), range(16, 32), range(32, 70)]
    with pytest.raises(
        ValueError, match=r"at least 80 for 5 processes, .* multiples of 16, got 70"
    ):
        march.shares(5)


def test_shares_that_do_not_go_round_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shares must divide the 6 times .* 1, 2, 3, 6, got 4"):
        lt.TrainingConfig(times=6, shares=4)
    with pytest.raises(ValueError, match="shares must be a multiple of the 4 processes, got 6"):
        trained({}, Ranks(0, 4))


def test_parts_of_a_batch_give_the_gradient_of_their_mean() -> None:
    weights = torch.linspace(0.5, 2.0, 6, dtype=torch.float64).view(3, 2)
    gradients = []
    for parts in (1, 3):
        x = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        unused = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
        rows = 3 // parts

        def loss_of(part: int, x: torch.Tensor = x, rows: int = rows) -> torch.Tensor:
            return (weights[part * rows : (part + 1) * rows] @ x.double()).square().mean()

        loss = combined(loss_of, [x, unused], parts, ALONE)
        assert x.grad is not None
        gradients.append([float(loss), *x.grad.tolist()])
    assert gradients[0] == pytest.approx(gradients[1])
