"""What tests of bad values share: entries of a table, values that are wrong, and the checks."""

import math
import re
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

import leaps_triton as lt

PACKAGE = Path(lt.__file__).parent
HOME = {PACKAGE.resolve(), (PACKAGE / "kernels").resolve()}
Bad = st.SearchStrategy[Any]
NAN, INF = math.nan, math.inf


def among(*values: Any) -> Bad:
    return st.sampled_from(values)


class Entry(NamedTuple):
    """A callable with arguments that it accepts, and for each what it must refuse."""

    call: Callable[..., Any]
    valid: dict[str, Any]
    bad: dict[str, Bad]
    names: Mapping[str, str] = MappingProxyType({})
    """What an error calls an argument, where that is not its name"""


# Strings, containers and the like, where a number, a tensor or an object of the library belongs.
WORDS = among("3", "", b"3", [], {}, [1, 2], (None,), object(), 1j)
THINGS = WORDS | among(None)
NO_NUMBERS = THINGS | among(
    True, False, NAN, "nan", torch.ones(2), torch.tensor(True), np.ones(2), print
)
NO_INTEGERS = NO_NUMBERS | among(1.5, INF, -INF, torch.tensor(1.5), np.float64(2.5), np.True_)
NO_OBJECTS = THINGS | among(0, 3, -1.0, True, NAN, torch.ones(2), int)
NO_BOOLS = THINGS | among(0, 1, NAN, torch.tensor([True]), np.ones(1, dtype=bool), np.int64(1))
NO_TENSORS = THINGS | among(0, 1.0, True, np.ones(3), "cpu")
NO_FUNCTIONS = WORDS | among(0, 1.0, True, torch.ones(2))
NO_NAMES = NO_OBJECTS | among("nothing", "Barker", " ")
NO_DEVICES = among("toaster", "cuda:99", 3.5, [], object(), "cpu:x")
NO_SEEDS = NO_INTEGERS | st.integers(max_value=-1) | st.integers(min_value=2**32)
NO_FILES = among(3, 1.5, [], {}, object(), True)


def some(bad: Bad) -> Bad:
    """All but None, where that is the default."""
    return bad.filter(lambda value: value is not None)


def below(low: int) -> Bad:
    """Whatever is no integer of at least ``low``."""
    return NO_INTEGERS | st.integers(max_value=low - 1)


def numbers(*outside: float) -> Bad:
    """Whatever is no number, and some that are out of range."""
    return NO_NUMBERS | among(10**400, *outside, *(torch.tensor(value) for value in outside))


def tensors(good: Tensor, *others: Any, shapes: bool = True, kinds: bool = True) -> Bad:
    """Whatever has not the shape and the type of ``good``."""
    wrong: list[Any] = list(others)
    if shapes:
        wrong += [
            good[0],
            good.unsqueeze(0),
            good[:, None],
            good.flatten(0, 1)[:1] if good.ndim > 1 else good[:0],
        ]
        wrong += [good.new_zeros(())]
    if kinds:
        wrong += [
            good.to(kind) for kind in (torch.complex64, torch.float16, torch.bool, torch.int32)
        ]
    return NO_TENSORS | among(*wrong)


def shaped(value: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(value, Tensor) and value.shape == shape


MODEL = lt.Ising((2, 3), beta=0.4, field=0.2)
PATH = lt.AnnealingPath(MODEL)
X = PATH.start.sample(torch.arange(4), seed=0)
BAD_X = tensors(X, X.double(), X + 2, X - 1, X.long(), X[:, :1], X.mT.contiguous())
WALKERS = torch.arange(4)
A = torch.linspace(-1, 1, 4, dtype=torch.float64)
BAD_A = NO_TENSORS | among(A[0], A * NAN, A * INF, A + 1j, A[:0], torch.full((4,), -INF))


def network(model: Any = MODEL) -> lt.HollowConv:
    return lt.HollowConv(model, kernel_size=1, channels=2, width=4, modes=1)


def sampler(**options: Any) -> lt.Sampler:
    given = {
        "transport": None,
        "mcmc": lt.HeatBath(),
        "integrator": lt.Jump(2),
        "block": 8,
        "device": "cpu",
    }
    return lt.Sampler(**{"path": PATH, **given, **options})


NO_SHAPES = THINGS.filter(lambda value: value != [1, 2]) | among(
    0, -1, 1, 2.0, True, NAN, (), (0, 3), (-2, 2), (2.0, 3), (True, 3), (2,) * 5, (2, None), "22",
    (1, 2), (2**40, 2**40),
)  # fmt: skip
NO_PERIODIC = WORDS | among(
    None, 0, 1, 1.0, NAN, (True,), (True, 1), (1, 0), "ab", (True,) * 3, torch.tensor([True])
)
NO_COUPLINGS = THINGS.filter(lambda value: value != [1, 2]) | among(
    True, NAN, INF, "1", [1.0], torch.ones(4), torch.ones(2, 3), torch.ones(3, 2, 3),
    [1.0, NAN], (1.0, 2.0, 3.0, 4.0), torch.ones(2, 1), np.ones((3, 2))[::-1],
    torch.full((2, 2, 3), NAN),
    torch.ones(2, 2, 3) * 1j, [[1.0], [1.0, 2.0]], torch.ones(1, 2, 2, 3),
)  # fmt: skip
NO_BETAS = numbers(INF, -INF)
NO_RESTS = numbers(1.0, 0.3, -0.5, 2.0**-24, INF)


class _EnergyOnly:
    def __init__(self, **attributes: Any) -> None:
        self.lattice, self.q, self.beta = lt.Lattice((2, 2)), 2, 0.3
        vars(self).update(attributes)

    def energy(self, configurations: Tensor) -> Tensor:
        return configurations.flatten(1).sum(1).double()


NO_MODELS = NO_OBJECTS | among(
    lt.Ising, lt.Lattice(2), _EnergyOnly(q=1), _EnergyOnly(q="2"), _EnergyOnly(beta=NAN),
    _EnergyOnly(lattice=3), _EnergyOnly(energy=None),
)  # fmt: skip
NO_MODEL = "model|lattice|energy|beta|states"
"""What an error calls one of them."""
NO_MOVES = NO_OBJECTS | among(lt.HeatBath, lt.Jump(), MODEL)


def refused(call: Callable[[], Any], word: str) -> None:
    """Check a ValueError: one sentence that says ``word``.

    The library raises it, and not what the library calls.
    """
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    raised_in = set(Path(last.filename).resolve().parents)
    assert raised_in & HOME, f"{last.filename}: {caught.value}"
    assert re.search(word, str(caught.value)), f"{word} is not named: {caught.value}"


def cases(entries: Mapping[str, Entry]) -> list[tuple[str, str]]:
    """Every argument of every entry for which there are bad values."""
    return [(name, argument) for name, entry in entries.items() for argument in entry.bad]


def integers(entries: Mapping[str, Entry]) -> list[tuple[str, str]]:
    """Every argument of every entry whose valid value is an integer."""
    return [
        (name, a)
        for name, entry in entries.items()
        for a, value in entry.valid.items()
        if type(value) is int
    ]


def accepts_the_valid(entry: Entry) -> None:
    if entry.valid:
        entry.call(**entry.valid)


def refuses_a_bad_value(entry: Entry, argument: str, data: st.DataObject) -> None:
    value = data.draw(entry.bad[argument], label=argument)
    refused(
        lambda: entry.call(**{**entry.valid, argument: value}), entry.names.get(argument, argument)
    )


def takes_integers_of_numpy_and_torch(entry: Entry, argument: str) -> None:
    for kind in (np.int64, np.uint16, torch.tensor):
        entry.call(**{**entry.valid, argument: kind(entry.valid[argument])})
