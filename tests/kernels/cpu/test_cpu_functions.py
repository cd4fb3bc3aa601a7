"""Words and functions of the CPU kernels: those of the twins, bit for bit; the cache on disk."""

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from leaps_triton.kernels.functions import cpu, reference
from leaps_triton.kernels.native import compiling, words
from leaps_triton.kernels.native.threads import over_walkers
from leaps_triton.kernels.philox import philox, site_words, uniform32, uniform64


@compiling.inlined
def exponentials(x, out):
    for i in range(len(x)):
        out[i] = cpu.exponential(x[i])


@compiling.inlined
def logarithms(x, out):
    for i in range(len(x)):
        out[i] = cpu.logarithm(x[i])


@compiling.inlined
def uniforms(x, narrow, wide):
    for i in range(len(x)):
        narrow[i] = cpu.uniform32(x[i])
        wide[i] = cpu.uniform64(np.uint64(x[i]), np.uint64(x[len(x) - 1 - i]))


@compiling.inlined
def words_of(site, out):
    for i in range(len(site)):
        out[i] = words.four(2**32 - 3, 16, site[i], 2**31 + 1, 2, 2**33 + 5)


def test_words_of_sites_are_those_of_philox() -> None:
    walkers = torch.tensor([2**33 + 5, 0, 7])
    for sites in (1, 3, 4, 5, 18, 64, 130):
        number = torch.arange(sites)
        made = philox(2**32 - 3, 2, number // 4, 2**31 + 1, 1, walkers.unsqueeze(1))
        expected = torch.stack(made).gather(0, (number % 4).expand(1, 3, sites))[0]
        found = words.site_words(2**32 - 3, 2, 2**31 + 1, walkers, sites, 1)
        assert torch.equal(found, expected)
        assert torch.equal(found, site_words(2**32 - 3, 2, 2**31 + 1, walkers, sites, 1))
        pairs = np.empty((sites + 3) // 4 * 2, np.uint64)
        words.fill(pairs, 0, 2**32 - 3, 2, 2**31 + 1, 1, 2**33 + 5)
        assert pairs.view(np.uint32)[:sites].tolist() == expected[0].tolist()
        # From any group on.
        later = np.empty_like(pairs)
        words.fill(later, -1, 2**32 - 3, 2, 2**31 + 1, 1, 2**33 + 5)
        assert later[2:].tolist() == pairs[:-2].tolist()


def test_four_words_are_those_of_philox() -> None:
    sites = np.array([0, 1, 7, 2**31 + 3], np.int64)
    found = np.empty((4, 4), np.uint64)
    words_of(sites, found)
    expected = philox(2**32 - 3, 16, torch.from_numpy(sites), 2**31 + 1, 2, 2**33 + 5)
    assert found.T.tolist() == [row.tolist() for row in expected]


def test_exponential_is_the_twins_wherever_a_number_stands() -> None:
    ordinary = torch.randn(100_003, generator=torch.Generator().manual_seed(0)) * 30
    edges = torch.tensor([0.0, -0.0, 88.8, 89.0, 1e30, -87.4, -103.9, -105.0, -1e30, 1e-30])
    special = torch.tensor([math.inf, -math.inf, math.nan])
    x = torch.cat([ordinary, edges, special])
    found = np.empty(len(x), np.float32)
    exponentials(x.numpy(), found)
    twin = reference.exponential(x)
    assert torch.equal(twin.nan_to_num(), torch.from_numpy(found).nan_to_num())
    assert torch.equal(twin[5:9], reference.exponential(x[5:9]))
    assert found[-3] == math.inf and found[-2] == 0.0 and math.isnan(found[-1])
    # Two units in the last place, where the result is a normal number.
    exact = x.double().exp()
    normal = (x > -87) & (x < 88)
    error = (twin.double() - exact)[normal].abs() / exact[normal]
    assert float(error.max()) < 2 * 2.0**-23


def test_logarithm_is_the_twins() -> None:
    bits = torch.randint(0, 2**52, (100_003,), generator=torch.Generator().manual_seed(1))
    u = (bits.double() + 0.5) * 2.0**-52
    edges = [2.0**-53, 1 - 2.0**-53, 1.0, 0.5, math.sqrt(0.5), 1e300, 1e-300]
    x = torch.cat([u, torch.tensor(edges, dtype=torch.float64)])
    found = np.empty(len(x))
    logarithms(x.numpy(), found)
    twin = reference.logarithm(x)
    assert torch.equal(twin, torch.from_numpy(found))
    torch.testing.assert_close(twin, x.log(), rtol=2.0**-51, atol=0.0)


def test_uniform_numbers_are_the_twins() -> None:
    x = np.array([0, 1, 511, 512, 2**31, 2**32 - 1], np.uint32)
    narrow = np.empty(len(x), np.float32)
    wide = np.empty(len(x))
    uniforms(x, narrow, wide)
    given = torch.from_numpy(x.astype(np.int64))
    assert torch.equal(torch.from_numpy(narrow), uniform32(given))
    assert torch.equal(torch.from_numpy(wide), uniform64(given, given.flip(0)))


def test_threads_share_out_all_walkers() -> None:
    before = torch.get_num_threads()
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        seen = np.zeros(7, np.int64)

        def work(first: int, end: int, seen: np.ndarray = seen) -> None:
            seen[first:end] += 1

        over_walkers(work, 7, 10**6)
        assert seen.tolist() == [1] * 7
    torch.set_num_threads(before)
    over_walkers(work, 0, 10**6)


PROGRAM = """
import numpy as np
from leaps_triton.kernels.native import words
pairs = np.empty(4, np.uint64)
words.fill(pairs, 0, 1, 2, 3, 0, 5)
print(pairs.view(np.uint32).tolist(), words.fill.stats.cache_hits)
"""


def run(cache: Path) -> str:
    environment = os.environ | {"LEAPS_TRITON_CACHE": str(cache)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_a_cache_that_is_broken_or_closed_only_costs_time(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    # Two that compile at the same time do not disturb one another.
    with ThreadPoolExecutor(2) as pool:
        first, beside = pool.map(run, [cache, cache])
    assert first.split("]")[0] == beside.split("]")[0]
    # Numba tells of a hit by signature.
    assert "Counter()" in first + beside
    second = run(cache)
    assert "uint64" in second
    files = [file for file in cache.rglob("*") if file.is_file()]
    for file in files:
        file.write_bytes(file.read_bytes()[:30])
    # What is broken is made anew.
    words_only = first.split("]")[0]
    assert run(cache).split("]")[0] == words_only
    closed = tmp_path / "file"
    closed.write_text("no folder")
    assert run(closed).split("]")[0] == words_only
