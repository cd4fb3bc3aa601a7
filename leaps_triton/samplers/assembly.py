"""Which parts of a sampler go together, and what is taken where one is left out."""

from typing import Any

from ..integrators.base import Integrator
from ..integrators.flows.map_step import MapStep
from ..integrators.flows.path_ratio import PathRatio
from ..integrators.jump import Jump
from ..integrators.transport import AnyTransport, Transport, as_transport, kind_of
from ..mcmc.base import BaseMove
from ..paths.base import Path, changes_fields, velocity_of

__all__ = [
    "check_fields",
    "check_kind",
    "check_moved",
    "check_weighted",
    "default_integrator",
    "described",
    "swept_model",
]


def described(sampler: Any) -> str:
    """Return a sampler in a line: its model, what moves the walkers, and its blocks."""
    parts = [repr(sampler.path.model)]
    if sampler.transport is not None:
        parts.append(as_transport(sampler.transport).name)
    integrator = sampler.integrator
    parts.append(f"{type(integrator).__name__}(intervals={integrator.intervals})")
    if sampler.mcmc is not None:
        parts.append(repr(sampler.mcmc))
    if sampler.resample_below:
        parts.append(f"resample_below={sampler.resample_below:g}")
    parts += [f"block={sampler.block}", f"device={sampler.device}"]
    return f"{type(sampler).__name__}({', '.join(parts)})"


def default_integrator(path: Path, transport: Transport | None) -> Integrator:
    """Return the integrator of a sampler that is told none."""
    if transport is None and velocity_of(path) is not None:
        return PathRatio()
    if kind_of(transport) == "drift" or path.model.dtype.is_floating_point:
        return MapStep()
    return Jump()


def check_moved(
    path: Path, transport: Transport | None, integrator: Integrator, move: BaseMove | None
) -> None:
    """Raise a ValueError unless something moves the walkers."""
    if transport is None and move is None and not integrator.moves_alone:
        raise ValueError(f"give {_movers(path)}; with none of them the walkers would never move")


def _movers(path: Path) -> str:
    """Return what may move the walkers of a path."""
    if velocity_of(path) is not None:
        return (
            "integrator=lt.PathRatio(), or lt.RungeKutta() with a bias, which follow the velocity "
            "of the path (MapStep cannot: the velocity has no proven slope), or mcmc=lt.HMC(), "
            "which leaves the velocity out"
        )
    if path.model.dtype.is_floating_point:
        return "a drift, mcmc=lt.HMC(), or integrator=lt.PathRatio()"
    return "a transport, a move (mcmc=), Jump(reversible=) or TauLeap(floor=)"


def check_kind(answers: AnyTransport, integrator: Integrator, path: Path) -> None:
    """Raise a ValueError for a drift with an integrator of rates, and the other way round."""
    if answers.given is None or answers.kind == integrator.follows:
        return
    name = type(integrator).__name__
    if answers.kind == "drift":
        raise ValueError(
            f"{answers.name} is a drift, which {name} cannot follow: it makes jumps at rates; take "
            f"MapStep or PathRatio"
        )
    if path.model.dtype.is_floating_point:
        raise ValueError(
            f"{answers.name} does not say that it is a drift, which {name} follows; wrap it by "
            f"lt.networks.ForeignDrift(model, drift), or give it kind = 'drift' and let it return "
            f"its divergence too"
        )
    raise ValueError(
        f"{answers.name} gives rates of jumps, and {name} follows a drift; take Jump or TauLeap, "
        f"or a drift such as HollowDrift"
    )


def swept_model(path: Any) -> Any:
    """Return the model from which moves choose what their user left out."""
    if changes_fields(path):
        # Those on the way have fields at every site, as the target may not.
        return path.model_at(0.5)
    return path.model


def check_fields(
    path: Path, transport: Transport | None, integrator: Integrator, move: BaseMove | None
) -> None:
    """Raise a ValueError for what cannot follow a path on which fields change."""
    if not changes_fields(path):
        return
    alone = transport is None and not integrator.moves_alone
    if not alone or move is None or not move.follows_fields:
        raise ValueError(
            f"from {path.start!r} fields change on the way, which only sweeps follow; take "
            f"transport=None and mcmc=HeatBath() or Metropolis(), or another start"
        )


def check_weighted(move: BaseMove | None) -> None:
    """Raise a ValueError for a move that cannot act on weighted walkers."""
    if move is not None and move.unweighted:
        name = type(move.own).__name__
        raise ValueError(f"{name} cannot be the move of a sampler: {move.unweighted}; run it alone")
