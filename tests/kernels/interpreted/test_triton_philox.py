"""Device functions of the kernels: Philox, uniform numbers and the exponential."""

import pytest
import torch

from kernel_tools import DEVICE, require_kernels, silent
from leaps_triton.kernels import Stream, uniform32, uniform64
from leaps_triton.kernels.philox import philox as twin

require_kernels()
import triton.language as tl  # noqa: E402

from leaps_triton.kernels import device  # noqa: E402

pytestmark = silent

philox = device.philox
single = device.uniform32
double = device.uniform64
power = device.exponential


@device.kernel
def words_kernel(
    p_counter,
    p_words,
    p_single,
    p_double,
    seed: tl.int64,
    STREAM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    o = tl.arange(0, BLOCK)
    site = tl.load(p_counter + o)
    event = tl.load(p_counter + BLOCK + o)
    draw = tl.load(p_counter + 2 * BLOCK + o)
    walker = tl.load(p_counter + 3 * BLOCK + o)
    word0, word1, word2, word3 = philox(seed, STREAM, site, event, draw, walker)
    tl.store(p_words + o, word0.to(tl.int64))
    tl.store(p_words + BLOCK + o, word1.to(tl.int64))
    tl.store(p_words + 2 * BLOCK + o, word2.to(tl.int64))
    tl.store(p_words + 3 * BLOCK + o, word3.to(tl.int64))
    tl.store(p_single + o, single(word0))
    tl.store(p_double + o, double(word1, word2))


@device.kernel
def power_kernel(p_x, p_power, BLOCK: tl.constexpr):
    o = tl.arange(0, BLOCK)
    tl.store(p_power + o, power(tl.load(p_x + o)))


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("stream", list(Stream))
def test_words_and_uniform_numbers_equal_the_twin(seed: int, stream: Stream) -> None:
    counter = torch.randint(2**32, (4, 64), generator=torch.Generator().manual_seed(seed + stream))
    counter[:, :5] = torch.tensor([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
    expected = torch.stack(twin(seed, stream, *counter))
    words = torch.empty(4, 64, dtype=torch.int64, device=DEVICE)
    floats = torch.empty(64, device=DEVICE), torch.empty(64, dtype=torch.float64, device=DEVICE)
    words_kernel[1,](counter.to(DEVICE), words, *floats, seed, STREAM=int(stream), BLOCK=64)
    assert torch.equal(words.cpu(), expected)
    assert torch.equal(floats[0].cpu(), uniform32(expected[0]))
    assert torch.equal(floats[1].cpu(), uniform64(expected[1], expected[2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_exponential_is_good_to_one_unit(dtype: torch.dtype) -> None:
    x = torch.cat([torch.linspace(-80.0, 85.0, 3000), torch.linspace(-1.0, 1.0, 1096)]).to(dtype)
    found = torch.empty_like(x, device=DEVICE)
    power_kernel[1,](x.to(DEVICE), found, BLOCK=4096)
    exact = torch.exp(x.double())
    assert ((found.cpu().double() - exact).abs() / exact).max() <= torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_exponential_at_its_limits(dtype: torch.dtype) -> None:
    x = torch.tensor(
        [0.0, -0.0, -1e4, -float("inf"), 1e4, float("inf"), float("nan"), 1.0], dtype=dtype
    )
    found = torch.empty_like(x, device=DEVICE)
    power_kernel[1,](x.to(DEVICE), found, BLOCK=8)
    torch.testing.assert_close(found.cpu(), torch.exp(x), rtol=1e-7, atol=0.0, equal_nan=True)
