"""Blocks that ride together in one launch: the walkers of each are those of the block alone."""

from typing import Any

import pytest
import torch

import leaps_triton as lt
from helpers import JumpAsOnGPU
from leaps_triton.samplers.riding.rule import blocks_at_once

ISING = lt.Ising((4, 4), beta=0.4)
POTTS = lt.Potts((4, 4), q=3, beta=0.6)
BLOCK = 8
WALKERS = 28
"""Three whole blocks and half of a fourth."""


def loud(network: Any) -> Any:
    """Return a network with rates of order one."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2.0)
    return network


def hollow(model: Any, incremental: bool = False) -> Any:
    sizes: dict[str, Any] = {"kernel_size": 3, "channels": 6, "width": 8}
    # On a CPU the probabilities of a heat bath may round otherwise at the end of an array.
    return loud(lt.HollowConv(model, incremental=incremental, gauge="plain", **sizes))


def lec(model: Any) -> Any:
    return loud(lt.LEC(model, kernel_sizes=(3, 3), channels=6, width=8, gauge="plain"))


CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "hollow": (ISING, hollow, {}),
    "followed": (ISING, lambda model: hollow(model, True), {}),
    "lec": (POTTS, lec, {}),
    "resampled": (ISING, hollow, {"resample_below": 0.5}),
    "moved": (POTTS, lec, {"mcmc": lt.HeatBath(), "resample_below": 0.95}),
    "clusters": (ISING, hollow, {"mcmc": lt.Wolff()}),
    "annealed": (ISING, lambda model: None, {"mcmc": lt.HeatBath(), "resample_below": 0.9}),
    "annealed alone": (ISING, lambda model: None, {"mcmc": lt.HeatBath()}),
}


def sampler(name: str, jump: Any, riding: int) -> lt.Sampler:
    model, network, more = CASES[name]
    made = lt.Sampler(
        lt.AnnealingPath(model), network(model), jump, block=BLOCK, device="cpu", **more
    )
    made.riding = riding
    return made


def assert_same(found: Any, expected: Any) -> None:
    for name in ("configurations", "log_weights", "ess_trace", "resamplings"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert found.evaluations == expected.evaluations


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, lt.Jump) for name in CASES), ("lec", JumpAsOnGPU), ("moved", JumpAsOnGPU)],
)
def test_results_do_not_depend_on_how_many_blocks_ride_together(name: str, kind: Any) -> None:
    alone = sampler(name, kind(3), 1).sample(WALKERS, seed=4)
    assert alone.log_weights.std() > 0.0
    for riding in (2, 4):
        assert_same(sampler(name, kind(3), riding).sample(WALKERS, seed=4), alone)
    if name == "resampled":
        # Some blocks are resampled at a boundary, and others are not.
        counts = alone.resamplings
        assert ((counts > 0) & (counts < 4)).any()


@pytest.mark.parametrize("name", ["hollow", "resampled"])
def test_what_is_measured_on_the_way_is_that_of_each_block(name: str) -> None:
    alone = sampler(name, lt.Jump(3), 1).sample(WALKERS, seed=4, along=True)
    riding = sampler(name, lt.Jump(3), 5).sample(WALKERS, seed=4, along=True)
    assert_same(riding, alone)
    for found, expected in zip(riding.by_beta, alone.by_beta, strict=True):
        assert torch.equal(found.log_weights, expected.log_weights)
        assert torch.equal(found.values["energy"], expected.values["energy"])


def test_processes_may_divide_the_blocks_as_they_like() -> None:
    whole = sampler("resampled", lt.Jump(3), 3).sample(32, seed=4)
    later = sampler("resampled", lt.Jump(3), 2).sample(24, seed=4, first_block=1)
    assert torch.equal(whole.configurations[8:], later.configurations)
    assert torch.equal(whole.log_weights[8:], later.log_weights)


def test_progress_is_told_of_all_blocks() -> None:
    heard: list[int] = []
    sampler("moved", lt.Jump(3), 2).sample(32, seed=4, advance=heard.append)
    assert heard == [2, 4, 6, 8, 10, 12, 14, 16]


def test_the_rule() -> None:
    assert blocks_at_once(sampler("hollow", lt.Jump(3), 7)) == 7
    made = sampler("hollow", lt.Jump(3), 1)
    made.riding = None
    assert blocks_at_once(made) == 1
    # Tables have rows for all walkers; leaps evaluate all where one has been moved.
    model = lt.Ising((8, 8), beta=0.4)
    local = lt.Sampler(lt.AnnealingPath(model), lt.LocalRates(model), lt.Jump(3), device="cpu")
    assert local.integrator.waits(local.path, local.transport)
    leaping = made.with_integrator(lt.TauLeap(3))
    # On a CPU reversible rates of an array's last numbers may round otherwise.
    added = made.with_integrator(lt.Jump(3, "barker"))
    # Torch adds up what domains gain, and what several programs find of one large lattice.
    near = lt.Sampler(lt.AnnealingPath(model), lec(model), lt.Jump(2, domain=4), device="cpu")
    large = lt.Sampler(
        lt.AnnealingPath(lt.Ising((129, 128), beta=0.4)),
        None,
        lt.Jump(3),
        lt.HeatBath(),
        device="cpu",
    )
    bath = lt.Sampler(made.path, lt.LEM(made.path.model), lt.Jump(3), device="cpu")
    for alone in (added, local, leaping, near, large, bath):
        alone.riding = 7
        assert blocks_at_once(alone) == 1
