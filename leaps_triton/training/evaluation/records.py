"""What evaluations enter into a history, and what they log."""

import logging
from collections.abc import Sequence

from ...exact.known import known
from ...paths.base import Path
from ...samplers.ensemble import WeightedEnsemble
from ..history import TrainingHistory
from .held_out import Judgement, averaged

__all__ = ["enter_judgement", "enter_walkers", "exact_log_z", "live"]

_log = logging.getLogger("leaps_triton")

_PULL = 5.0
"""Standard errors of the mean of κ from which on the data are doubted."""


def exact_log_z(path: Path) -> list[float]:
    """Return the exact log Z of a path's target alone; nothing where it is not known in seconds."""
    found = known(path.model, ())
    if "log_z" not in found:
        return []
    return [found["log_z"]]


def enter_walkers(history: TrainingHistory, step: int, ensemble: WeightedEnsemble) -> None:
    """Enter what fresh weighted walkers say.

    Args:
        history: what is added to.
        step: steps that were made.
        ensemble: the walkers.
    """
    # Early in training few walkers count, which is no news: without a warning.
    log_z_error = ensemble.diagnostics["log_z_error"]
    history.evaluation_step.append(step)
    history.evaluation_ess.append(ensemble.ess)
    history.evaluation_log_weight_variance.append(ensemble.log_weight_variance)
    history.evaluation_log_z.append(ensemble.log_z)
    history.evaluation_log_z_error.append(log_z_error)
    if ensemble.variance_trace is not None:
        history.trace_t = ensemble.times.tolist()
        history.evaluation_variance_trace.append(ensemble.variance_trace.tolist())
    _log.info(
        "step %d: ESS %.3f, log Z %.4f ± %.4f", step, ensemble.ess, ensemble.log_z, log_z_error
    )


def enter_judgement(history: TrainingHistory, step: int, of_all: Sequence[Judgement]) -> None:
    """Enter what held-out samples say, and warn if they are none of ``ρ_t``.

    Args:
        history: what is added to.
        step: steps that were made.
        of_all: of the transport as it is, on the samples of every model.
    """
    judged = averaged(of_all)
    history.held_out_step.append(step)
    history.held_out_t = judged.t
    history.held_out_variance.append(judged.variance)
    history.held_out_integral.append(judged.integral)
    history.held_out_corrector.append(judged.corrector)
    history.held_out_corrector_error.append(judged.corrector_error)
    if len(of_all) > 1:
        history.held_out_members.append([each.integral for each in of_all])
    _log.info("step %d: ∫ Var[ξ_t] dt %.4g on held-out samples", step, judged.integral)
    pull = max(each.pull for each in of_all)
    if pull > _PULL:
        _log.warning(
            "step %d: the mean of κ on held-out samples is %.1f standard errors from 0, where it "
            "vanishes for samples of ρ_t, whatever the network: they are not in equilibrium; "
            "choose another refresh, or more bins",
            step,
            pull,
        )


def live(history: TrainingHistory) -> dict[str, str]:
    """Return what the last evaluations found, ready to be shown; nothing before any."""
    found: dict[str, str] = {}
    if history.test_residual:
        found["test residual"] = f"{history.test_residual[-1]:.3g}"
    if history.held_out_integral:
        found["∫v"] = f"{history.held_out_integral[-1]:.3g}"
    if history.evaluation_ess:
        found["ESS"] = f"{history.evaluation_ess[-1]:.3g}"
    return found
