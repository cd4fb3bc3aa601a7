"""Observables of the same configurations share what is common, and none of them notices."""

import copy
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from observable_cases import MODELS, some
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import leaps_triton as lt
from helpers import EnergyOnly
from leaps_triton import observables
from leaps_triton.models import complete
from leaps_triton.observables import OBSERVABLES
from leaps_triton.observables.shared import share

OF_SUMS = [
    *OBSERVABLES, "magnetization", "magnetization_squared", "susceptibility_full", "potts_order",
    "correlation",
]  # fmt: skip


class Tilted(lt.Potts):
    """A model with an energy of its own."""

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        return super().energy(configurations, check) + configurations.flatten(1)[:, 0]


ALL = {
    **MODELS,
    "energy only": complete(EnergyOnly((2, 3), 3, 0.5)),
    "tilted": Tilted((3, 2), 3, 0.5),
    "many states": lt.Clock((3, 3), 127, 0.5),
}


class Traffic(TorchDispatchMode):
    """Counts passes over the configurations for their sums, reads of their values.

    And copies between devices.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [
            value for value in tree_leaves((args, kwargs, result)) if isinstance(value, Tensor)
        ]
        name = str(function)
        self.seen["passes"] += name == "leaps_triton.energy.default"
        self.seen["reads"] += name in (
            "aten.min.default",
            "aten.max.default",
            "aten.eq.Tensor",
            "aten.eq.Scalar",
        )
        self.seen["copies"] += len({value.device.type for value in tensors}) > 1
        return result


def traffic(
    model: lt.PairModel, measured: Any, device: str = "cpu", draws: int = 6
) -> Counter[str]:
    with Traffic() as mode:
        lt.run_chain(
            model,
            lt.HeatBath(),
            4,
            2 * draws,
            thin=2,
            burn_in=3,
            observables=measured,
            device=device,
        )
    return mode.seen


@pytest.mark.parametrize("model", ALL.values(), ids=ALL)
def test_shared_values_are_those_of_each_alone(model: Any) -> None:
    x = some(model)
    shared = share(x, model)
    assert shared.__class__ is type(model) and isinstance(shared, type(model))
    for name in OF_SUMS:
        assert torch.equal(
            getattr(observables, name)(x, shared), getattr(observables, name)(x, model)
        ), name
    assert torch.equal(shared.energy(x), model.energy(x))


def test_what_an_observable_returns_is_its_own() -> None:
    model = MODELS["potts"]
    x = some(model)
    shared = share(x, model)
    for name in OF_SUMS:
        getattr(observables, name)(x, shared).fill_(torch.nan)
    shared.energy(x).fill_(torch.nan)
    assert all(getattr(observables, name)(x, shared).isfinite().all() for name in OF_SUMS)


def test_other_configurations_are_not_taken_for_those() -> None:
    model = MODELS["potts"]
    x, y = some(model), (some(model) + 1) % 3
    shared = share(x, model)
    for name in OF_SUMS:
        assert torch.equal(
            getattr(observables, name)(y, shared), getattr(observables, name)(y, model)
        )
    assert torch.equal(shared.energy(y), model.energy(y))
    with pytest.raises(ValueError, match="of values 0 to 2"):
        observables.energy(y + 3, shared)


@pytest.mark.parametrize("name", ["ising", "glass", "potts", "clock"])
def test_a_draw_is_one_pass(name: str) -> None:
    def square(configurations: Tensor, model: Any) -> Tensor:
        return observables.energy(configurations, model) * model.energy(configurations)

    # Chains keep the lowest energy, so that one pass a draw is made for nothing measured too.
    nothing = traffic(MODELS[name], [])
    assert nothing["passes"] == 6
    for measured in (OBSERVABLES, ["energy"], ["binder"], [*OF_SUMS, square]):
        seen = traffic(MODELS[name], measured)
        assert seen["passes"] == 6 and seen["reads"] == nothing["reads"]


def test_observables_copy_nothing_between_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device, where to read a value is an error.

    But for the values measured, at the end.
    """
    fetched: list[tuple[int, ...]] = []

    def fetch(value: Tensor) -> Tensor:
        fetched.append(tuple(value.shape))
        return torch.zeros(value.shape)

    models = [lt.Ising((3, 4), 0.4), lt.Potts((3, 4), 3, 0.4, field=[0.1, 0.0, 0.2])]
    monkeypatch.setattr(Tensor, "cpu", fetch)
    for model in models:
        # Once a model and device, and not counted: its tables.
        model.tables(torch.device("meta"))
        nothing = traffic(model, [], "meta")
        # The lowest energies, and their configurations.
        assert fetched == [(4,), (4, *model.shape)]
        fetched.clear()
        assert traffic(model, OF_SUMS, "meta")["copies"] == nothing["copies"]
        values = fetched[: len(OF_SUMS)]
        assert len(fetched) == len(OF_SUMS) + 2
        assert all(shape[:2] == (4, 6) for shape in values)
        fetched.clear()


def test_a_block_of_weighted_walkers_is_one_pass(tmp_path: Path) -> None:
    path = lt.AnnealingPath(MODELS["potts"])
    sampler = lt.Sampler(path, None, lt.Jump(2), lt.HeatBath(), block=8, device="cpu")
    passes = {}
    for names, walkers in itertools.product(([], OF_SUMS), (20, 36)):
        with Traffic() as mode:
            file = tmp_path / f"{len(names)}-{walkers}.h5"
            run = lt.io.sample(sampler, walkers, file, observables=names, configurations=True)
        passes[len(names), walkers] = mode.seen["passes"]
        for name in names:
            assert torch.equal(
                run.observables[name], getattr(observables, name)(run.configurations, run.model)
            )
    # Two blocks more, beside what their walkers take.
    added = {count: passes[count, 36] - passes[count, 20] for count in (0, len(OF_SUMS))}
    assert added[len(OF_SUMS)] - added[0] == 2


class _Slots:
    """A user's model without a place for more attributes, and with a name of its own for one."""

    __slots__ = ("beta", "lattice", "measured", "q")

    def __init__(self) -> None:
        self.lattice, self.q, self.beta, self.measured = (
            lt.Lattice((3, 3)),
            2,
            0.3,
            torch.tensor(2.0),
        )

    def energy(self, configurations: Tensor) -> Tensor:
        return -configurations.flatten(1).sum(1)


def test_a_users_model_keeps_what_is_its_own() -> None:
    measured = {
        "own": lambda x, model: x.flatten(1).sum(1) * model.measured,
        "energy": lt.observables.energy,
    }
    chain = lt.run_chain(_Slots(), lt.HeatBath(), 4, 10, observables=measured, device="cpu")
    torch.testing.assert_close(chain.values["own"], -18.0 * chain.values["energy"])
    again = copy.deepcopy(chain)
    assert torch.equal(again.values["own"], chain.values["own"])
    completed: Any = chain.model
    assert repr(completed) == repr(completed.model)


def test_what_an_observable_keeps_on_the_model_stays() -> None:
    seen: list[int] = []

    def counting(x: Tensor, model: Any) -> Tensor:
        model.calls = getattr(model, "calls", 0) + 1
        seen.append(model.calls)
        return x.flatten(1).sum(1)

    model = lt.Ising((3, 3), 0.3)
    lt.run_chain(model, lt.HeatBath(), 2, 5, observables={"sum": counting}, device="cpu")
    assert seen == [1, 2, 3, 4, 5] and not hasattr(model, "calls")


@pytest.mark.parametrize(
    ("observable", "message"),
    [
        (lambda x, model: x.mul_(-1).add_(1).flatten(1).sum(1), "changed the configurations"),
        (lambda x, model: torch.fft.fft(x.double())[:, 0, 1], "must return"),
    ],
)
def test_observables_that_are_refused(observable: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lt.run_chain(
            lt.Ising((3, 3), 0.3),
            lt.HeatBath(),
            2,
            5,
            observables={"mine": observable},
            device="cpu",
        )
