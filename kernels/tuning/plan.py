"""Which variants some calls launch, found without launching or compiling anything."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch._library.custom_ops import OPDEFS

from ..compiled import resources
from ..inputs.case import Call
from ..variants import Variant, recorded

__all__ = ["launcher_of", "named", "planned"]


def named(launched: Iterable[Variant]) -> dict[str, Variant]:
    """Return variants by their names in the table of all, each once.

    One that a tuner chose is in no table, and is left out.
    """
    names = {id(variant): name for name, variant in resources.variants().items()}
    known = [variant for variant in launched if id(variant) in names]
    return {names[id(variant)]: variant for variant in known}


def launcher_of(op: Any) -> Callable[..., Any] | None:
    """Return what runs an op on a CUDA device; None for the twin."""
    # Torch offers no public way from an op to what is registered for a device.
    launcher: Callable[..., Any] | None = op._backend_fns.get("cuda")
    return launcher


@contextmanager
def _on_launchers() -> Iterator[None]:
    """Let ops that are called on a CPU run their launchers for CUDA devices."""
    before = {}
    for name, op in list(OPDEFS.items()):
        launcher = launcher_of(op)
        if name.startswith("leaps_triton::") and launcher is not None:
            before[op] = op._init_fn
            op._init_fn = launcher
    try:
        yield
    finally:
        for op, function in before.items():
            op._init_fn = function


def planned(
    calls: Iterable[Call] = (), functions: Iterable[Callable[[], object]] = ()
) -> dict[str, Variant]:
    """Return the variants that calls would launch on a CUDA device, by name.

    The launchers run on the tensors at hand, which lie on a CPU, and launch nothing: what they
    return is memory as it was found, which no loop may wait for.

    Args:
        calls: Ops with their arguments.
        functions: Call the public functions of the ops, without gradients.
    """
    with recorded(dry=True) as seen:
        for op, given in calls:
            launcher = launcher_of(op)
            if launcher is not None:
                launcher(**given)
        with _on_launchers():
            for function in functions:
                function()
    return named(seen)
