"""The bits of a number as another type, which numba lacks."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["bits_of", "float32_of", "float64_of", "trailing_zeros"]


@intrinsic
def float32_of(typingctx: Any, bits: Any) -> Any:
    """Return the float32 of these bits, int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def float64_of(typingctx: Any, bits: Any) -> Any:
    """Return the float64 of these bits, int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def bits_of(typingctx: Any, number: Any) -> Any:
    """Return the bits of a float64, int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Return the place of the lowest set bit of a uint64 that is not 0, int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # What 0 gives need not be defined.
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
