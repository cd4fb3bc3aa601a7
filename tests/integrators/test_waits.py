"""What makes a GPU and the host wait for each other: nothing in a step, and looks now and then."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leaps_triton as lt
from leaps_triton.integrators import class_tables
from watched import META, Watch

SHAPE = (8, 8)


def network_of(name: str, model: Any) -> nn.Module:
    sizes: dict[str, Any] = {"channels": 8, "width": 8}
    if name == "HollowConv":
        return lt.HollowConv(model, kernel_size=3, **sizes)
    if name == "LEC":
        return lt.LEC(model, kernel_sizes=(3, 3), **sizes)
    if name == "LEM":
        return lt.LEM(model, **sizes)
    if name == "LEA":
        return lt.LEA(model, heads=2, **sizes)
    if name == "LETransformer":
        return lt.LETransformer(model, heads=2, layers=1, **sizes)
    if name == "SymmetricConv":
        return lt.SymmetricConv(model, kernel_size=3, widths=(8, 4))
    return lt.LocalRates(model, width=8)


NETWORKS = ("HollowConv", "LEC", "LEM", "LEA", "LETransformer", "LocalRates", "SymmetricConv")
MODELS = {2: lt.Ising(SHAPE, beta=0.4), 3: lt.Potts(SHAPE, q=3, beta=0.5)}
JUMPS = {
    "plain": lt.Jump(4, tables=False),
    "reversible": lt.Jump(4, "square_root", tables=False),
    "domains": lt.Jump(4, domain=4),
}
# Domains take a network that does not read the whole lattice.
CASES = [(2, name, "reversible") for name in NETWORKS]
CASES += [(2, "HollowConv", "plain"), (2, "LEC", "domains")]
CASES += [(3, name, "plain") for name in ("HollowConv", "LEC", "LocalRates", "SymmetricConv")]


def starts(count: int) -> tuple[Tensor, Tensor]:
    x = torch.zeros(count, *SHAPE, dtype=torch.int8, device=META)
    return x, torch.arange(count, device=META)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(("q", "name", "kind"), CASES)
@torch.no_grad()
def test_an_event_sends_nothing_to_the_device_and_fetches_nothing(
    q: int, name: str, kind: str, backward: bool
) -> None:
    jump = JUMPS[kind]
    path = lt.AnnealingPath(MODELS[q])
    network = network_of(name, path.model).to(META)
    state = jump.init(*starts(6), backward)
    for event in range(2):
        with Watch() as watch:
            state, _ = jump.enter(state, path, backward)
            state, _ = jump.step(state, path, network, 0, backward)
        # The first event may send tables, once for all.
        if event:
            assert watch.moves == watch.waits == []


@torch.no_grad()
def test_events_on_tables_send_nothing_to_the_device_and_fetch_nothing() -> None:
    path = lt.AnnealingPath(MODELS[2])
    network = lt.LocalRates(path.model, width=8).to(META)
    state = lt.Jump(4).init(*starts(6))
    added = lt.Jump(4, "barker").added
    for tau in (0.125, 0.375):
        with Watch() as watch:
            class_tables.steps(path, network, tau, state, 0, added, False, 16)
    assert watch.moves == watch.waits == []


MOVES = {
    "HeatBath": (lt.HeatBath(), 2),
    "Metropolis": (lt.Metropolis(), 2),
    "Overrelaxation": (lt.Overrelaxation(), 3),
    "SwendsenWang": (lt.SwendsenWang(), 2),
    "Wolff": (lt.Wolff(), 2),
}


@pytest.mark.parametrize("name", MOVES)
@torch.no_grad()
def test_a_step_of_a_move_sends_nothing_to_the_device_and_fetches_nothing(name: str) -> None:
    move, q = MOVES[name]
    path = lt.AnnealingPath(MODELS[q])
    state = move.init(*starts(6))
    for _ in range(2):
        with Watch() as watch:
            state, _ = move.advance(state, path, 0.5, 0)
    assert watch.moves == watch.waits == []


class AsOnGpu(lt.TauLeap):
    """Steps as on a GPU: no look at who has time left."""

    def picks(self, device: torch.device) -> bool:
        return False


def test_a_leap_looks_three_times() -> None:
    path = lt.AnnealingPath(MODELS[2])
    leap = AsOnGpu(4, reversible="barker")
    index = torch.arange(64)
    begin = leap.init(path.start.sample(index, seed=0), index)
    with Watch() as watch:
        state = leap.run(begin, path, None, seed=0)
    # Who is last, whether something is to be evaluated (two numbers) and whether all is finite; a
    # CPU also looks whether rates overflow. The last look finds all at the end.
    assert watch.waits.count("_local_scalar_dense") <= 6 * 4 + 1
    expected = lt.TauLeap(4, reversible="barker").run(begin, path, None, seed=0)
    assert torch.equal(state.configurations, expected.configurations)
    torch.testing.assert_close(state.log_weights, expected.log_weights, rtol=1e-12, atol=1e-12)
