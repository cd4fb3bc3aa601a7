"""A tensor that begins anywhere: a form of the kernel that knows nothing of addresses."""

import pytest
import torch
from torch import Tensor

from kernel_tools import DEVICE, require_kernels, silent
from leaps_triton.kernels import variants
from leaps_triton.kernels.inputs.random import normal

require_kernels()
from leaps_triton.kernels.proposals import triton as kernel  # noqa: E402

pytestmark = silent


def moved(tensor: Tensor) -> Tensor:
    """Return the same numbers, contiguous, four bytes behind a multiple of 16."""
    wide = torch.empty(tensor.numel() + 1, dtype=tensor.dtype, device=tensor.device)
    view = wide[1:].view(tensor.shape)
    view.copy_(tensor)
    assert view.is_contiguous() and view.data_ptr() % variants.ALIGNMENT == 4
    return view


def test_a_view_gives_the_same_as_a_tensor_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    network, log_ratios = (normal(3, 1, 5, 7, seed=seed).float().to(DEVICE) for seed in (1, 2))
    asked: list[bool] = []
    kernel_for = variants.Variant.kernel_for

    def note(variant: variants.Variant, aligned: bool) -> object:
        asked.append(aligned)
        return kernel_for(variant, aligned)

    monkeypatch.setattr(variants.Variant, "kernel_for", note)
    expected = kernel.proposal_rates(network, log_ratios, "metropolis", 0.5)
    found = kernel.proposal_rates(moved(network), log_ratios, "metropolis", 0.5)
    assert asked == [True, False]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
