"""The one random number generator of the library, Philox4x32-10.

Every random number is a pure function of ``(seed, stream, site, event, draw, walker)``: the key is
``(seed, stream)``, the counter ``(site, event, draw, walker)``. Results therefore do not depend on
blocks, chunking, the number of processes or the device. The kernels' own form of what stands here
is in :mod:`.device`, word for word the same.

References:
    Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC11 (2011).
"""

from enum import IntEnum
from typing import TypeAlias

import torch
from torch import Tensor

from .registration import runs_loops

__all__ = ["Stream", "philox", "site_words", "uniform32", "uniform64"]

Words: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]

# Rounds and constants of Philox4x32-10, from the paper.
ROUNDS = 10
WORD = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


class Stream(IntEnum):
    """Number the purposes of random numbers: the second word of the Philox key.

    No two purposes share random numbers::

        stream   | site         | event         | draw | walker       | words
        ---------|--------------|---------------|------|--------------|--------------------------
        START    | site // 4    | 0             | 0    | walker       | word ``site % 4``: start
                 |              |               |      |              | value; two words make two
                 |              |               |      |              | normal numbers
                 | site         | 0             | 0    | walker       | 0, 1: magnitude of a Laplace
                 |              |               |      |              | number; 2: its sign
                 | site         | 0             | 0    | start        | 0, 1: mean of a unit, where
                 |              |               |      |              | mean-field equations start
        JUMP     | 0            | event         | 0    | walker       | 0, 1: holding time; 2, 3:
                 |              |               |      |              | which move
                 |              | event · n + i |      |              | the same, of the i-th of n
                 |              |               |      |              | domains
        SWEEP    | site // 4    | sweep         | 0, 1 | walker       | word ``site % 4``: new
                 |              |               |      |              | value; acceptance
        DISORDER | site         | 0             | bond | 0            | 0, 1 (and 2, 3): one
                 |              |               |      |              | coupling
        TRAIN    | element of t | step          | use  | 0            | training: times, batches,
                 |              |               |      |              | derived seeds
                 | purpose      | update        | 200  | 0            | learning: 0: derived seed;
                 |              |               |      |              | from such seeds the next two
                 | slot         | update        | 0    | 0            | 0: row of the data
                 | walker       | update        | site | 0            | 0, 1: state after noise
        RESAMPLE | slot         | boundary, or  | 0    | block's 1st  | 0, 1: ancestor; 2, 3: order
                 |              | update        |      |              | of the slots
        LEAP     | site         | event         | 0    | walker       | 0, 1: whether it moves; 2,
                 |              |               |      |              | 3: by which k
        EXACT    | site         | 0             | 0    | sample       | 0, 1: state of a site, layer
                 |              |               |      |              | or all sites
                 | 0            | 0             | 1    | sample       | 0, 1: mode of a density,
                 |              |               |      |              | place; 2: side
                 | site         | attempt       | 1    | sample       | 0, 1: bin of a well; 2:
                 |              |               |      |              | place in it; 3: acceptance
                 | site // 4    | 0             | 2    | sample       | all: normal numbers of
                 |              |               |      |              | coordinates
                 | site // 4    | 0             | 3    | direction    | all: directions in which
                 |              |               |      |              | distances are taken
        CLUSTER  | bond // 4    | sweep         | 0    | walker       | word ``bond % 4``: whether
                 |              |               |      |              | it joins, where ``bond = d N
                 |              |               |      |              | + i``
                 | site // 4    | sweep         | 1    | walker       | word ``site % 4``: new state
                 |              |               |      |              | of the cluster of which it
                 |              |               |      |              | is the first site
                 | 0            | sweep         | 2    | walker, or a | 0: site; 1: shift; 2: first
                 |              |               |      | pair's first | state; 3: acceptance
        EXCHANGE | temperature  | exchange      | 0    | walker       | 0, 1: acceptance, with the
                 |              |               |      |              | next one
        KINETIC  | 0            | step          | 0    | 0            | 0: seed of the step's JUMP
                 |              |               |      |              | numbers
        PACKED   | half site o  | 2 sweep + c   | 0 … 3| walker // 32 | bits 16 … 31 of a decision
                 |              |               |      |              | of colour c
                 | o % 128      | 2 sweep       | 4 … 7| walker // 32 | bits 0 … 15, shared
        PACKED_… | word of a    | the same      | 0 … 7| walker       | the same, of 32 columns
        ROWS     | half         |               |      |              |
        BACKWARD | move         | event         | 0    | walker       | 0, 1: clock of a move that
                 |              |               |      |              | is made backwards in time
        FIELD_…  | mode // 4    | sweep         | 0    | walker       | two words make two normal
        MOMENTA  |              |               |      |              | numbers, the momenta
        FIELD_…  | 0            | sweep         | 0    | walker       | 0, 1: acceptance of a
        ACCEPT   |              |               |      |              | trajectory
        FIELD_…  | site // 4    | step          | 0    | walker       | all: noise of a Gaussian
        NOISE    |              |               |      |              | step, by Box and Muller
                 |              | 0             | 1    | walker       | all: momenta at the start
    """

    START = 0
    JUMP = 1
    SWEEP = 2
    DISORDER = 3
    TRAIN = 4
    RESAMPLE = 5
    LEAP = 6
    EXACT = 7
    CLUSTER = 16
    EXCHANGE = 17
    KINETIC = 18
    PACKED = 19
    PACKED_ROWS = 20
    BACKWARD = 21
    FIELD_MOMENTA = 22
    FIELD_ACCEPT = 23
    FIELD_NOISE = 24


def philox(
    seed: int,
    stream: int,
    site: Tensor | int,
    event: Tensor | int,
    draw: Tensor | int,
    walker: Tensor | int,
    device: torch.device | None = None,
) -> Words:
    """Return Philox4x32-10 of key ``(seed, stream)`` and counter ``(site, event, draw, walker)``.

    Args:
        seed: First word of the key.
        stream: Second word of the key, see :class:`Stream`.
        site: First word of the counter; all four are broadcast together.
        event: Second word of the counter.
        draw: Third word of the counter.
        walker: Fourth word of the counter.
        device: Where numbers of Python are put; None for the CPU.

    Returns:
        Four words in [0, 2³²) as int64; the lower 32 bits of each argument count.
    """
    counter = [_lower(c, device) for c in (site, event, draw, walker)]
    key = [int(seed) & WORD, int(stream) & WORD]
    for _ in range(ROUNDS):
        # Products wrap modulo 2**64, so the masked arithmetic shift is the exact upper half.
        first = counter[0] * MULTIPLIERS[0]
        second = counter[2] * MULTIPLIERS[1]
        counter = [
            # Upper half of one product, exclusive or the other word and the key; its lower half.
            (second >> 32 & WORD) ^ counter[1] ^ key[0],
            second & WORD,
            (first >> 32 & WORD) ^ counter[3] ^ key[1],
            first & WORD,
        ]
        # A Weyl sequence gives every round a key of its own.
        key = [(k + w) & WORD for k, w in zip(key, WEYL, strict=True)]
    words = [_on_device(c, device) for c in counter]
    c0, c1, c2, c3 = torch.broadcast_tensors(*words)
    return c0, c1, c2, c3


def _lower(counter: Tensor | int, device: torch.device | None) -> Tensor | int:
    """Return the lower 32 bits, in int64 since torch computes little in uint32."""
    if isinstance(counter, Tensor):
        return counter.to(device=device, dtype=torch.int64) & WORD
    # A number of Python stays on the host: sent to a GPU, it would make both wait.
    return int(counter) & WORD


def _on_device(word: Tensor | int, device: torch.device | None) -> Tensor:
    """Return a word as a tensor; one of the host is written by the device, not sent to it."""
    if isinstance(word, Tensor):
        return word
    return torch.full((), word, dtype=torch.int64, device=device)


def uniform32(word: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Make one word a uniform number in (0, 1).

    An odd multiple of 2⁻²⁴, exact in float32, never 0 or 1.
    """
    # 23 bits and a half are 24 bits: float32 holds them exactly.
    return ((word >> 9).to(dtype) + 0.5) * 2.0**-23


def uniform64(high: Tensor, low: Tensor) -> Tensor:
    """Make two words a uniform float64 in (0, 1): an odd multiple of 2⁻⁵³, never 0 or 1."""
    # 32 bits and 20 bits and a half are 53 bits: float64 holds them exactly.
    return ((high << 20 | low >> 12).to(torch.float64) + 0.5) * 2.0**-52


def site_words(
    seed: int, stream: int, event: int, walkers: Tensor, sites: int, draw: int = 0
) -> Tensor:
    """Return one word per site, ``(walkers, sites)``.

    Word ``i % 4`` of counter ``(i // 4, event, draw, walker)``.
    """
    if runs_loops(walkers):
        # Imported late, as numba is.
        from .native import words as loops

        return loops.site_words(seed, stream, event, walkers, sites, draw)
    # One counter gives four words, so that four sites share one; the last may have words left over.
    group = torch.arange((sites + 3) // 4, device=walkers.device)
    words = philox(seed, stream, group, event, draw, walkers.unsqueeze(1), walkers.device)
    return torch.stack(words, dim=-1).flatten(1)[:, :sites]
