"""Domain jumps: the cut of the lattice, clocks and moves by hand, errors, refusals."""

import math
import re
from typing import Any

import pytest
import torch
from domain_cases import CASES, CPU, FLOAT64, cut, start
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import leaps_triton as lt
from helpers import all_rates, local_network
from leaps_triton import kernels, rates
from leaps_triton.integrators import domains
from leaps_triton.integrators.jump import JumpState
from leaps_triton.kernels import Stream
from leaps_triton.lattices.hypercubic import Lattice


@given(st.data())
def test_domains_of_a_class_are_out_of_reach(data: st.DataObject) -> None:
    """Every site is in one domain, every domain in one class.

    Sites of two domains of a class are more than reach apart.
    """
    edges = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    shape = [e * data.draw(st.integers(2, 5)) for e in edges]
    periodic = [data.draw(st.booleans()) for _ in shape]
    reach = data.draw(st.integers(1, 4))
    found = domains.divide(Lattice(shape, periodic), tuple(edges), reach, CPU)
    sites = math.prod(shape)
    assert found.sites.shape == (sites // math.prod(edges), math.prod(edges))
    assert found.sites.flatten().sort().values.equal(torch.arange(sites))
    assert found.classes.flatten().sort().values.equal(torch.arange(len(found.sites)))
    position = torch.stack(
        torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")
    ).flatten(1)
    distance = (position.unsqueeze(2) - position.unsqueeze(1)).abs()
    lengths = torch.tensor(shape).view(-1, 1, 1)
    around = torch.tensor(periodic).view(-1, 1, 1)
    distance = (
        torch.where(around, torch.minimum(distance, lengths - distance), distance).max(0).values
    )
    for block in found.sites.unbind():
        corner = position[:, block]
        assert (corner.max(1).values - corner.min(1).values).tolist() == [e - 1 for e in edges]
    for members in found.classes:
        for a in members:
            for b in members[members != a]:
                assert int(distance[found.sites[a]][:, found.sites[b]].min()) > reach


def test_classes_are_few() -> None:
    def classes(
        shape: tuple[int, ...], edge: int, reach: int, periodic: bool = True
    ) -> tuple[int, ...]:
        return tuple(domains.divide(Lattice(shape, periodic), edge, reach, CPU).classes.shape)

    assert classes((16, 16), 1, 1) == (4, 64)
    assert classes((16, 16), 4, 4) == (4, 4)
    assert classes((32, 32), 4, 5) == (16, 4)
    assert classes((15, 15), 3, 1) == (25, 1)
    assert classes((15, 15), 3, 1, periodic=False) == (25, 1)
    assert classes((8, 8, 8), 4, 3) == (8, 1)
    assert classes((16,), 16, 99) == (1, 1)


@torch.no_grad()
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize(
    ("name", "gauge"),
    [("ising 2x4", "plain"), ("ising 2x4", "heat_bath"), ("potts 6 q=3", "heat_bath")],
)
def test_one_walker_by_hand(name: str, gauge: str, backward: bool) -> None:
    """Clocks, events, moves and weight of a whole interval.

    They follow from the formulas and the table of random numbers.
    """
    model, domain = CASES[name]
    path, network, jump = (
        lt.AnnealingPath(model),
        local_network(model, scale=600.0, gauge=gauge),
        lt.Jump(1, domain=domain),
    )
    tiles, n, seed, made = cut(path, jump, network), model.lattice.sites, 4, 0
    state = start(jump, path, 1, first=77)
    expected, events = float(state.log_weights), 0
    for members in reversed(tiles.classes) if backward else tiles.classes:
        left = [1.0] * len(members)
        while any(left):
            tau = jump.frozen[:1]
            whole = rates.examine(path, network, state.configurations, tau)
            out, inward = all_rates(whole)
            corrector = (out - inward).flatten(2).sum(1)[0]
            rate = (inward if backward else out).flatten(2)[0]
            x, moves = state.configurations.flatten().clone(), []
            for i, member in enumerate(members.tolist()):
                words = kernels.philox(seed, Stream.JUMP, 0, events * len(members) + i, 0, 77)
                u, v = (float(kernels.uniform64(words[w], words[w + 1])) for w in (0, 2))
                own = rate[:, tiles.sites[member]].flatten()
                holding = -math.log(u) / float(own.sum()) if own.sum() > 0 else math.inf
                elapsed = min(holding, left[i])
                expected += elapsed * float(corrector[tiles.sites[member]].sum())
                moves.append(-1)
                if holding < left[i]:
                    chosen = int((own.cumsum(0) <= v * own.sum()).sum())
                    shift, place = divmod(chosen, tiles.sites.shape[1])
                    site = int(tiles.sites[member, place])
                    x[site] = (x[site] + shift + 1) % model.q
                    moves[i], made = shift * n + site, made + 1
                left[i] = left[i] - elapsed if holding < left[i] else 0.0
            state, info = jump.step(state, path, network, seed, backward)
            events += 1
            assert state.configurations.flatten().equal(x) and info.move[0].tolist() == moves
            assert state.clocks[0, members].tolist() == pytest.approx(left, abs=1e-14)
            assert (state.clocks[0, members] == 0).tolist() == [time == 0 for time in left]
            assert float(info.rates.exit_rate) == pytest.approx(
                float(rate[:, tiles.sites[members].flatten()].sum())
            )
            assert state.events.item() == events and state.log_weights.item() == pytest.approx(
                expected, abs=1e-11
            )
    assert state.remaining.item() == 0 and not state.clocks.any()
    assert made > 0


@torch.no_grad()
def test_one_domain_is_the_plain_jump_process() -> None:
    """Bit for bit, moves and weights."""
    model = lt.Potts((4, 3), q=3, beta=0.9, field=[0.3, 0.0, -0.2])
    path, network = lt.AnnealingPath(model), local_network(model)
    for reversible in (None, "barker"):
        plain, one = (
            lt.Sampler(
                path,
                network,
                lt.Jump(3, reversible, domain=domain, weights="frozen"),
                block=32,
                device="cpu",
            ).sample(64, seed=3)
            for domain in (None, (4, 3))
        )
        assert plain.configurations.equal(one.configurations) and plain.log_weights.equal(
            one.log_weights
        )
        assert plain.evaluations == one.evaluations


@torch.no_grad()
def test_walkers_in_other_classes_and_intervals_do_as_alone() -> None:
    """And those without time are left alone, clocks too."""
    model, domain = CASES["ising 2x4"]
    path, network, jump = lt.AnnealingPath(model), local_network(model), lt.Jump(3, domain=domain)
    tiles = cut(path, jump, network)
    clocks = torch.zeros(5, len(tiles.sites), dtype=FLOAT64)
    clocks[1, tiles.classes[1]] = torch.tensor([0.2, 0.0], dtype=FLOAT64)
    clocks[2, tiles.classes.flatten()] = torch.tensor([0.0, 0.1, 0.3, 0.3], dtype=FLOAT64)
    state = start(jump, path, 5)._replace(
        interval=torch.tensor([0, 1, 2, 1, 3]),
        remaining=torch.tensor([0.3, 0.3, 0.3, 0.0, 0.0], dtype=FLOAT64),
        clocks=clocks,
    )
    together, info = jump.step(state, path, network, seed=9)
    for row in range(5):
        alone, _ = jump.step(
            JumpState(*(value[row : row + 1] for value in state)), path, network, seed=9
        )
        for value, whole in zip(alone, together, strict=True):
            torch.testing.assert_close(value[0], whole[row], rtol=0, atol=1e-12)
    assert together.events.tolist() == [1, 1, 1, 0, 0]
    for value, before in zip(together, state, strict=True):
        assert torch.equal(value[3:], before[3:])
    changed = (together.clocks != state.clocks).nonzero().tolist()
    assert [column for row, column in changed if row == 1] == [int(tiles.classes[1, 0])]
    assert [column for row, column in changed if row == 2] == [int(tiles.classes[0, 1])]
    assert (info.move[3:] == -1).all()


class Broken(nn.Module):
    """Rates of 1, and ``value`` at one site."""

    reach = 1

    def __init__(self, value: float, site: int) -> None:
        super().__init__()
        self.value, self.site = value, site

    def forward(self, configurations: Tensor, conditions: lt.Conditions) -> Tensor:
        output = torch.ones(len(configurations), 1, 8)
        output[:, 0, self.site] = self.value
        return output


@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "exit rate nan and corrector nan"), (-math.inf, "exit rate 3 and corrector -inf")],
)
def test_a_rate_that_is_not_finite_is_reported_when_its_class_is_up(
    value: float, words: str
) -> None:
    model, _ = CASES["ising 8, sites"]
    path, jump = lt.AnnealingPath(model), lt.Jump(4, domain=1)
    for site, fine in ((0, False), (1, True)):
        state = start(jump, path, 3, first=70)
        after, info = jump.step(state, path, Broken(value, site), seed=0)
        if fine:
            jump.check(after, info)
            continue
        with pytest.raises(
            RuntimeError, match=re.escape(f"walker 70 at t = 0.125: {words} must be finite")
        ):
            jump.check(after, info)
    with pytest.raises(RuntimeError, match=r"walker \d at t = 0.125: .* must be finite"):
        lt.Sampler(path, Broken(value, 1), jump, block=8, device="cpu").sample(8)


def test_too_many_events_are_reported() -> None:
    model, _ = CASES["ising 8, sites"]
    path, jump = lt.AnnealingPath(model), lt.Jump(4, domain=1)
    state = start(jump, path, 2, first=70)
    after, info = jump.step(state, path, Broken(1.0, 0), seed=0)
    for chosen, limit in ((jump, 1000 + 100 * 8 + 4 * 8), (lt.Jump(4, max_events=9, domain=1), 9)):
        chosen.check(after._replace(events=torch.tensor([limit, limit])), info)
        with pytest.raises(
            RuntimeError, match=f"walker 71 at t = 0.125 has needed more than max_events = {limit} "
        ):
            chosen.check(after._replace(events=torch.tensor([limit, limit + 1])), info)
    huge = lt.Jump(4, max_events=2**40, domain=1)
    with pytest.raises(RuntimeError, match=f"max_events = {2**29 - 1} .* take larger domains"):
        huge.check(after._replace(events=torch.tensor([0, 2**29])), info)


@pytest.mark.parametrize("domain", [0, -2, 2.5, (), (2, 0), (2, 1.5), "22"])
def test_domains_that_are_refused(domain: Any) -> None:
    with pytest.raises(
        ValueError, match=r"domain must be None, a positive integer, or one for each direction, got"
    ):
        lt.Jump(3, domain=domain)


@pytest.mark.parametrize("domain", [3, (4, 3), (2, 2, 2)])
def test_domains_that_do_not_fit_are_refused(domain: Any) -> None:
    model = lt.Ising((8, 4), beta=0.4)
    message = r"domain must be one length that divides each of the lattice's \(8, 4\), .* got "
    with pytest.raises(ValueError, match=message + re.escape(str(domain))):
        lt.Sampler(
            lt.AnnealingPath(model), local_network(model), lt.Jump(3, domain=domain), device="cpu"
        )


class EnergyOnly:
    """Three spins in a row: what a move changes is read two sites away."""

    lattice, q, beta = Lattice((8,)), 2, 0.3

    def energy(self, configurations: Tensor) -> Tensor:
        s = 2.0 * configurations.double() - 1.0
        return -(s * s.roll(1, 1) * s.roll(2, 1)).sum(1)


def test_networks_and_models_of_unknown_reach_are_refused() -> None:
    model = lt.Ising((8, 8), beta=0.4)
    path, jump = lt.AnnealingPath(model), lt.Jump(3, domain=2)
    with pytest.raises(
        ValueError, match=r"HollowConv.reach is None; .* build HollowConv\(global_features=False\)"
    ):
        lt.Sampler(path, lt.HollowConv(model, kernel_size=3, modes=0), jump, device="cpu")
    with pytest.raises(
        ValueError, match=r"function.reach is None; it must be the largest distance"
    ):
        lt.Sampler(path, lambda x, conditions: x.unsqueeze(1).float(), jump, device="cpu")
    reversible = lt.Jump(3, domain=2, reversible="barker")
    lt.Sampler(path, None, reversible, device="cpu")
    with pytest.raises(ValueError, match=r"EnergyOnly.reach is None"):
        lt.Sampler(lt.AnnealingPath(EnergyOnly()), None, reversible, device="cpu")
    monkey = type("Told", (EnergyOnly,), {"reach": 2})
    path = lt.AnnealingPath(monkey())
    assert cut(path, lt.Jump(3, domain=1), None).classes.shape == (4, 2)
    assert cut(path, lt.Jump(3, domain=2), None).classes.shape == (2, 2)
