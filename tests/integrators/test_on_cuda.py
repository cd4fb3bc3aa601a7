"""Runs on a CUDA device: recorded in graphs, launched one by one, and blocks that ride together."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import leaps_triton as lt
from leaps_triton.kernels.graphs.recording import GRAPHS, Recording

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.fixture(autouse=True)
def as_users_have_it() -> Iterator[None]:
    """Let torch make cumulative sums, which it refuses on CUDA where it is to be deterministic."""
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(True)


ISING = lt.Ising((8, 8), beta=0.4)
POTTS = lt.Potts((4, 6), q=3, beta=0.6)
CASES: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "hollow": (ISING, lambda model: lt.HollowConv(model, 5, 16, 32), lt.Jump(6), {}),
    "hollow potts": (POTTS, lambda model: lt.HollowConv(model, 3, 8, 16), lt.Jump(6, "barker"), {}),
    "lec": (POTTS, lambda model: lt.LEC(model, (3, 3), 8, 16), lt.Jump(6), {}),
    "lem": (ISING, lambda model: lt.LEM(model, 8, 16), lt.Jump(6), {}),
    "attention": (ISING, lambda model: lt.LEA(model, 8, 2, 16), lt.Jump(6), {}),
    "transformer": (ISING, lambda model: lt.LETransformer(model, 8, 2, 1, 16), lt.Jump(6), {}),
    "domains": (ISING, lambda model: lt.LEC(model, (3, 3), 8, 16), lt.Jump(3, domain=4), {}),
    "reversible": (ISING, lambda model: None, lt.Jump(6, "square_root"), {}),
    "moved": (
        ISING,
        lambda model: lt.HollowConv(model, 3, 8, 16),
        lt.Jump(6),
        {"mcmc": lt.HeatBath(), "resample_below": 0.9},
    ),
}


def sample(name: str, riding: int) -> Any:
    model, network, jump, more = CASES[name]
    made = network(model)
    if made is not None:
        with torch.no_grad():
            for weight in made.parameters():
                weight.mul_(1.5)
    sampler = lt.Sampler(lt.AnnealingPath(model), made, jump, block=128, device="cuda", **more)
    sampler.riding = riding
    return sampler.sample(500, seed=2)


def assert_same(found: Any, expected: Any) -> None:
    for name in ("configurations", "log_weights", "ess_trace", "resamplings"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@pytest.mark.parametrize("name", CASES)
def test_graphs_and_riding_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings: list[Recording] = []
    record = Recording._record

    def noted(recording: Recording, function: Any) -> None:
        recordings.append(recording)
        record(recording, function)

    monkeypatch.setattr(Recording, "_record", noted)
    monkeypatch.setenv(GRAPHS, "0")
    plain = sample(name, 1)
    assert not recordings
    monkeypatch.setenv(GRAPHS, "1")
    for riding in (1, 4):
        assert_same(sample(name, riding), plain)
    assert recordings and all(each.reason == "" for each in recordings)


def log_z(device: str) -> Any:
    """Return walkers that a network and heat baths move, none of which outweighs the others."""
    path = lt.AnnealingPath(ISING)
    network = lt.HollowConv(ISING, 5, 16, 32)
    # Untrained rates of any size are exact, and small ones are kind to the weights.
    with torch.no_grad():
        network.readout.weight.mul_(0.1)
    sampler = lt.Sampler(path, network, lt.Jump(60), lt.HeatBath(2), block=256, device=device)
    return sampler.sample(2048, seed=3)


def test_log_z_is_exact() -> None:
    found = log_z("cuda")
    expected = lt.exact.ising_log_z((8, 8), beta=0.4)
    # Five sigma: one false alarm in two million.
    assert abs(found.log_z - expected) < 5 * found.log_z_error


def test_what_cannot_be_recorded_leaves_the_device_as_it_was() -> None:
    """It comes last: what a broken recording leaves behind would break others."""
    device = torch.device("cuda", torch.cuda.current_device())
    count = torch.zeros(1, device=device)

    def looking() -> None:
        count.add_(1.0 + 0.0 * count.item())

    def counting() -> None:
        count.add_(1.0)

    broken = Recording(device)
    for _ in range(3):
        broken(looking)
    assert broken.reason != "" and count.item() == 3.0
    torch.cuda.empty_cache()
    assert torch.rand(1, device=device).item() < 1.0
    whole = Recording(device)
    for _ in range(3):
        whole(counting)
    assert whole.reason == "" and count.item() == 6.0
