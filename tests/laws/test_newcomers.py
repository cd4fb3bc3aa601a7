"""What a newcomer writes first is answered by what to write instead."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import leaps_triton as lt
from leaps_triton.report import title
from leaps_triton.samplers import blocks

ISING = lt.Ising((4, 4), beta=0.4)
POTTS = lt.Potts((4, 4), q=3, beta=0.4)
PATH = lt.AnnealingPath(ISING)

FREE: Any = lt
"""The library for calls that its types forbid."""

Maker = Callable[[Any], Any]

NETWORKS: list[Maker] = [
    lambda model: lt.HollowConv(model, kernel_size=3),
    lambda model: lt.LEC(model, kernel_sizes=(3,)),
    lt.LEM,
    lt.LEA,
    lt.LETransformer,
    lt.LocalRates,
    lambda model: lt.SymmetricConv(model, kernel_size=3),
]


@pytest.mark.parametrize("make", NETWORKS)
def test_a_network_of_another_model_is_refused_by_its_name(make: Maker) -> None:
    other = make(POTTS)
    name = type(other).__name__
    told = rf"this {name} was made for a model of q = 3 .*, and Ising\(.*\) has q = 2; .*{name}\(mo"
    with pytest.raises(ValueError, match=told):
        lt.Sampler(PATH, other, lt.Jump(3), device="cpu")
    with pytest.raises(ValueError, match=told):
        lt.Sampler(PATH, other, lt.TauLeap(3), device="cpu")
    x = PATH.start.sample(torch.arange(2), seed=0)
    with pytest.raises(ValueError, match="and the conditions are of one of q = 2; make one"):
        other(x, PATH.conditions(0.5))
    deep = make(lt.Ising((4, 4, 4), beta=0.4))
    with pytest.raises(ValueError, match=rf"for 3-dimensional lattices, .*{name}\(model\)"):
        lt.Sampler(PATH, deep, lt.Jump(3), device="cpu")


def test_a_network_of_one_lattice_is_refused_on_another() -> None:
    with pytest.raises(ValueError, match=r"a LEM has weights for one lattice, \(6, 6\), got"):
        lt.Sampler(PATH, lt.LEM(lt.Ising((6, 6), 0.4)), lt.Jump(3), device="cpu")


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("gpu", "got 'gpu': say 'cuda' for a GPU"),
        ("GPU:0", "say 'cuda' for a GPU"),
        ("CPU", "say 'cpu', in small letters"),
        ("toaster", "say 'cpu', or 'cuda' for a GPU"),
    ],
)
def test_a_device_by_another_name(device: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        lt.run_chain(ISING, lt.HeatBath(), 2, 20, device=device)
    assert len(str(caught.value)) < 150


SPINS = torch.tensor([-1, 1], dtype=torch.int8).repeat(2, 4, 2)
HINT = r"spins s = ±1 become states by \(s \+ 1\) / 2, and states x become spins by 2 \* x - 1"


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32])
def test_spins_given_for_states_are_told_how_to_become_them(dtype: torch.dtype) -> None:
    spins = SPINS.to(dtype)
    network = lt.HollowConv(ISING, kernel_size=3)
    tries: list[Callable[[], Any]] = [
        lambda: ISING.energy(spins),
        lambda: ISING.energy_change(spins),
        lambda: lt.observables.energy(spins, ISING),
        lambda: lt.run_chain(ISING, lt.HeatBath(), 2, 20, start=spins, device="cpu"),
    ]
    if not dtype.is_floating_point:
        tries.append(lambda: network(spins, PATH.conditions(0.5)))
    for attempt in tries:
        with pytest.raises(ValueError, match=HINT):
            attempt()
    # The words of the hint are the way there and back.
    states = ((spins + 1) / 2).to(torch.int8)
    assert torch.equal(2 * states - 1, SPINS) and float(ISING.energy(states)[0]) == 0.0


def test_states_counted_from_one_are_told() -> None:
    labels = torch.ones(1, 4, 4, dtype=torch.int8)
    labels[0, 0, 0] = 3
    with pytest.raises(ValueError, match="got 1 to 3; states are counted from 0, so subtract 1"):
        POTTS.energy(labels)


def one(configurations: Tensor) -> Tensor:
    return configurations.double().mean((1, 2))


def three(configurations: Tensor, model: Any, scale: float) -> Tensor:
    return scale * one(configurations)


@pytest.mark.parametrize("function", [one, three])
def test_an_observable_of_other_arguments_is_told_which(function: Any) -> None:
    chain = lt.run_chain(
        ISING, lt.HeatBath(), 2, 20, observables=[], device="cpu", keep_configurations=True
    )
    ais = lt.Sampler(PATH, None, lt.Jump(2), lt.HeatBath(), block=4, device="cpu")
    ensemble = ais.sample(4)
    told = rf"an observable must take \(configurations, model\), got {function.__name__}\(conf"
    tries: list[Callable[[], Any]] = [
        lambda: lt.run_chain(ISING, lt.HeatBath(), 2, 20, observables=[function], device="cpu"),
        lambda: lt.run_chain(ISING, lt.HeatBath(), 2, 20, observables={"m": function}),
        lambda: chain.estimate(function),
        lambda: ensemble.estimate(function),
        lambda: lt.exact.expectation(ISING, function),
    ]
    for attempt in tries:
        with pytest.raises(ValueError, match=told):
            attempt()
    with pytest.raises(ValueError, match=r"must take \(first, second, model\), got pair\(first, m"):
        lt.run_chain(ISING, lt.HeatBath(), 2, 20, observables=[FREE.observables.of_pairs(pair)])
    with pytest.raises(ValueError, match=r"a schedule must take \(t\), got <lambda>\(\)"):
        lt.AnnealingPath(ISING, schedule=lambda: 1)  # type: ignore[misc, arg-type]


def pair(first: Tensor, model: Any) -> Tensor:
    return one(first)


def test_a_name_nearly_right_is_answered_by_the_nearest(tmp_path: Any) -> None:
    chain = lt.run_chain(ISING, lt.HeatBath(), 2, 20, device="cpu")
    ais = lt.Sampler(PATH, None, lt.Jump(2), lt.HeatBath(), block=4, device="cpu")
    run = lt.io.sample(ais, 4, tmp_path / "r.h5")
    ensemble = ais.sample(4)
    tries: list[Callable[[str], Any]] = [
        chain.estimate,
        run.estimate,
        ensemble.estimate,
        lambda name: lt.run_chain(ISING, lt.HeatBath(), 2, 20, observables=[name]),
        lambda name: lt.io.run_chain(
            ISING, lt.HeatBath(), 2, 20, tmp_path / "c.h5", observables=[name]
        ),
        lambda name: lt.export.to_pyerrors(chain, name),
    ]
    for attempt in tries:
        with pytest.raises(ValueError, match="did you mean 'energy'"):
            attempt("enrgy")
        # Nothing is guessed where nothing is near.
        with pytest.raises(ValueError, match="xyz") as caught:
            attempt("xyz")
        assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FREE.Ising((4, 4), T=2.5), "Ising has no T=; give beta=0.4, the inverse temp"),
        (lambda: FREE.Potts((4, 4), 3, temperature=2), "Potts has no temperature=; give beta=0.5"),
        (lambda: FREE.Clock((4, 4), 3, T=0), r"Clock has no T=; give beta=1/T, the inverse"),
        (lambda: FREE.Ising(L=8, beta=0.4), r"give shape=\(8, 8\), one length a direction"),
        (lambda: FREE.Ising(size=[8, 4], beta=0.4), r"give shape=\(8, 4\), one length"),
        (lambda: FREE.EdwardsAnderson((4, 4), 1.0, J=2), "give coupling=2"),
        (lambda: FREE.Ising((4, 4), 1.0, h=0.1), "give field=0.1"),
        (lambda: FREE.PairModel((4, 4), 1.0, [[1.0, 0.0], [0.0, 1.0]], h=0.1), "site_table=0.1"),
    ],
)
def test_arguments_by_the_names_of_other_programs(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        make()


def test_a_model_of_a_users_own_keeps_its_names() -> None:
    class Square(lt.Ising):
        def __init__(self, L: int, T: float) -> None:
            super().__init__((L, L), 1.0 / T)

    assert Square(L=4, T=2.0).shape == (4, 4)


def test_few_walkers_that_cost_a_block_are_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests may have been told already.
    monkeypatch.setattr(blocks, "_TOLD", set())
    jump = lt.Jump(2, reversible="barker")
    own = lt.Sampler(PATH, None, jump, device="cpu")
    with caplog.at_level(logging.WARNING, "leaps_triton"):
        own.sample(16)
        own.sample(16)
        lt.Sampler(PATH, None, jump, lt.HeatBath(), device="cpu").sample(16)
        # Half of a block is no waste to speak of, nor is what comes after the first block.
        lt.Sampler(PATH, None, jump, block=32, device="cpu").sample(16)
        lt.Sampler(PATH, None, jump, block=32, device="cpu").sample(36)
        again = lt.Sampler(PATH, None, jump, block=32, device="cpu")
        again.sample(4, first_block=1)
        # Classical annealing computes what is asked for.
        lt.Sampler(PATH, None, lt.Jump(2), lt.HeatBath(), block=512, device="cpu").sample(16)
    assert [record.getMessage() for record in caplog.records] == [
        "16 walkers take the time of 1024, since blocks of 1024 are computed whole; ask for 1024, "
        "or take sampler.with_block(16)"
    ]


def test_the_title_of_an_energy_of_ones_own_is_its_class() -> None:
    class Own:
        lattice = lt.Lattice((3, 3))
        q = 2
        beta = 0.3

        def energy(self, configurations: Tensor) -> Tensor:
            return configurations.double().sum((1, 2))

    assert title(lt.AnnealingPath(Own()).model) == "Own, 3 × 3"
