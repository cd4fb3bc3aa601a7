"""Philox4x32-10 against known answers and Python's integers, and its uniform numbers."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
import torch

from leaps_triton.kernels import Stream, philox, uniform32, uniform64
from leaps_triton.kernels.philox import site_words

TOP = 2**32 - 1
EXTREME = [0, 1, 511, 512, 4095, 4096, 2**31 - 1, 2**31, TOP - 4096, TOP - 512, TOP]


def integer_philox(key: Sequence[int], counter: Sequence[int]) -> list[int]:
    """Salmon et al., SC11, section 3, on Python's integers."""
    (k0, k1) = key
    (c0, c1, c2, c3) = counter
    for _ in range(10):
        first = 0xD2511F53 * c0
        second = 0xCD9E8D57 * c2
        c0 = second // 2**32 ^ c1 ^ k0
        c1 = second % 2**32
        c2 = first // 2**32 ^ c3 ^ k1
        c3 = first % 2**32
        k0 = (k0 + 0x9E3779B9) % 2**32
        k1 = (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def random_integers(count: int, seed: int) -> list[int]:
    return torch.randint(2**32, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


# kat_vectors of Random123, philox4x32 with 10 rounds.
KNOWN = [
    ((0, 0), (0, 0, 0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ((TOP, TOP), (TOP, TOP, TOP, TOP), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        (0xA4093822, 0x299F31D0),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN)
def test_known_answers(
    key: tuple[int, int], counter: tuple[int, int, int, int], words: list[int]
) -> None:
    assert integer_philox(key, counter) == words
    assert [int(word) for word in philox(*key, *counter)] == words


def test_random_keys_and_counters_equal_integer_arithmetic() -> None:
    for i in range(20):
        seed, stream = random_integers(2, seed=i)
        counters = torch.tensor(random_integers(4 * 25, seed=100 + i)).view(4, 25)
        site, event, draw, walker = counters
        words = torch.stack(philox(seed, stream, site, event, draw, walker), dim=1)
        assert words.dtype == torch.int64
        expected = [integer_philox((seed, stream), c) for c in counters.T.tolist()]
        assert words.tolist() == expected


def test_words_have_32_bits() -> None:
    words = torch.stack(philox(7, Stream.JUMP, torch.arange(4000), TOP, 1, 3))
    assert words.min() >= 0 and words.max() <= TOP
    assert words.max() > 0.99 * TOP and words.min() < 0.01 * TOP


def test_counters_broadcast_together() -> None:
    site = torch.arange(3).view(3, 1, 1)
    event = torch.arange(10, 12).view(2, 1)
    walker = torch.arange(100, 104)
    words = philox(5, Stream.SWEEP, site, event, 1, walker)
    assert all(word.shape == (3, 2, 4) for word in words)
    for i in range(3):
        for e in range(2):
            for w in range(4):
                expected = integer_philox((5, Stream.SWEEP), (i, 10 + e, 1, 100 + w))
                assert [int(word[i, e, w]) for word in words] == expected


def test_integers_alone_give_scalars() -> None:
    assert all(word.shape == () for word in philox(0, 0, 1, 2, 3, 4))


@pytest.mark.parametrize("small", [torch.int8, torch.int32])
def test_counters_of_small_integer_types_do_not_overflow(small: torch.dtype) -> None:
    counter = torch.arange(100)
    expected = torch.stack(philox(1, 2, counter, counter, counter, counter))
    counter = counter.to(small)
    assert torch.equal(torch.stack(philox(1, 2, counter, counter, counter, counter)), expected)


def test_counters_are_left_alone() -> None:
    counter = torch.arange(8)
    philox(1, 2, counter, counter, counter, counter)
    assert torch.equal(counter, torch.arange(8))


def test_every_argument_matters() -> None:
    """One more in any place changes every word; a word stays by chance with probability 2⁻³²."""
    base: dict[str, Any] = {
        "seed": 3,
        "stream": 1,
        "site": 10,
        "event": 20,
        "draw": 30,
        "walker": 40,
    }
    words = torch.stack(philox(**base))
    for name, value in base.items():
        assert (torch.stack(philox(**base | {name: value + 1})) != words).all()


def test_streams_are_distinct() -> None:
    """No word comes twice among 5 × 4000.

    A repetition by chance has probability 5 %; this seed has none.
    """
    assert len(set(Stream)) == len(Stream.__members__)
    words = [
        torch.stack(philox(0, stream, torch.arange(1000), 0, 0, 0)).flatten() for stream in Stream
    ]
    assert len(torch.cat(words).unique()) == 4000 * len(Stream)


def test_uniform32_is_an_odd_multiple_of_a_power_of_two_and_exact() -> None:
    words = EXTREME + random_integers(200, seed=1)
    expected = [Fraction(2 * (word // 2**9) + 1, 2**24) for word in words]
    for dtype in (torch.float32, torch.float64):
        values = uniform32(torch.tensor(words), dtype)
        assert values.dtype == dtype
        assert [Fraction(value) for value in values.tolist()] == expected
    assert uniform32(torch.tensor(0)).item() == 2**-24
    assert uniform32(torch.tensor(TOP)).item() == 1 - 2**-24


def test_uniform64_is_an_odd_multiple_of_a_power_of_two_and_exact() -> None:
    pairs = [(high, low) for high in EXTREME for low in EXTREME]
    pairs += list(zip(random_integers(200, seed=2), random_integers(200, seed=3), strict=True))
    high, low = torch.tensor(pairs).unbind(1)
    values = uniform64(high, low)
    assert values.dtype == torch.float64
    expected = [Fraction(2 * (h * 2**20 + lo // 2**12) + 1, 2**53) for h, lo in pairs]
    assert [Fraction(value) for value in values.tolist()] == expected
    assert values.min().item() == 2**-53 and values.max().item() == 1 - 2**-53


def test_uniform_numbers_are_uniform() -> None:
    """χ² in 64 bins of 40 000 numbers; false alarms 1e-6 each way, of a fixed seed."""
    words = philox(11, Stream.JUMP, 0, torch.arange(40000), 0, 5)
    for values in (
        uniform32(words[0]).double(),
        uniform64(words[1], words[2]),
        uniform64(words[3], words[0]),
    ):
        counts = torch.bincount((values * 64).long(), minlength=64).double()
        statistic = ((counts - 625) ** 2 / 625).sum()
        p = torch.special.gammaincc(torch.tensor(31.5, dtype=torch.float64), statistic / 2)
        assert 1e-6 < p < 1 - 1e-6


@pytest.mark.parametrize("sites", [1, 3, 4, 5, 15, 16])
def test_site_words_are_four_to_a_counter(sites: int) -> None:
    walkers = torch.tensor([0, 9, 4, 2**31])
    words = site_words(8, Stream.START, 6, walkers, sites)
    expected = [
        [integer_philox((8, Stream.START), (i // 4, 6, 0, walker))[i % 4] for i in range(sites)]
        for walker in walkers.tolist()
    ]
    assert words.tolist() == expected
