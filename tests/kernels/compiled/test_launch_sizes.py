"""What kernels cannot number in 32 bits is refused before a launch. Meta tensors hold nothing."""

from typing import Any

import pytest
import torch

pytest.importorskip("triton")

from leaps_triton.kernels import variants
from leaps_triton.kernels.convolutions.triton import VARIANTS as CONVOLUTIONS
from leaps_triton.kernels.jumps.triton import VARIANTS as JUMPS
from leaps_triton.kernels.jumps.triton import jump_step
from leaps_triton.kernels.labels.triton import cluster_labels
from leaps_triton.kernels.proposals.triton import proposal_rates
from leaps_triton.kernels.variants import MOST, check_places, launch


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def walkers(count: int, sites: int, q: int) -> tuple[Any, ...]:
    floats = [meta(count, dtype=torch.float64) for _ in range(3)]
    integers = [meta(count, dtype=torch.int64) for _ in range(2)]
    x = meta(count, sites, dtype=torch.int8)
    return (x, floats[0], floats[1], meta(count, q - 1, sites), floats[2], *integers, 2**32 - 1)


def test_more_moves_than_32_bits_number_are_refused() -> None:
    message = r"moves must be at most 2147418112, got 3221225472; use a smaller lattice, fewer"
    with pytest.raises(ValueError, match=message):
        jump_step(*walkers(1, 2**30, q=4))
    with pytest.raises(ValueError, match="moves must be at most"):
        proposal_rates(meta(2, 1, 2**16, 2**16), meta(2, 1, 2**16, 2**16), None, 0.0)


def test_a_lattice_whose_bonds_32_bits_do_not_number_is_refused() -> None:
    with pytest.raises(ValueError, match="numbers of one row of p bonds must be at most"):
        cluster_labels(meta(1, 2, 2**15, 2**15, dtype=torch.bool))


def test_more_programs_than_a_launch_has_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 2147483647 programs, got 2147483648"):
        proposal_rates(meta(2**31, 1, 2, 2), meta(2**31, 1, 2, 2), None, 0.0)


def test_many_walkers_and_long_seeds_are_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All walkers together may have more than 2³¹ sites: their places are of 64 bits."""
    launched: list[bool] = []

    def stop(variant: Any, aligned: bool) -> None:
        launched.append(aligned)
        raise InterruptedError

    monkeypatch.setattr(variants.Variant, "kernel_for", stop)
    monkeypatch.setattr(torch.Tensor, "data_ptr", lambda _: 0)
    with pytest.raises(InterruptedError):
        jump_step(*walkers(2**20, 2**12, q=3))
    assert launched == [True]


def test_every_number_of_32_bits_is_checked() -> None:
    """Strides are numbers of a launch too."""
    for variant in (CONVOLUTIONS["forward", "float32"], JUMPS[256, torch.float32]):
        tensors = [meta(1, dtype=dtype) for dtype in variant.pointers]
        narrow = [name for name, kind in variant.signature.items() if kind == "i32"]
        for place, name in enumerate(narrow):
            numbers = [1] * len(narrow)
            numbers[place] = MOST + 1
            with pytest.raises(ValueError, match=name.replace("_", " ")):
                launch(variant, 1, *tensors, *numbers, 1)


def test_a_count_at_the_limit_is_taken() -> None:
    check_places(sites=MOST)
    with pytest.raises(ValueError, match="entries of the table must be at most"):
        check_places(entries_of_the_table=MOST + 1)
