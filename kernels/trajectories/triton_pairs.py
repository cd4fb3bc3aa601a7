"""Normal numbers of the Triton kernel, as :mod:`..normal_numbers.reference` makes them."""

import triton
import triton.language as tl

__all__ = ["pair"]


@triton.jit
def sine(x):
    """Return ``sin x``, float64, for ``|x| ≤ π/4``."""
    z = x * x
    series = z * 1.58969099521155010221e-10 - 2.50507602534068634195e-08
    series = series * z + 2.75573137070700676789e-06
    series = series * z - 1.98412698298579493134e-04
    series = series * z + 8.33333333332248946124e-03
    series = series * z - 1.66666666666666324348e-01
    return x + x * (z * series)


@triton.jit
def cosine(x):
    """Return ``cos x``, float64, for ``|x| ≤ π/4``."""
    z = x * x
    series = z * -1.13596475577881948265e-11 + 2.08757232129817482790e-09
    series = series * z - 2.75573143513906633035e-07
    series = series * z + 2.48015872894767294178e-05
    series = series * z - 1.38888888888741095749e-03
    series = series * z + 4.16666666666666019037e-02
    return 1.0 - (0.5 * z - z * z * series)


@triton.jit
def pair(radial, angular):
    """Return the two normal numbers of two words in uint32, float64."""
    # 32 bits and a half: between 0 and 1, and neither of them.
    uniform = (radial.to(tl.int64).to(tl.float64) + 0.5) * 2.3283064365386963e-10
    radius = tl.sqrt(-2.0 * tl.log(uniform))
    # The nearest quarter turn, and what remains: between -1/8 and 1/8 of a turn.
    turned = angular.to(tl.int64) + 536870912
    quarter = (turned >> 30) & 3
    rest = (turned & 1073741823) - 536870912
    angle = (rest.to(tl.float64) + 0.5) * 1.4629180792671596e-09
    along = cosine(angle)
    across = sine(angle)
    # Turns by one quarter: (c, s), (-s, c), (-c, -s), (s, -c).
    odd = (quarter & 1) == 1
    x = tl.where(odd, across, along)
    y = tl.where(odd, along, across)
    x = tl.where((quarter == 1) | (quarter == 2), -x, x)
    y = tl.where(quarter >= 2, -y, y)
    return radius * x, radius * y
