"""Philox4x32-10: the one random number generator of the library.

Every random number is a pure function of ``(seed, stream, site, event, draw, walker)``: the key is
``(seed, stream)``, the counter ``(site, event, draw, walker)``. Results therefore do not depend on blocks,
chunking, the number of processes or the device.

References
    Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC11 (2011).
"""

from enum import IntEnum

__all__ = ["Stream"]


class Stream(IntEnum):
    """Second word of the Philox key: one number a purpose, so that no two purposes share random numbers.

    | stream   | site           | event           | draw | walker       | words                                     |
    |----------|----------------|-----------------|------|--------------|-------------------------------------------|
    | START    | site // 4      | 0               | 0    | walker       | word ``site % 4``: start value            |
    | JUMP     | 0              | event           | 0    | walker       | 0, 1: holding time; 2, 3: which move      |
    |          |                | event · n + i   |      |              | the same, of the i-th of n domains        |
    | SWEEP    | site // 4      | sweep           | 0, 1 | walker       | word ``site % 4``: new value; acceptance  |
    | DISORDER | site           | 0               | bond | 0            | 0, 1 (and 2, 3): one coupling             |
    | TRAIN    | element of t   | step            | use  | 0            | training: times, batches, derived seeds   |
    | RESAMPLE | slot           | boundary        | 0    | block's 1st  | 0, 1: ancestor; 2, 3: order of the slots  |
    | LEAP     | site           | event           | 0    | walker       | 0, 1: whether it moves; 2, 3: by which k  |
    | EXACT    | site           | 0               | 0    | sample       | 0, 1: state of a site, layer or all sites |
    | CLUSTER  | bond // 4      | sweep           | 0    | walker       | word ``bond % 4``: whether it joins, where|
    |          |                |                 |      |              | ``bond = d N + i``                        |
    |          | site // 4      | sweep           | 1    | walker       | word ``site % 4``: new state of the       |
    |          |                |                 |      |              | cluster of which it is the first site     |
    |          | 0              | sweep           | 2    | walker, or a | 0: site; 1: shift; 2: first state;        |
    |          |                |                 |      | pair's first | 3: acceptance                             |
    | EXCHANGE | temperature    | exchange        | 0    | walker       | 0, 1: acceptance, with the next one       |
    | KINETIC  | 0              | step            | 0    | 0            | 0: seed of the step's JUMP numbers        |
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
