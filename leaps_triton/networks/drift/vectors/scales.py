"""The length in which drifts of vectors measure their inputs."""

from typing import Any

from ....kernels.checks import as_number, is_positive

__all__ = ["scale_of"]


def scale_of(model: Any, scale: float | None) -> float:
    """Return a length on which configurations are about 1.

    Args:
        model: may say by an ``extent`` how large its coordinates are.
        scale: what the user named; None to ask the model.

    Raises:
        ValueError: it is not above 0.
    """
    if scale is None:
        # Where coordinates reach ±2, layers of unit weights bend a few times.
        return 0.5 * float(getattr(model, "extent", 2.0))
    return as_number("scale", scale, "None or finite and > 0", is_positive)
