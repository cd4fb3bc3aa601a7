"""What is told of a model that was learned: parameters, likelihood, log Z."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import leaps_triton as lt

__all__ = ["load_sampler", "measured", "render"]


_UPDATES = 2**28
"""Updates of the transfer matrix that take seconds."""


def load_sampler(file: Path, device: torch.device) -> lt.Sampler:
    """Return the sampler of a checkpoint.

    Args:
        file: the checkpoint.
        device: where its network is to be.

    Raises:
        ValueError: it holds a learned model.
    """
    found = lt.load(file, device)
    if isinstance(found, lt.learning.Learned):
        raise ValueError(
            f"{file.name} holds a learned model and no sampler; lt.load({file.name!r}).model is a "
            f"model for lt.Sampler and lt.run_chain in Python"
        )
    return found


def measured(
    learned: Any, data: Tensor | None = None, held_out: Tensor | None = None
) -> dict[str, Any]:
    """Return what was learned as plain numbers.

    Args:
        learned: what :class:`leaps_triton.Learner` returns.
        data: configurations that it was learned from; None where they are not at hand.
        held_out: those that no step saw.

    Returns:
        ``parameters``, ``steps``, ``converged``, ``rms_coupling`` of β times the couplings,
        ``kept``; what the last step recorded; ``log_z_exact`` or None; of witnesses ``log_z``,
        ``log_z_error``, ``ess``, ``witnesses`` and ``resamplings``; ``log_likelihood`` per row of
        data and ``log_likelihood_held_out``, by the exact log Z or that of the witnesses, with
        ``log_likelihood_error``.
    """
    family = learned.family
    coupled = learned.theta[family.penalised]
    history = learned.history
    found: dict[str, Any] = {
        "parameters": dict(family.names),
        "steps": max([len(values) for values in history.values.values()], default=0),
        "converged": history.converged,
        "rms_coupling": None,
        "kept": int(learned.support().sum()),
        "last": {name: values[-1] for name, values in history.values.items()},
        "held_out": next(reversed(history.held_out), None),
        "log_z_exact": _exact_log_z(learned.model),
    }
    if len(coupled):
        found["rms_coupling"] = float(coupled.square().mean().sqrt())
    log_z = found["log_z_exact"]
    error = 0.0
    witnesses = learned.witnesses
    if witnesses is not None:
        found["witnesses"] = len(witnesses.log_weights)
        found["log_z"] = witnesses.log_z
        found["log_z_error"] = witnesses.log_z_error
        found["ess"] = witnesses.ess
        found["resamplings"] = int(witnesses.resamplings.sum())
        if log_z is None:
            log_z = witnesses.log_z
            error = witnesses.log_z_error
    if log_z is not None:
        found["log_likelihood_error"] = error
        for name, rows in {"log_likelihood": data, "log_likelihood_held_out": held_out}.items():
            if rows is not None and len(rows):
                found[name] = -float(family.u(rows, learned.theta).mean()) - log_z
    return found


def _exact_log_z(model: Any) -> float | None:
    """Return log Z where it is known and takes seconds."""
    # Fields have no list of states, and networks no temperature that routes know of.
    try:
        return float(lt.exact.log_z(model, updates=_UPDATES))
    except ValueError:
        return None


_LIKELIHOODS = {
    "log_likelihood": "log-likelihood",
    "log_likelihood_held_out": "of held-out rows",
}


def render(table: dict[str, Any]) -> str:
    """Return what :func:`measured` found as lines.

    Args:
        table: that.
    """
    parts = table["parameters"].items()
    counts = [f"{count} {name.replace('_', ' ')}" for name, count in parts if count]
    steps = str(table["steps"])
    if table["converged"]:
        steps += ", converged"
    lines = [("parameters", ", ".join(counts)), ("steps", steps)]
    if table["rms_coupling"] is not None:
        lines.append(("RMS of β J", f"{table['rms_coupling']:.6g}, {table['kept']} not 0"))
    for name, value in table["last"].items():
        lines.append((name.replace("_", " "), f"{value:.6g}"))
    if table["held_out"] is not None:
        lines.append(("loss on held-out", f"{table['held_out']:.6g}"))
    for name, label in _LIKELIHOODS.items():
        if name in table:
            text = f"{table[name]:.6f}"
            if table["log_likelihood_error"]:
                text = str(lt.Estimate(table[name], table["log_likelihood_error"]))
            lines.append((label, f"{text} per row"))
    lines.extend(_log_z_lines(table))
    return "\n".join(["", *(f"  {name:18}{text}" for name, text in lines), ""])


def _log_z_lines(table: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of log Z."""
    exact = table["log_z_exact"]
    if "witnesses" not in table:
        if exact is None:
            return []
        return [("log Z", f"{exact:.6f}, exact")]
    log_z = lt.Estimate(table["log_z"], table["log_z_error"])
    text = f"{log_z}"
    if exact is not None:
        text += f" (exact {exact:.5f}, {log_z.pull(exact):+.1f}σ)"
    ess = f"{table['ess']:.3f} of {table['witnesses']} witnesses"
    if table["resamplings"]:
        ess += f", {table['resamplings']} resamplings of blocks"
    return [("log Z", text), ("ESS", ess)]
