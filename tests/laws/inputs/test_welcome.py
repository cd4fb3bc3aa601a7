"""What public entries must take: NumPy's numbers, bools and arrays, and tensors of any strides.

Each argument of the tables of bad values is given in other forms, one at a time. The result is
that of the plain form.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bad_chains
import bad_kernels
import bad_models
import bad_networks
import bad_samplers
import bad_training
import numpy as np
import pytest
import torch
from bad_values import MODEL, Entry, X
from torch import Tensor

import leaps_triton as lt

ENTRIES: dict[str, Entry] = {
    **bad_chains.ENTRIES,
    **bad_networks.ENTRIES,
    **bad_models.ENTRIES,
    **bad_samplers.ENTRIES,
    **bad_training.ENTRIES,
    **bad_kernels.ENTRIES,
}
SLOW = (
    "trainer", "Trainer", "io.", "save", "TrainingConfig", "constant_ess", "mbar_error",
    "multi_reweight", "thermodynamic", "networks.", "run_chain",
)  # fmt: skip
"""Beginnings of entries that take long, or whose arguments are given in other forms below."""


def strided(tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The same tensor with other strides."""
    if tensor.ndim > 1:
        last = tensor.ndim - 1
        yield "transposed", tensor.transpose(0, last).contiguous().transpose(0, last)
    wide = torch.stack([tensor, tensor], dim=tensor.ndim)
    yield "every second", wide[..., 0]
    longer = torch.cat([tensor[:1], tensor])
    yield "with an offset", longer[1:]


def forms(value: Any) -> Iterator[tuple[str, Any]]:
    """The same value in other forms."""
    if isinstance(value, Tensor) and value.ndim > 0 and not value.requires_grad:
        yield from strided(value)
    elif isinstance(value, bool):
        yield from (("np.bool_", np.bool_(value)), ("array", np.array(value)))
        yield "tensor", torch.tensor(value)
    elif isinstance(value, int):
        # Numbers of NumPy and torch are given by the tests of bad values.
        yield "array", np.array(value)
    elif isinstance(value, float):
        yield from (("np.float64", np.float64(value)), ("array", np.array(value)))
        yield "tensor", torch.tensor(value, dtype=torch.float64)
        if value == np.float32(value):
            yield "np.float32", np.float32(value)
    elif isinstance(value, list | tuple) and value and is_of_numbers(value):
        array = np.array(value)
        yield "array", array
        yield "flipped twice", array[::-1].copy()[::-1]
        yield "elements of an array", type(value)(array)


def is_of_numbers(values: Any) -> bool:
    return all(isinstance(value, bool | int | float) for value in values)


def numbers(result: Any) -> list[Any]:
    """All numbers and tensors in a result, in their order."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, int | float | np.generic):
        return [torch.as_tensor(result)]
    if isinstance(result, torch.nn.Module):
        return [each.detach() for each in result.parameters()]
    if isinstance(result, list | tuple):
        return [each for part in result for each in numbers(part)]
    if isinstance(result, lt.PairModel):
        return [result.coupling, result.site_table, result.bond_table, torch.tensor(result.beta)]
    if isinstance(result, lt.Chain):
        return [*result.values.values(), result.configurations]
    if dataclasses.is_dataclass(result):
        fields = [getattr(result, field.name) for field in dataclasses.fields(result)]
        return [each for part in fields for each in numbers(part)]
    return []


def same(one: Any, other: Any) -> bool:
    """Whether two results agree; sums over other strides may be rounded otherwise."""
    pairs = zip(numbers(one), numbers(other), strict=True)
    return all(torch.allclose(a.double(), b.double(), equal_nan=True) for a, b in pairs)


CASES = [
    (name, argument)
    for name, entry in ENTRIES.items()
    for argument, value in entry.valid.items()
    if not name.startswith(SLOW) and any(forms(value))
]


@pytest.mark.parametrize(("name", "argument"), CASES)
def test_an_argument_is_taken_in_other_forms(name: str, argument: str) -> None:
    entry = ENTRIES[name]
    plain = entry.call(**entry.valid)
    for form, value in forms(entry.valid[argument]):
        assert same(entry.call(**{**entry.valid, argument: value}), plain), form


ARRAY = np.arange(12.0).reshape(2, 2, 3)
READ_ONLY = ARRAY.copy()
READ_ONLY.flags.writeable = False
ARRAYS: dict[str, Any] = {
    "flipped": ARRAY[:, ::-1, ::-1],
    "transposed": np.ascontiguousarray(ARRAY.transpose(2, 1, 0)).transpose(2, 1, 0),
    "of the other byte order": ARRAY.astype(ARRAY.dtype.newbyteorder()),
    "read-only": READ_ONLY,
    "of float32": ARRAY.astype(np.float32),
    "of integers": ARRAY.astype(np.int64),
    "a list of arrays": list(ARRAY),
}


@pytest.mark.parametrize("form", ARRAYS)
def test_tables_of_a_model_may_be_arrays(form: str, tmp_path: Path) -> None:
    array = ARRAYS[form]
    plain = torch.tensor(np.array(array).tolist(), dtype=torch.float64)
    model = lt.Ising((2, 3), np.float64(0.4), coupling=array, field=array[0])
    assert torch.equal(model.coupling, plain)
    assert torch.equal(model.site_table[1], plain[0])
    # A file takes numbers in the order of their axes.
    ais = lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(2), lt.HeatBath(), device="cpu")
    lt.save(ais, tmp_path / "s.safetensors")
    assert torch.equal(lt.load(tmp_path / "s.safetensors").path.model.coupling, plain)


def test_tables_may_be_tensors_of_any_strides(tmp_path: Path) -> None:
    table = torch.arange(12.0, dtype=torch.float64).view(3, 2, 2).transpose(0, 2)
    model = lt.Ising((2, 3), 0.4, coupling=table)
    lt.save(
        lt.Sampler(lt.AnnealingPath(model), None, lt.Jump(2), lt.HeatBath(), device="cpu"),
        tmp_path / "s.safetensors",
    )
    assert torch.equal(lt.load(tmp_path / "s.safetensors").path.model.coupling, table)


TRUE: Any = np.bool_(True)
FRACTIONS: Any = np.array([1.0, 0.5])[::-1]
MOVES = [
    lt.HeatBath(backward=TRUE), lt.Metropolis(), lt.SwendsenWang(), lt.Wolff(),
    lt.KineticMonteCarlo(), lt.ParallelTempering(FRACTIONS),
    lt.Compose(lt.HeatBath(), lt.Houdayer()),
]  # fmt: skip
FLIPPED = X.numpy()[::-1, ::-1]
STARTS: dict[str, tuple[Any, Tensor]] = {
    "transposed": (X.transpose(1, 2).contiguous().transpose(1, 2), X),
    "expanded": (X[:1].expand(4, -1, -1), X[:1].repeat(4, 1, 1)),
    "a flipped array": (FLIPPED, X.flip(0, 1)),
}


@pytest.mark.parametrize("move", MOVES, ids=lambda move: type(move).__name__)
def test_chains_start_from_any_strides(move: Any, tmp_path: Path) -> None:
    def ends(start: Any, **options: Any) -> Tensor:
        run: Callable[..., lt.Chain] = lt.io.run_chain if options else lt.run_chain
        given = {"observables": ["energy"], "burn_in": 0, "device": "cpu", "seed": 1}
        return run(MODEL, move, 4, 3, start=start, **given, **options).configurations

    for name, (start, plain) in STARTS.items():
        assert torch.equal(ends(start), ends(plain)), name
    # What was given is left as it was.
    assert np.array_equal(FLIPPED, X.flip(0, 1).numpy())
    file = tmp_path / "chain.h5"
    assert torch.equal(ends(STARTS["transposed"][0], file=file), ends(X))


@pytest.mark.filterwarnings("ignore::leaps_triton.ShortChainWarning")
def test_edges_and_times_may_be_arrays() -> None:
    overlaps = torch.linspace(-1, 1, 40, dtype=torch.float64).sin().view(2, 20)
    edges = torch.tensor([-1.0, 0.5, 1.0], dtype=torch.float64)
    plain = lt.estimators.overlap_distribution(overlaps, edges)
    wide = torch.stack([edges, edges], dim=1)[:, 0]
    forms: tuple[Any, ...] = (wide, edges.numpy()[::-1][::-1])
    for given in forms:
        assert torch.equal(
            lt.estimators.overlap_distribution(overlaps, given).density, plain.density
        )
    times: Any = np.array([1.0, 0.3, 0.0])[::-1]
    three: Any = np.array(3)
    sizes: Any = np.array([3])
    domain: Any = np.array([1, 3])
    assert lt.Jump(times).times.tolist() == [0.0, 0.3, 1.0]
    assert lt.Jump(three).intervals == 3
    assert lt.LEC(MODEL, channels=2, kernel_sizes=sizes).settings["kernel_sizes"] == [3]
    assert lt.Jump(2, domain=domain).domain == (1, 3)
