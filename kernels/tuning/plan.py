"""Which variants some calls launch, found without launching or compiling anything."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch._library.custom_ops import OPDEFS

from ..compiled import resources
from ..inputs.case import Call
from ..variants import Variant, recorded
from .cache import key_of

__all__ = ["launcher_of", "named", "planned"]


def named(launched: Iterable[Variant]) -> dict[str, Variant]:
    """Return variants by their names in the table of all, each once.

    One that is in no table is named by all that it is compiled for.
    """
    names = {id(variant): name for name, variant in resources.variants().items()}
    found = {}
    for variant in launched:
        found[names.get(id(variant)) or key_of(variant)] = variant
    return found


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
