"""Events on fixed tensors, as they are recorded on a GPU: to the last bit those of a plain loop."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from helpers import JumpAsOnGPU
from leaps_triton.integrators.base import Boundary
from leaps_triton.integrators.rollouts.rollout import Rollout, kept_rollouts
from watched import Watch


class Looping(JumpAsOnGPU):
    """The same without a recording: event after event."""

    recordable = False


class Tracing(Boundary):
    """Keeps the trace of A, whoever makes it."""

    watches = False

    def __init__(self, walkers: int, columns: int) -> None:
        self.columns = columns
        self.trace = torch.zeros(walkers, columns, dtype=torch.float64)

    def record(self, state: Any, entered: Tensor) -> None:
        for row in entered.nonzero().flatten().tolist():
            self.trace[row, int(state.interval[row])] = state.log_weights[row]

    def keep(self, trace: Tensor) -> None:
        self.trace = trace


ISING = lt.Ising((4, 4), beta=0.4, field=0.1)
GLASS = lt.EdwardsAnderson((3, 4), beta=0.8, disorder="gaussian", seed=1, periodic=(False, True))
POTTS = lt.Potts((3, 5), q=3, beta=0.6)
SIZES: dict[str, Any] = {"channels": 6, "width": 8}
CASES: dict[str, tuple[Any, Any]] = {
    "hollow": (ISING, lambda model: lt.HollowConv(model, kernel_size=3, **SIZES)),
    "hollow glass": (GLASS, lambda model: lt.HollowConv(model, kernel_size=3, **SIZES)),
    "lec": (ISING, lambda model: lt.LEC(model, kernel_sizes=(3, 3), **SIZES)),
    "lec potts": (POTTS, lambda model: lt.LEC(model, kernel_sizes=(3, 3), **SIZES)),
    "lem": (POTTS, lambda model: lt.LEM(model, **SIZES)),
    "transformer": (ISING, lambda model: lt.LETransformer(model, 8, 2, 1, 8)),
    "none": (GLASS, lambda model: None),
}
WALKERS = 8


def start(name: str) -> tuple[lt.AnnealingPath, Any, Tensor, Tensor]:
    model, made = CASES[name]
    path = lt.AnnealingPath(model, schedule=lambda t: t**2)
    network = made(model)
    if network is not None:
        with torch.no_grad():
            for weight in network.parameters():
                weight.mul_(2.0)
    index = torch.arange(5, 5 + WALKERS)
    return path, network, path.start.sample(index, seed=3), index


def same(found: Any, expected: Any) -> None:
    for name, left, right in zip(found._fields, found, expected, strict=True):
        assert left.dtype == right.dtype
        assert torch.equal(left, right), name


@pytest.mark.parametrize(("reversible", "backward"), [(None, False), ("square_root", True)])
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_recorded_events_are_those_of_a_loop(
    name: str, reversible: str | None, backward: bool
) -> None:
    if name == "none" and reversible is None:
        reversible = "metropolis"
    path, network, x, index = start(name)
    ends = []
    traces = []
    for kind in (JumpAsOnGPU, Looping):
        jump = kind(2, reversible, scale=0.5)
        boundary = Tracing(WALKERS, 3)
        state = jump.init(x, index, backward)
        ends.append(jump.run(state, path, network, 7, boundary, backward))
        traces.append(boundary.trace)
    same(*ends)
    # Backward nobody keeps a trace.
    if not backward:
        assert torch.equal(*traces)
    # On a CPU fewer walkers are evaluated at once, which may round otherwise.
    picking = lt.Jump(2, reversible, scale=0.5)
    begin = picking.init(x, index, backward)
    plain = picking.run(begin, path, network, 7, None, backward)
    assert torch.equal(plain.configurations, ends[0].configurations)
    assert torch.equal(plain.events, ends[0].events)
    torch.testing.assert_close(plain.log_weights, ends[0].log_weights, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_domains_are_recorded() -> None:
    path, network, x, index = start("lec")
    jumps = [kind(2, domain=2) for kind in (JumpAsOnGPU, Looping)]
    same(*(jump.run(jump.init(x, index), path, network, 7) for jump in jumps))


@pytest.mark.parametrize("more", [{}, {"resample_below": 0.9}], ids=["moves", "resampling"])
@torch.no_grad()
def test_walkers_that_wait_are_recorded(more: dict[str, Any]) -> None:
    path, network, _, _ = start("hollow")
    made = [
        lt.Sampler(path, network, kind(4), lt.HeatBath(), block=8, device="cpu", **more)
        for kind in (JumpAsOnGPU, Looping)
    ]
    found, expected = (sampler.sample(16, seed=2) for sampler in made)
    assert torch.equal(found.configurations, expected.configurations)
    assert torch.equal(found.log_weights, expected.log_weights)
    assert torch.equal(found.ess_trace, expected.ess_trace)
    assert torch.equal(found.resamplings, expected.resamplings)


@torch.no_grad()
def test_one_look_is_made_for_sixteen_events(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = Rollout.look

    def counted(rollout: Rollout, way: Any) -> int:
        nonlocal looks
        looks += 1
        return look(rollout, way)

    monkeypatch.setattr(Rollout, "look", counted)
    path, _, x, index = start("none")
    jump = JumpAsOnGPU(3, "barker", scale=5.0)
    with Watch() as watch:
        state = jump.run(jump.init(x, index), path, None, 7)
    # Torch does not count what a look at all flags at once takes on a CPU.
    assert watch.waits == watch.moves == []
    assert looks == -(-int(state.events.max()) // 16) > 1


@torch.no_grad()
def test_blocks_share_a_recording_and_another_seed_has_its_own() -> None:
    path, network, x, index = start("hollow")
    jump = JumpAsOnGPU(3)
    looping = Looping(3)
    with kept_rollouts():
        for seed, shift in ((1, 0), (1, 100), (2, 0), (1, 0)):
            for weight in network.parameters():
                weight.mul_(1.1)
            begin = jump.init(x, index + shift)
            same(jump.run(begin, path, network, seed), looping.run(begin, path, network, seed))


@torch.no_grad()
def test_too_many_events_name_the_walker() -> None:
    path, _, x, index = start("none")
    jump = JumpAsOnGPU(3, "barker", scale=50.0, max_events=20)
    with pytest.raises(RuntimeError, match=r"walker \d+ at t = 0.\d+ has needed more than max_ev"):
        jump.run(jump.init(x, index), path, None, 7)


class Failing(nn.Module):
    """Its rates of one walker are infinite where its first site is 1."""

    steady = True

    def __init__(self, row: int) -> None:
        super().__init__()
        self.row = row

    def forward(self, x: Tensor, conditions: Any) -> Tensor:
        output = torch.ones(len(x), 1, *x.shape[1:])
        output[self.row, 0, 0, 0] = torch.inf
        return output


@torch.no_grad()
def test_a_rate_that_is_not_finite_names_walker_time_and_rate() -> None:
    path, _, x, index = start("none")
    jump = JumpAsOnGPU(3)
    with pytest.raises(RuntimeError, match=r"walker 9 at t = 0.166667: exit rate inf"):
        jump.run(jump.init(x, index), path, Failing(4), 7)


@torch.no_grad()
def test_walkers_that_only_fill_the_block_stop() -> None:
    path, _, x, index = start("none")
    ends = []
    for kind in (JumpAsOnGPU, Looping):
        jump = kind(3)
        ends.append(jump.run(jump.init(x, index), path, Failing(6), 7, end=10))
    assert ends[0].log_weights[:5].isfinite().all() and ends[0].log_weights[6] == -torch.inf
    for name, found, expected in zip(ends[0]._fields, *ends, strict=True):
        # A walker that is stopped late has counted more events, which are not kept.
        assert torch.equal(found[:5], expected[:5]), name


def test_with_gradients_nothing_is_recorded() -> None:
    path, network, x, index = start("hollow")
    jump = JumpAsOnGPU(2)
    begin = jump.init(x, index)
    found = jump.run(begin, path, network, 7)
    assert found.log_weights.requires_grad
    with torch.no_grad():
        expected = jump.run(begin, path, network, 7)
    assert torch.equal(found.configurations, expected.configurations)
