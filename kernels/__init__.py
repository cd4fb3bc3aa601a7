"""Public ops: each checks its inputs once, then runs a Triton kernel (CUDA devices) or its twin of :mod:`.reference`.

Import this package as ``leaps_triton.kernels``. The top-level name ``kernels`` belongs to another package.

Conventions shared by all ops: ``configurations`` are int8 ``0 … q-1`` of shape ``(walkers, *shape)``, one to four
lattice axes; ``walkers`` and ``events`` are int64 ``(walkers,)``, the global index of each walker and its event count,
which enter the random numbers; ``seed`` is an integer in [0, 2³²). A model is ``H(x) = -Σ J φ(x_i, x_j) - Σ h_i(x_i)``:
``coupling`` float64 ``(1 | walkers, 1 | axes, *shape)`` (entry ``[., d, i]``: the bond from site ``i`` in positive
direction ``d``; every lattice axis may have size 1 where the coupling is uniform), ``bond_table`` ``φ`` float64
``(q, q)``, ``site_table`` ``h`` float64 ``(1 | walkers, q, *shape)``, ``beta`` float64 ``(1 | walkers,)``, ``periodic``
one bool an axis.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from . import ops, reference
from .checks import PRECISIONS, as_integer, as_number, as_precision, as_seed, expect
from .hollow import hollow_values
from .ops import hollow_conv_gradient, proposal_rates_gradient, tau_leap_log_probability_gradient
from .philox import Stream
from .reference import (
    MOST_CLASSES,
    MOST_LANES,
    JumpStep,
    LocalEnergy,
    LocalJumpSteps,
    ProposalRates,
    Sums,
    TauLeapStep,
    philox,
    uniform32,
    uniform64,
)

__all__ = [
    "MOST_CLASSES",
    "MOST_LANES",
    "PRECISIONS",
    "REVERSIBLE",
    "JumpStep",
    "LocalEnergy",
    "LocalJumpSteps",
    "ProposalRates",
    "Stream",
    "Sums",
    "TauLeapStep",
    "as_precision",
    "backend",
    "cluster_labels",
    "energy",
    "heat_bath_sweeps",
    "hollow_conv",
    "hollow_conv_gradient",
    "hollow_values",
    "jump_step",
    "local_energy",
    "local_jump_steps",
    "metropolis_sweeps",
    "overrelaxation_sweeps",
    "philox",
    "proposal_rates",
    "proposal_rates_gradient",
    "reference",
    "tau_leap_log_probability",
    "tau_leap_log_probability_gradient",
    "tau_leap_step",
    "uniform32",
    "uniform64",
]

REVERSIBLE = ("barker", "square_root", "metropolis")
"""Names of the reversible rates of :func:`proposal_rates`."""


def backend(device: torch.device) -> str:
    """What runs the ops on ``device``, in words."""
    if device.type != "cuda":
        return f"torch twins on {device.type}"
    if ops.MISSING is not None:
        return f"torch twins on {device.type}, since Triton cannot be imported: {ops.MISSING}"
    return f"Triton kernels on {device.type}"


def _check_tensor(name: str, value: object) -> None:
    expect(isinstance(value, Tensor), name, "a tensor", value)


def _check_configurations(configurations: Tensor) -> None:
    _check_tensor("configurations", configurations)
    if configurations.dtype != torch.int8:
        raise ValueError(f"configurations must be int8, got {configurations.dtype}; convert with .to(torch.int8)")


def _check_floating(name: str, dtype: torch.dtype) -> None:
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {dtype}")


def _check_model(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor | None,
    periodic: Sequence[bool],
) -> None:
    _check_configurations(configurations)
    for name, tensor in (("coupling", coupling), ("bond_table", bond_table), ("site_table", site_table)):
        _check_tensor(name, tensor)
    bools = isinstance(periodic, list | tuple) and all(isinstance(wraps, bool) for wraps in periodic)
    expect(bools, "periodic", "one bool an axis", periodic)
    walkers, *shape = configurations.shape or (0,)
    q = bond_table.shape[0] if bond_table.ndim else 0
    if len(shape) != len(periodic) or not 1 <= len(shape) <= 4:
        raise ValueError(
            f"configurations must be (walkers, *shape) with {len(periodic)} lattice axes (1 to 4), "
            f"got {tuple(configurations.shape)}"
        )
    expected: dict[str, tuple[Tensor, tuple[set[int], ...]]] = {
        "coupling": (coupling, ({1, walkers}, {1, len(shape)}, *({1, n} for n in shape))),
        "bond_table": (bond_table, ({q}, {q})),
        "site_table": (site_table, ({1, walkers}, {q}, *({1, n} for n in shape))),
    }
    if beta is not None:
        expected["beta"] = (beta, ({1, walkers},))
    for name, (tensor, sizes) in expected.items():
        if tensor.ndim != len(sizes) or any(n not in s for n, s in zip(tensor.shape, sizes, strict=True)):
            wanted = ", ".join(" | ".join(map(str, sorted(s))) for s in sizes)
            raise ValueError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")
        if tensor.dtype != torch.float64:
            raise ValueError(f"{name} must be float64, got {tensor.dtype}; convert it with .double()")
        if tensor.device != configurations.device:
            raise ValueError(
                f"{name} is on {tensor.device}, configurations on {configurations.device}; move one of them"
            )


def _check_walkers(count: int, device: torch.device, dtype: torch.dtype, **tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
        if tensor.shape != (count,) or tensor.device != device:
            raise ValueError(
                f"{name} must have shape ({count},) on {device}, got {tuple(tensor.shape)} on {tensor.device}"
            )
        if tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}")


def _check_rates(configurations: Tensor, rates: Tensor) -> None:
    _check_configurations(configurations)
    _check_tensor("rates", rates)
    expect(configurations.ndim > 1, "configurations", "of shape (walkers, *shape)", configurations)
    count, *shape = configurations.shape
    if rates.ndim != len(shape) + 2 or (rates.shape[0], *rates.shape[2:]) != (count, *shape):
        raise ValueError(f"rates must be ({count}, q-1, {', '.join(map(str, shape))}), got {tuple(rates.shape)}")
    _check_floating("rates", rates.dtype)


def energy(
    configurations: Tensor, coupling: Tensor, bond_table: Tensor, site_table: Tensor, periodic: Sequence[bool]
) -> Sums:
    """Energy ``H(x)`` of every walker and its sites in each state, in one pass over the configurations.

    Magnetisations ``m = Σ_a counts_a spins_a / N`` and Potts order parameters are functions of the counts.

    Arguments
        configurations … periodic: see the module.

    Returns
        Sums(energy float64 ``(walkers,)`` without β, counts int64 ``(walkers, q)``).

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations.
    """
    _check_model(configurations, coupling, bond_table, site_table, None, periodic)
    return Sums(*ops.energy(configurations, coupling, bond_table, site_table, periodic))


def local_energy(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    dtype: torch.dtype = torch.float32,
) -> LocalEnergy:
    """Energy of every walker and the log-ratio of every local move.

    ``Δ_k(i) = -β [H(x^{(i,k)}) - H(x)]`` with ``x^{(i,k)}`` the configuration after ``x_i → (x_i + k) mod q``.

    Arguments
        configurations … periodic: see the module.
        dtype: precision of the log-ratios, float32 or float64; energies are always float64.

    Returns
        LocalEnergy(energy float64 ``(walkers,)`` without β, log_ratios ``(walkers, q-1, *shape)`` with β).

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations.
    """
    _check_tensor("beta", beta)
    _check_model(configurations, coupling, bond_table, site_table, beta, periodic)
    _check_floating("dtype of the log-ratios", dtype)
    return LocalEnergy(*ops.local_energy(configurations, coupling, bond_table, site_table, beta, periodic, dtype))


def proposal_rates(
    network_output: Tensor | None, log_ratios: Tensor, reversible: str | None = None, scale: float = 1.0
) -> ProposalRates:
    """Out-rates of all moves, exit rate and corrector of every walker.

    ``rates = [G]_+ + scale · g(e^Δ)``, ``R = Σ rates``, ``κ = Σ_m [G_m]_+ - Σ_m [-G_m]_+ e^{Δ_m}``, where ``g`` is one
    of Barker ``u / (1 + u)``, square root ``√u``, Metropolis ``min(1, u)``. All satisfy ``g(u) = u g(1/u)``, so they
    leave ``ρ_t`` invariant and add nothing to ``κ``.

    Arguments
        network_output: ``G``, ``(walkers, q-1, *shape)``, or None for reversible rates alone. Rates, exit rate and
            corrector can be differentiated with respect to it, once.
        log_ratios: ``Δ``, same shape. Different dtypes, and half precision, are brought to one of float32 and float64.
        reversible: None, ``"barker"``, ``"square_root"`` or ``"metropolis"``.
        scale: rate of the reversible part, moves a unit of time, finite and ≥ 0.

    Returns
        ProposalRates(rates ``(walkers, q-1, *shape)``, exit_rate and corrector float64 ``(walkers,)``).

    Raises
        ValueError: neither a network output nor reversible rates, an unknown name, shapes that differ.

    References
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).
    """
    if network_output is None and reversible is None:
        raise ValueError(f"give a network_output, or reversible= one of {', '.join(REVERSIBLE)}; got neither")
    if reversible is not None and reversible not in REVERSIBLE:
        raise ValueError(f"reversible must be None or one of {', '.join(REVERSIBLE)}, got {reversible!r}")
    scale = as_number("scale", scale, "finite and >= 0", lambda value: 0.0 <= value < float("inf"))
    _check_tensor("log_ratios", log_ratios)
    expect(log_ratios.ndim > 1, "log_ratios", "of shape (walkers, q-1, *shape)", log_ratios)
    if network_output is not None:
        _check_tensor("network_output", network_output)
    if log_ratios.requires_grad:
        raise ValueError("proposal_rates with respect to log_ratios has no gradient; give log_ratios.detach()")
    if network_output is not None and network_output.shape != log_ratios.shape:
        raise ValueError(
            f"network_output must have the shape of log_ratios {tuple(log_ratios.shape)}, "
            f"got {tuple(network_output.shape)}"
        )
    dtype = torch.promote_types(torch.float32, log_ratios.dtype)
    if network_output is not None:
        dtype = torch.promote_types(dtype, network_output.dtype)
        network_output = network_output.to(dtype)
    _check_floating("dtype of network_output and log_ratios", dtype)
    return ProposalRates(*ops.proposal_rates(network_output, log_ratios.to(dtype), reversible, scale))


def jump_step(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    rates: Tensor,
    corrector: Tensor,
    walkers: Tensor,
    events: Tensor,
    seed: int,
) -> JumpStep:
    """One event of the jump process for every walker at once.

    Holding time ``T ~ Exp(R)``, ``R = Σ rates``; ``s = min(T, remaining)``; ``A += s κ``. If ``T`` ended first, the
    move ``m`` is made with probability ``rates_m / R``; otherwise the walker stands at the boundary of its interval,
    ``remaining`` is 0 and ``T`` is discarded. A walker with ``remaining`` 0 is left as it is, whatever its
    rates. Any other whose exit rate or corrector is not finite stays where it is and its ``A`` turns NaN, so that the
    caller can report it.

    Arguments
        configurations: ``(walkers, *shape)``.
        log_weights, remaining, corrector: ``A``, time left, ``κ``; float64 ``(walkers,)``.
        rates: out-rates ``(walkers, q-1, *shape)``, ≥ 0.
        walkers, events, seed: see the module; each (walker, event) is used once.

    Raises
        ValueError: a shape or device that does not fit the configurations.
    """
    _check_rates(configurations, rates)
    count, device, seed = len(configurations), configurations.device, as_seed(seed)
    _check_walkers(count, device, torch.float64, log_weights=log_weights, remaining=remaining, corrector=corrector)
    _check_walkers(count, device, torch.int64, walkers=walkers, events=events)
    return JumpStep(*ops.jump_step(configurations, log_weights, remaining, rates, corrector, walkers, events, seed))


def local_jump_steps(
    configurations: Tensor,
    log_weights: Tensor,
    remaining: Tensor,
    walkers: Tensor,
    events: Tensor,
    rates: Tensor,
    corrector: Tensor,
    neighbours: Tensor,
    strides: Tensor,
    first_row: int,
    seed: int,
    steps: int,
) -> LocalJumpSteps:
    """Events of the jump process of a model with two states whose rates are a table: many in one call.

    The class of a site is ``c_i = Σ_l strides_l x_{neighbours[i, l]}``. With ``n_c`` sites of class ``c`` and
    ``K = Σ_i x_i``, ``R = Σ_c n_c rates[K, c]`` and ``κ = Σ_c n_c corrector[K, c]``. Holding times, weights and the
    boundary are those of :func:`jump_step`; a class is drawn with probability ``n_c rates[K, c] / R``, and each of its
    sites with the same. Every walker advances by ``steps`` events or to the boundary of its interval. An event costs
    the classes, the neighbours of one site, and a search of the site among those of its class.

    Arguments
        configurations: values 0 and 1, ``(walkers, *shape)``.
        log_weights, remaining: ``A`` and time left; float64 ``(walkers,)``.
        rates, corrector: float64 ``(rows, classes)``, row 0 for ``K = first_row``; of every ``K`` that the walkers may
            reach, which is not checked.
        neighbours: of every site those whose state its class counts, int64 ``(sites, lanes)``, all different; if ``j``
            is a neighbour of ``i`` then ``i`` is one of ``j``, with the same stride.
        strides: int64 ``(lanes,)``.
        walkers, events, seed: see the module; each (walker, event) is used once.
        steps: most events a walker, at least 1.

    Raises
        ValueError: shapes, dtypes or devices that do not fit, too many classes or neighbours.

    References
        Bortz, Kalos, Lebowitz, *A new algorithm for Monte Carlo simulation of Ising spin systems*, J. Comput. Phys. 17,
        10 (1975).
    """
    _check_configurations(configurations)
    expect(configurations.ndim > 1, "configurations", "(walkers, *shape)", configurations)
    count, device, sites = len(configurations), configurations.device, configurations.shape[1:].numel()
    _check_walkers(count, device, torch.float64, log_weights=log_weights, remaining=remaining)
    _check_walkers(count, device, torch.int64, walkers=walkers, events=events)
    tables = {"rates": rates, "corrector": corrector, "neighbours": neighbours, "strides": strides}
    for name, tensor in tables.items():
        _check_tensor(name, tensor)
    if rates.ndim != 2 or rates.shape != corrector.shape or not 1 <= rates.shape[1] <= MOST_CLASSES:
        raise ValueError(
            f"rates and corrector must both be (rows, classes) with at most {MOST_CLASSES} classes, got "
            f"{tuple(rates.shape)} and {tuple(corrector.shape)}"
        )
    if neighbours.shape != (sites, strides.numel()) or strides.ndim != 1 or not 1 <= len(strides) <= MOST_LANES:
        raise ValueError(
            f"neighbours must be ({sites}, lanes) and strides (lanes,) with at most {MOST_LANES} lanes, got "
            f"{tuple(neighbours.shape)} and {tuple(strides.shape)}"
        )
    for name, tensor in tables.items():
        dtype = torch.float64 if name in ("rates", "corrector") else torch.int64
        if tensor.dtype != dtype or tensor.device != device:
            raise ValueError(f"{name} must be {dtype} on {device}, got {tensor.dtype} on {tensor.device}")
    first_row, steps, seed = as_integer("first_row", first_row, 0), as_integer("steps", steps, 1), as_seed(seed)
    return LocalJumpSteps(
        *ops.local_jump_steps(
            configurations,
            log_weights,
            remaining,
            walkers,
            events,
            rates,
            corrector,
            neighbours,
            strides,
            first_row,
            seed,
            steps,
        )
    )


def tau_leap_step(
    configurations: Tensor, rates: Tensor, duration: Tensor, walkers: Tensor, events: Tensor, seed: int
) -> TauLeapStep:
    """One step of tau-leaping for every walker: all sites at once, each at most one move.

    ``F(y|x) = ∏_i {e^{-hΛ_i} if y_i = x_i; (1 - e^{-hΛ_i}) λ_k(i)/Λ_i if y_i = (x_i + k) mod q}`` with ``Λ_i = Σ_k
    λ_k(i)``; ``y`` is drawn from it in float64, and ``log F(y|x)`` is that of the very numbers it was drawn with. A
    duration of 0 leaves the walker as it is, with ``log F = 0``. A site whose rates are not finite stays as it is and
    the walker's ``log F`` is NaN, so that the caller can report it.

    Arguments
        configurations: ``x``, ``(walkers, *shape)``.
        rates: ``λ``, ``(walkers, q-1, *shape)``, ≥ 0.
        duration: ``h``, float64 ``(walkers,)``, ≥ 0.
        walkers, events, seed: see the module; each (walker, event) is used once.

    Returns
        TauLeapStep(configurations ``y``, log_probability ``log F(y|x)`` float64 ``(walkers,)``).

    Raises
        ValueError: a shape or device that does not fit the configurations.

    References
        Gillespie, *Approximate accelerated stochastic simulation of chemically reacting systems*, J. Chem. Phys. 115,
        1716 (2001), for leaping over many events. Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).
    """
    _check_rates(configurations, rates)
    _check_walkers(len(configurations), configurations.device, torch.float64, duration=duration)
    _check_walkers(len(configurations), configurations.device, torch.int64, walkers=walkers, events=events)
    seed = as_seed(seed)
    return TauLeapStep(*ops.tau_leap_step(configurations, rates, duration, walkers, events, seed))


def tau_leap_log_probability(configurations: Tensor, after: Tensor, rates: Tensor, duration: Tensor) -> Tensor:
    """Log-probability ``log F(y|x)`` that :func:`tau_leap_step` leads from ``x`` to ``y``, float64 ``(walkers,)``.

    Minus infinity where a site made a move of rate 0. Can be differentiated with respect to the rates, once.

    Arguments
        configurations, after: ``x`` and ``y``, ``(walkers, *shape)``.
        rates: ``λ`` at ``x``, ``(walkers, q-1, *shape)``, ≥ 0.
        duration: ``h``, float64 ``(walkers,)``, ≥ 0.

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations.
    """
    _check_rates(configurations, rates)
    _check_configurations(after)
    if after.shape != configurations.shape or after.device != configurations.device:
        raise ValueError(
            f"after must have shape {tuple(configurations.shape)} on {configurations.device}, got {tuple(after.shape)} "
            f"on {after.device}"
        )
    _check_walkers(len(configurations), configurations.device, torch.float64, duration=duration)
    return ops.tau_leap_log_probability(configurations, after, rates, duration)


def _check_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> None:
    _check_tensor("beta", beta)
    _check_model(configurations, coupling, bond_table, site_table, beta, periodic)
    _check_walkers(len(configurations), configurations.device, torch.int64, walkers=walkers)
    as_integer("sweeps", sweeps, 0)
    as_integer("first_sweep", first_sweep, 0)
    as_seed(seed)
    _check_tensor("colours", colours)
    if colours.shape != configurations.shape[1:]:
        raise ValueError(f"colours must have shape {tuple(configurations.shape[1:])}, got {tuple(colours.shape)}")
    expect(colours.dtype in (torch.int8, torch.int32, torch.int64), "colours", "a tensor of integers", colours)
    as_integer("num_colours", num_colours, 1, 127)


def heat_bath_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Heat-bath sweeps: each site redrawn from its law given its neighbours, one colour class after another.

    Leaves ``exp(-β H)`` invariant, for a per-walker β too. Probabilities are float32 and random numbers odd multiples
    of 2⁻²⁴, so that a state of a probability below that is drawn with the probability 0 or 2⁻²³.

    Arguments
        configurations … periodic: see the module.
        colours: integer ``(*shape)``, a proper colouring ``0 … num_colours - 1``: no two neighbours alike.
        walkers, first_sweep, sweeps, seed: random numbers of sweeps ``first_sweep … first_sweep + sweeps - 1``.

    Returns
        The new configurations; the given ones are left alone.

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations, or sweeps < 0.
    """
    arguments = (
        configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers, first_sweep,
        sweeps, seed,
    )  # fmt: skip
    _check_sweeps(*arguments)
    return ops.heat_bath_sweeps(*arguments)


def metropolis_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Metropolis sweeps: to each site one other value is proposed, every one with probability ``1 / (q - 1)``.

    It is accepted with probability ``min(1, e^Δ)``, ``Δ = -β [H(y) - H(x)]``; one colour class after another. Leaves
    ``exp(-β H)`` invariant, for a per-walker β too. Acceptances are float32 and random numbers odd multiples of 2⁻²⁴.

    Arguments
        configurations … periodic: see the module.
        colours: integer ``(*shape)``, a proper colouring ``0 … num_colours - 1``: no two neighbours alike.
        walkers, first_sweep, sweeps, seed: random numbers of sweeps ``first_sweep … first_sweep + sweeps - 1``.

    Returns
        The new configurations; the given ones are left alone.

    Raises
        ValueError: a shape, dtype or device that does not fit the configurations, or sweeps < 0.

    References
        Metropolis, Rosenbluth, Rosenbluth, Teller, Teller, *Equation of state calculations by fast computing machines*,
        J. Chem. Phys. 21, 1087 (1953).
    """
    arguments = (
        configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers, first_sweep,
        sweeps, seed,
    )  # fmt: skip
    _check_sweeps(*arguments)
    return ops.metropolis_sweeps(*arguments)


def overrelaxation_sweeps(
    configurations: Tensor,
    coupling: Tensor,
    bond_table: Tensor,
    site_table: Tensor,
    beta: Tensor,
    periodic: Sequence[bool],
    colours: Tensor,
    num_colours: int,
    walkers: Tensor,
    first_sweep: int,
    sweeps: int,
    seed: int,
) -> Tensor:
    """Over-relaxation sweeps of states on a circle: each is reflected about the direction of its local field.

    With ``φ`` the angle of ``Σ_a W_a(i) e^{2πi a/q}``, which for the clock model is the direction of the local field,
    the reflection ``2φ - 2π x_i/q`` is in general no state; ``x_i → r - x_i mod q`` is, the reflection about the
    nearest axis ``π r/q``, of two equally near ones that of the least ``r < q``. Given the neighbours ``r`` is fixed,
    so the proposal is its own inverse, and accepted with probability ``min(1, e^Δ)`` it leaves ``exp(-β H)`` invariant;
    one colour class after another, in float64. Not ergodic.

    Arguments, returns, errors
        as :func:`metropolis_sweeps`.

    References
        Creutz, *Overrelaxation and Monte Carlo simulation*, Phys. Rev. D 36, 515 (1987).
        Brown, Woch, *Overrelaxed heat-bath and Metropolis algorithms for accelerating pure gauge Monte Carlo
        calculations*, Phys. Rev. Lett. 58, 2394 (1987).
    """
    arguments = (
        configurations, coupling, bond_table, site_table, beta, periodic, colours, num_colours, walkers, first_sweep,
        sweeps, seed,
    )  # fmt: skip
    _check_sweeps(*arguments)
    return ops.overrelaxation_sweeps(*arguments)


def cluster_labels(bonds: Tensor) -> Tensor:
    """Connected components of the sites of each walker: the least flat index in every site's cluster.

    Arguments
        bonds: bool ``(walkers, axes, *shape)``, one to four axes; entry ``[., d, i]`` joins site ``i`` to its neighbour
            in positive direction ``d``. All directions wrap: entries that leave an open boundary must be False.

    Returns
        int64 ``(walkers, *shape)``, equal where two sites are joined by a path of bonds and nowhere else.

    Raises
        ValueError: bonds that are not bool, or whose second axis does not count the lattice axes.

    References
        Shiloach, Vishkin, *An O(log n) parallel connectivity algorithm*, J. Algorithms 3, 57 (1982).

    Example
        >>> cluster_labels(torch.tensor([[[False, True, True, False, True]]]))
        tensor([[0, 1, 1, 1, 0]])
    """
    _check_tensor("bonds", bonds)
    if bonds.dtype != torch.bool:
        raise ValueError(f"bonds must be bool, got {bonds.dtype}; compare them with what they are to exceed")
    if not 3 <= bonds.ndim <= 6 or bonds.shape[1] != bonds.ndim - 2:
        raise ValueError(f"bonds must be (walkers, axes, *shape) with 1 to 4 lattice axes, got {tuple(bonds.shape)}")
    return ops.cluster_labels(bonds)


def hollow_conv(
    activations: Tensor,
    weight: Tensor,
    bias: Tensor,
    offset: Tensor,
    time_offset: Tensor,
    source: Tensor,
    kernel_size: int,
    periodic: Sequence[bool],
    precision: str = "float32",
) -> Tensor:
    """Convolution of ``x`` by a kernel that each site makes from its own activations, without the centre.

    ``h[b,c,p] = Σ_{j≠centre} (silu(Σ_i A[c,j,i] a[b,i,p] + b1[c,j]) + b2[c,j] + e[b,j]) · x[b,c|0,p+δ_j]``. If ``a`` at
    ``p`` does not depend on the state of ``p``, neither does ``h``. Taps beyond an open edge see 0. The weights of all
    sites and taps, ``B C K^ndim N`` numbers, are never held, forward or backward: the gradient, with respect to all six
    tensors and of first order, makes them anew in blocks.

    Arguments
        activations: ``a``, ``(walkers, inputs, *shape)``.
        weight: ``A``, ``(channels, K ** ndim, inputs)``, taps in the order of rows, the centre among them unread.
        bias, offset: ``b1`` and ``b2``, ``(channels, K ** ndim)``.
        time_offset: ``e``, ``(1 | walkers, K ** ndim)``.
        source: ``x``, ``(walkers, 1 | channels, *shape)``, one to four axes.
        kernel_size: ``K``, odd; its radius must be smaller than every periodic length.
        periodic: one bool an axis.
        precision: of the factors of the product ``A a`` and of those of its gradient, whose sums are in float32:
            ``"float32"``, ``"tf32"`` (on a GPU; elsewhere as float32) or ``"bfloat16"``.

    Returns
        ``h``, ``(walkers, channels, *shape)``.

    Raises
        ValueError: a kernel that is even or reaches around back to the site, another precision, or a shape, dtype or
            device that does not fit.

    References
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), hollow convolutions.

    Example
        >>> a, x = torch.ones(2, 3, 4, 5), torch.ones(2, 1, 4, 5)
        >>> weight, bias = torch.zeros(6, 9, 3), torch.zeros(6, 9)
        >>> hollow_conv(a, weight, bias, bias, torch.ones(1, 9), x, 3, (True, True))[0, 0, 0, 0]
        tensor(8.)
    """
    precision = as_precision("hollow_conv", precision)
    tensors = {
        "activations": activations, "weight": weight, "bias": bias, "offset": offset, "time_offset": time_offset,
        "source": source,
    }  # fmt: skip
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
    kernel_size = as_integer("kernel_size", kernel_size, 1)
    bools = isinstance(periodic, list | tuple) and all(isinstance(wraps, bool) for wraps in periodic)
    expect(bools, "periodic", "one bool an axis", periodic)
    shape = source.shape[2:]
    if len(shape) != len(periodic) or not 1 <= len(shape) <= 4:
        raise ValueError(
            f"source must be (walkers, 1 | channels, *shape) with {len(periodic)} lattice axes (1 to 4), "
            f"got {tuple(source.shape)}"
        )
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
    for length, wraps in zip(shape, periodic, strict=True):
        if wraps and length <= kernel_size // 2:
            raise ValueError(
                f"kernel_size {kernel_size} reaches around a periodic direction of length {length} back to the site "
                f"itself; use kernel_size <= {2 * length - 1}"
            )
    walkers, taps = len(source), kernel_size ** len(shape)
    channels = len(weight) if weight.ndim else 0
    inputs = activations.shape[1] if activations.ndim > 1 else 0
    expected: dict[str, tuple[set[int], ...]] = {
        "activations": ({walkers}, {inputs}, *({n} for n in shape)),
        "weight": ({channels}, {taps}, {inputs}),
        "bias": ({channels}, {taps}),
        "offset": ({channels}, {taps}),
        "time_offset": ({1, walkers}, {taps}),
        "source": ({walkers}, {1, channels}, *({n} for n in shape)),
    }
    for name, sizes in expected.items():
        tensor = tensors[name]
        if tensor.ndim != len(sizes) or any(n not in s for n, s in zip(tensor.shape, sizes, strict=True)):
            wanted = ", ".join(" | ".join(map(str, sorted(s))) for s in sizes)
            raise ValueError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")
        _check_floating(name, tensor.dtype)
        if tensor.dtype != source.dtype or tensor.device != source.device:
            raise ValueError(
                f"{name} is {tensor.dtype} on {tensor.device}, source {source.dtype} on {source.device}; convert one"
            )
    return ops.hollow_conv(activations, weight, bias, offset, time_offset, source, kernel_size, periodic, precision)
