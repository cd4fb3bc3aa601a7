"""What all densities on ``ℝᵈ`` share, and the density of a user's own function."""

import math
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from ...kernels.checks import as_integer, as_number, as_seed, expect, is_positive
from ...lattices.hypercubic import Lattice
from ..base import SweepPlan
from ..fields import as_field_dtype, check_field

__all__ = ["Density", "DensityModel"]

MOST_MODES = 1024
"""Whose masses are estimated one by one."""


class DensityModel:
    """The base of unnormalised densities ``ρ̃(x) = e^{-H(x)}`` of ``x ∈ ℝᵈ``.

    A family defines :meth:`log_density`; it may define :meth:`force`, ``log_z`` and
    ``_draws``. Coordinates stand on an open lattice of ``d`` sites, between which there are no
    bonds: a periodic one would say that the last is next to the first.

    Args:
        dim: ``d``, at least 1.
        extent: about the largest coordinate of the density, above 0: chains that are given no start
            begin from independent normal numbers of a third of this as their width.
        dtype: type of configurations, ``torch.float64`` or ``torch.float32``, or its name.

    Attributes:
        lattice: an open one of ``d`` sites.
        dtype: type of configurations.
        extent: about the largest coordinate.
        beta: 1.
        log_z: ``log ∫ ρ̃ dx``; None where it is not known.
        coupling: of a density nothing is told to networks beside the time: a one.
        site_table: a zero.

    Raises:
        ValueError: an argument is not as above.
    """

    beta = 1.0
    swept = False
    """Whether sites have states for heat-bath and Metropolis sweeps to choose from"""
    log_z: float | None = None

    def __init__(
        self, dim: int, extent: float = 3.0, dtype: torch.dtype | str = torch.float64
    ) -> None:
        dim = as_integer("dim", dim, 1)
        self.lattice = Lattice((dim,), periodic=False)
        self.extent = as_number("extent", extent, "a positive number", is_positive)
        self.dtype = as_field_dtype(dtype)
        self.coupling = torch.ones(1, 1, dtype=torch.float64)
        self.site_table = torch.zeros(1, 1, dtype=torch.float64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim})"

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return self.lattice.sites

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of one configuration, ``(d,)``."""
        return self.lattice.shape

    def at(self, beta: float) -> "DensityModel":
        """Return the density itself, at ``beta = 1``, the only inverse temperature that it has.

        Raises:
            ValueError: another one.
        """
        name = type(self).__name__
        as_number(f"beta of {name}", beta, "1, since the density holds it", _is_one)
        return self

    def check(self, configurations: Tensor) -> None:
        """Raise a ValueError unless these are finite ``(walkers, d)`` of the density's type."""
        check_field(configurations, self.dtype, self.shape)

    def log_density(self, configurations: Tensor) -> Tensor:
        """Return ``log ρ̃(x)``, float64 ``(walkers,)``; values are not checked."""
        raise NotImplementedError(f"{type(self).__name__} needs log_density(configurations)")

    def energy(self, configurations: Tensor, check: bool = True) -> Tensor:
        """Return ``H(x) = -log ρ̃(x)``, float64 ``(walkers,)``.

        Args:
            configurations: ``(walkers, d)``.
            check: whether to check their values.
        """
        if check:
            self.check(configurations)
        return -self.log_density(configurations)

    def force(self, configurations: Tensor) -> Tensor:
        """Return ``∇ log ρ̃(x)``, like the configurations, by automatic differentiation.

        It can be differentiated again. Values are not checked.
        """

        def total(x: Tensor) -> Tensor:
            return self.log_density(x).sum()

        # Whether or not gradients are on outside: within it they are.
        found: Tensor = torch.func.grad(total)(configurations)
        return found

    def sample(self, walkers: Tensor | int, seed: int = 0) -> Tensor:
        """Return independent configurations, exactly distributed, where they are known.

        Args:
            walkers: their number, or their global indices, int64 ``(walkers,)``: the first ones do
                not depend on how many are asked for.
            seed: in [0, 2³²).

        Returns:
            ``(walkers, d)`` of the density's type, on the device of the indices.

        Raises:
            ValueError: there is no way to exact samples.
        """
        if not isinstance(walkers, Tensor):
            walkers = torch.arange(as_integer("walkers", walkers, 1))
        return self._draws(walkers, as_seed(seed)).to(self.dtype).contiguous()

    def _draws(self, walker_index: Tensor, seed: int) -> Tensor:
        """Return exact samples, float64 ``(walkers, d)``."""
        raise ValueError(
            f"there are no exact samples of {self!r}; sample it by lt.Sampler, or by lt.run_chain"
        )

    @property
    def mode_weights(self) -> Tensor:
        """Exact means of :meth:`shares`, of sum 1, float64 ``(modes,)``, where there are modes.

        Raises:
            ValueError: there are none.
        """
        self._refuse_modes()

    def modes(self, configurations: Tensor) -> Tensor:
        """Return the number of each walker's mode, int64 ``(walkers,)``, where there are modes.

        Args:
            configurations: ``(walkers, d)``.

        Raises:
            ValueError: there are none.
        """
        self._refuse_modes()

    def _refuse_modes(self) -> NoReturn:
        raise ValueError(
            f"{self!r} does not tell modes apart; estimate a function of your own, such as "
            f"lambda x, model: (x[:, 0] > 0).double()"
        )

    def shares(self, configurations: Tensor) -> Tensor:
        """Return the share of each mode in every walker, of mean ``mode_weights``, of sum 1.

        Here a walker is in one mode alone.

        Args:
            configurations: ``(walkers, d)``.

        Returns:
            float64 ``(walkers, modes)``.
        """
        modes = self.modes(configurations)
        return torch.nn.functional.one_hot(modes, len(self.mode_weights)).double()

    def mode_masses(self, result: Any) -> list[Any]:
        """Return the share of every mode, each an estimate with its error, as ``mode_weights`` are.

        It is the mean of :meth:`shares`.

        Args:
            result: of the density: weighted walkers, or chains whose configurations were kept.

        Raises:
            ValueError: no modes, or more than 1024; configurations without weights.

        Example:
            >>> import leaps_triton as lt
            >>> model = lt.GaussianMixture.two(separation=1.0)
            >>> path = lt.AnnealingPath(model, start=lt.Gaussian(1.0))
            >>> sampler = lt.Sampler(path, None, lt.MapStep(10), lt.HMC(), device="cpu")
            >>> masses = model.mode_masses(sampler.sample(walkers=2000, seed=0))
            >>> abs(masses[0].pull(0.2)) < 4
            True
        """
        count = len(self.mode_weights)
        if count > MOST_MODES:
            raise ValueError(
                f"{count} modes of {self!r} are more than {MOST_MODES}, too many to be estimated "
                f"one by one; estimate a function of modes(configurations)"
            )
        wanted = "an ensemble or a chain, which has estimate"
        weighed = callable(getattr(result, "estimate", None))
        expect(weighed, "result", f"{wanted} (of a tensor count modes(x))", result)
        return [result.estimate(_InMode(number)) for number in range(count)]

    def heat_bath(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Raise a ValueError: there are no states to choose from."""
        self._refuse("heat bath")

    def metropolis(self, configurations: Tensor, beta: Tensor, plan: SweepPlan) -> Tensor:
        """Raise a ValueError: there are no states to propose."""
        self._refuse("Metropolis")

    def _refuse(self, sweep: str) -> NoReturn:
        raise ValueError(
            f"{sweep} sweeps need a model with q states per site, and configurations of "
            f"{type(self).__name__} are {self.dtype}; take lt.HMC or lt.Langevin"
        )


class _InMode:
    """Share of a mode in a walker, an observable.

    Args:
        number: of the mode.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self.__name__ = f"mode_{number}"

    def __call__(self, configurations: Tensor, model: Any) -> Tensor:
        """Return the share, float64 ``(walkers,)``."""
        found: Tensor = model.shares(configurations)
        return found[:, self._number]


class Density(DensityModel):
    """An unnormalised density given by a function of the user's own.

    A file cannot hold a function: to store samplers and chains of it, enter a class of your own by
    ``@lt.register("model")`` that inherits from this one and has ``settings``.

    Args:
        log_density: ``log ρ̃`` as a function of ``(walkers, dim)`` to ``(walkers,)``, each number
            that of its own row, finite everywhere; torch differentiates it.
        dim: number of coordinates.
        log_z: ``log ∫ ρ̃ dx``; None where it is not known.
        extent: about the largest coordinate of the density, above 0.
        dtype: type of configurations, ``torch.float64`` or ``torch.float32``, or its name.

    Attributes:
        log_z: what was given.

    Raises:
        ValueError: an argument is not as above; when it is called, a function of another result.

    Example:
        >>> import torch, leaps_triton as lt
        >>> model = lt.Density(lambda x: -x.square().square().sum(1), dim=2)
        >>> model.force(torch.ones(1, 2, dtype=torch.float64))
        tensor([[-4., -4.]], dtype=torch.float64)
    """

    def __init__(
        self,
        log_density: Callable[[Tensor], Tensor],
        dim: int,
        log_z: float | None = None,
        extent: float = 3.0,
        dtype: torch.dtype | str = torch.float64,
    ) -> None:
        super().__init__(dim, extent, dtype)
        wanted = "a function of configurations (walkers, dim)"
        expect(callable(log_density), "log_density", wanted, log_density)
        self._function = log_density
        if log_z is not None:
            log_z = as_number("log_z", log_z, "None or a finite number", math.isfinite)
        self.log_z = log_z
        self._probe()

    def _probe(self) -> None:
        """Raise a ValueError for a function that no weight or force could be right with."""
        points = torch.linspace(-0.4, 0.5, 2 * self.shape[0], dtype=self.dtype)
        rows = points.view(2, -1)
        with torch.enable_grad():
            try:
                both = self._function(rows.clone().requires_grad_())
                first = self._function(rows[:1])
            except (RuntimeError, IndexError) as error:
                mend = _mend(error, self.dtype)
                if mend is None:
                    # Such as tables on another device: calls there say what is wrong.
                    return
                raise ValueError(f"log_density of {self!r} {mend}") from error
        if not isinstance(both, Tensor) or both.shape != (2,):
            # A call tells which shape came.
            return
        alone = isinstance(first, Tensor) and first.shape == (1,)
        if not alone or not torch.allclose(both[:1], first, rtol=1e-4, equal_nan=True):
            raise ValueError(
                f"log_density of {self!r} must give each row the number of that row alone, and a "
                f"row gives another beside others than by itself; sum over the coordinates, axis "
                f"1, and take no mean over rows"
            )
        if not both.requires_grad:
            raise ValueError(
                f"log_density of {self!r} must depend on its argument by torch operations, so that "
                f"forces follow, and gives numbers without a gradient; leave out detach, no_grad "
                f"and numpy"
            )

    def log_density(self, configurations: Tensor) -> Tensor:
        """Return what the function gives, float64 ``(walkers,)``; values are not checked.

        Raises:
            ValueError: it is no tensor ``(walkers,)`` of real numbers.
        """
        found = self._function(configurations)
        walkers = len(configurations)
        if not isinstance(found, Tensor) or found.shape != (walkers,) or found.is_complex():
            got: object = type(found).__name__
            if isinstance(found, Tensor):
                got = f"{found.dtype} of shape {tuple(found.shape)}"
            raise ValueError(
                f"log_density of {self!r} must return real numbers of shape (walkers,), here "
                f"({walkers},), got {got}; sum over the coordinates, axis 1, alone"
            )
        return found.to(torch.float64)


def _mend(error: Exception, dtype: torch.dtype) -> str | None:
    """Return what a function that fails must do; None where its own error tells.

    Args:
        error: that it has raised.
        dtype: of its argument.
    """
    if isinstance(error, IndexError):
        return (
            f"must take any number of rows (walkers, dim), and raised: {error}; the first "
            f"coordinate of all rows is x[:, 0]"
        )
    if "numpy()" in str(error):
        return "must be made of torch operations on its argument, which give forces; numpy has none"
    if "dtype" in str(error):
        return (
            f"must take configurations of {dtype}, and raised: {error}; make its tables and "
            f"networks of that type, or choose dtype= of the density"
        )
    return None


def _is_one(number: float) -> bool:
    return number == 1.0
