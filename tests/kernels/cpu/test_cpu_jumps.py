"""Jump processes on a CPU: loops and twins give the same, to the last bit."""

import itertools
import math
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

import leaps_triton as lt
from leaps_triton import kernels
from leaps_triton.integrators import class_tables as tables
from leaps_triton.kernels import reference
from leaps_triton.kernels.class_jumps import cpu as class_jumps
from leaps_triton.kernels.class_jumps.cases import classes
from leaps_triton.kernels.jumps.cases import jump

FLOAT64 = torch.float64
COLUMNS = ("configurations", "log_weights", "remaining", "events")


def same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    """Whether all is equal, NaN to NaN."""
    pairs = zip(found, expected, strict=True)
    return all(torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5)) for a, b in pairs)


class Many(NamedTuple):
    """A lattice and how long its walkers run."""

    shape: tuple[int, ...]
    walkers: int
    steps: int
    length: float


MANY = [
    Many((7,), 65, 9, 1.0),
    Many((40,), 3, 60, 20.0),
    Many((5, 6), 24, 5, 1.0),
    Many((6, 7), 130, 150, 100.0),
    Many((16, 16), 64, 60, 30.0),
    Many((33, 35), 17, 40, 30.0),
    Many((3, 4, 3), 70, 40, 20.0),
    Many((3, 3, 3, 3), 10, 30, 10.0),
    # Several segments, the last of them short.
    Many((67, 64), 9, 30, 20.0),
    Many((5, 6), 0, 5, 1.0),
]


@pytest.mark.parametrize("many", MANY, ids=str)
def test_events_of_classes_are_those_of_the_twin(many: Many) -> None:
    given = classes(many.shape, many.walkers, many.steps, many.length)
    given["remaining"][::5] = 0.0
    given["log_weights"][1::7] = math.nan
    expected = reference.local_jump_steps(**given)
    assert same(kernels.local_jump_steps(**given), expected)
    made = (expected.events - given["events"]).sum()
    assert int(made) >= many.walkers


def test_segments_find_the_sites_that_one_segment_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = classes((33, 35), 20, 40, 30.0)
    expected = kernels.local_jump_steps(**given)
    monkeypatch.setattr(class_jumps, "WHOLE", 64)
    for segment in (8, 128, 512):
        monkeypatch.setattr(class_jumps, "SEGMENT", segment)
        assert same(kernels.local_jump_steps(**given), expected)


def test_the_greatest_number_of_classes_is_held() -> None:
    """Classes 0 and 255 of 256: bytes hold them, and a sum of bytes does not carry over."""
    given = classes((9,), 70, 30, 20.0)
    given["strides"] = given["strides"] * 255 // int(given["strides"].sum())
    given["strides"][0] += 255 - int(given["strides"].sum())
    table = torch.rand(10, 256, dtype=FLOAT64, generator=torch.Generator().manual_seed(0))
    given |= {"rates": table, "corrector": table.flip(1)}
    given["configurations"][:3] = 1
    expected = reference.local_jump_steps(**given)
    assert same(kernels.local_jump_steps(**given), expected)
    used = reference.site_classes(
        given["configurations"][:3], given["neighbours"], given["strides"]
    )
    assert int(used.max()) == 255 and int(used.min()) == 255


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, 5e-324, 1e300])
@pytest.mark.parametrize("name", ["rates", "corrector"])
def test_entries_that_are_not_finite_or_nought(name: str, value: float) -> None:
    """In one class that some walkers have, and others not; and in all."""
    for kind in (3, slice(None)):
        given = classes((5, 6), 40, 12, 3.0)
        given[name] = given[name].clone()
        given[name][12:16, kind] = value
        expected = reference.local_jump_steps(**given)
        assert same(kernels.local_jump_steps(**given), expected)
        assert bool((expected.remaining == 0).any())


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads: int) -> None:
    given = classes((16, 16), 200, 20, 5.0)
    rates = jump((16, 16), 3, 200)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert same(kernels.local_jump_steps(**given), reference.local_jump_steps(**given))
        assert same(kernels.jump_step(**rates), reference.jump_step(**rates))
    finally:
        torch.set_num_threads(before)


STEPS = [
    ((2, 3), 3, 61),
    ((5,), 2, 1),
    ((1,), 4, 3),
    ((3, 2, 2), 5, 130),
    ((2, 1, 2, 3), 3, 7),
    ((33, 35), 2, 66),
    ((16, 16), 2, 64),
    ((4, 8), 2, 0),
]


@pytest.mark.parametrize("dtype", [torch.float32, FLOAT64])
@pytest.mark.parametrize(("shape", "q", "walkers"), STEPS)
def test_one_event_is_that_of_the_twin(
    shape: tuple[int, ...], q: int, walkers: int, dtype: torch.dtype
) -> None:
    given = jump(shape, q, walkers)
    given["rates"] = given["rates"].to(dtype)
    for scale in (1.0, 1e-3, 30.0):
        scaled = given | {"rates": given["rates"] * scale}
        assert same(kernels.jump_step(**scaled), reference.jump_step(**scaled))
    bad = given | {name: given[name].clone() for name in ("rates", "remaining", "corrector")}
    flat = bad["rates"].flatten(1)
    flat[1::9, 0] = math.nan
    flat[2::9, -1] = math.inf
    flat[3::9] = 0.0
    bad["corrector"][4::9] = math.nan
    bad["remaining"][::4] = 0.0
    # Rates so small that the holding time overflows; and a sum that does.
    flat[5::9] *= 1e-40
    flat[6::9] = torch.finfo(dtype).max
    assert same(kernels.jump_step(**bad), reference.jump_step(**bad))


def test_gradients_that_are_asked_for_elsewhere_change_nothing() -> None:
    """Rates of a network outside of ``no_grad``."""
    given = jump((3, 5), 3, 20)
    many = classes((5, 6), 20)
    for name in ("rates", "corrector", "log_weights"):
        wanted = given | {name: given[name].clone().requires_grad_()}
        assert same(kernels.jump_step(**wanted), kernels.jump_step(**given))
        wanted = many | {name: many[name].clone().requires_grad_()}
        assert same(kernels.local_jump_steps(**wanted), kernels.local_jump_steps(**many))


def test_a_million_events_are_those_of_the_twin() -> None:
    """Of both ops, as many walkers' first events; log-weights too, which add up logarithms."""
    given = jump((4,), 2, 2**19)
    given["remaining"] = torch.full_like(given["remaining"], 20.0)
    assert same(kernels.jump_step(**given), reference.jump_step(**given))
    many = classes((7,), 2**15, 64, 100.0)
    expected = reference.local_jump_steps(**many)
    assert same(kernels.local_jump_steps(**many), expected)
    made = int((expected.events - many["events"]).sum())
    assert made + len(given["events"]) > 10**6


@torch.no_grad()
def test_runs_of_a_sampler_are_those_of_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations and weights of learned rates on tables, forward and backward."""
    model = lt.Ising((6, 6), beta=0.4, field=0.1)
    path = lt.AnnealingPath(model)
    network = lt.LocalRates(model, width=16)
    runs: list[Any] = []
    for _ in range(2):
        sampler = lt.Sampler(path, network, lt.Jump(5), block=40, device="cpu")
        ensemble = sampler.sample(40, seed=3)
        back = lt.reverse_ess(sampler, ensemble.configurations, seed=4)
        runs.append((ensemble.configurations, ensemble.log_weights, torch.tensor([back.log_z])))
        monkeypatch.setattr(kernels, "local_jump_steps", reference.local_jump_steps)
    assert same(*runs)


@torch.no_grad()
def test_calls_of_few_events_lead_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of events and rows of a call; products of matrices may round rows."""
    model = lt.Ising((12, 12), beta=0.4)
    path = lt.AnnealingPath(model)
    network = lt.LocalRates(model, width=16).double()
    integrator = lt.Jump(1, "metropolis", scale=2.0)
    index = torch.arange(10)
    begin, _ = integrator.enter(integrator.init(path.start.sample(index, 0), index), path)
    ends = []
    for few, many in itertools.product((3, 16), (8, 128)):
        monkeypatch.setattr(tables, "FEW", few)
        monkeypatch.setattr(tables, "STEPS", many)
        ends.append(integrator.run_interval(begin, path, network, seed=1))
    assert int(ends[0].events.max()) > 128
    for end in ends[1:]:
        assert torch.equal(end.configurations, ends[0].configurations)
        torch.testing.assert_close(end.log_weights, ends[0].log_weights, rtol=0, atol=1e-11)
