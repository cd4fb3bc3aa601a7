"""What public entries must take: NumPy's numbers, bools and arrays, and tensors of any strides.

Each argument of the tables of bad values is given in other forms, one at a time. The result is
that of the plain form.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_bad_input
import test_bad_input_chains
import torch
from torch import Tensor

import leaps_triton as lt
from bad_values import MODEL, PATH, Entry, X

ENTRIES: dict[str, Entry] = {**test_bad_input_chains.ENTRIES, **test_bad_input.ENTRIES}
SLOW = ("trainer", "Trainer", "io.", "save", "TrainingConfig", "constant_ess")
"""Beginnings of entries whose arguments other tests give in other forms, or that write files."""


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
        yield from (("np.int64", np.int64(value)), ("array", np.array(value)))
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
