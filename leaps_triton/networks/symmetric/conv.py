"""A convolution with the symmetries of its model, conditioned on the inverse temperature."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from ...kernels.checks import expect
from ...models.base import Conditions, EnergyModel
from ...models.pair import PairModel
from ...registry import register
from ..base import Equivariant, expect_states
from .follower import Follower
from .geometry import Orbits, orbits
from .inputs import Inputs, Sight, look, mixed
from .layers import Stack, time_basis
from .settings import (
    alike,
    checked,
    copy_layers,
    first_columns,
    grown,
    move_skip,
    varies,
)
from .sums import orbit_sums

__all__ = ["SymmetricConv"]

_STANDING = ("response", "gate")
"""Settings that say what a network stands on."""


@register("network")
class SymmetricConv(Equivariant):
    """A hollow convolution that has the symmetries of its model by construction.

    Where a sign exchanges the two states (Ising models, ±J and Gaussian glasses), ``f_1(i) -
    f_0(i)`` is odd under ``s → -s``, jointly with the fields. Else ``f_a(i)`` is one function of
    the charges ``φ_a(x_j) = φ(a, x_j)`` for every state ``a``, mixed by the mean over states: it
    goes along with every permutation of states that leaves the bond table as it is.

    Inputs of site ``i``, none of which reads ``x_i``: charges in a ``K × … × K`` window without its
    centre; their sums over annuli; their mean over the other sites; the local field
    ``Σ_j J_ij φ_a(x_j) + h_i(a)`` and its powers; products of neighbours and their neighbours.
    Layers are ``tanh(W z ∘ (1 + V e + T b(u)))``, with even inputs ``e`` (powers of local field and
    mean, the energy around the site) and functions ``b`` of ``u = β_t / β``. The last layer is read
    with weights that are functions of ``u``; multiples of the local field and, with ``rings``, a
    kernel ``Σ_j K_u(i, j) φ_a(x_j)`` that has one weight per orbit of displacements, are added.

    Where couplings of such two states vary from bond to bond, there are walks of couplings in the
    place of taps, annuli and orbits, ``Σ_j (J ⋯ J)_ij s_j`` over walks of 2, 3, … steps: then
    ``s_i → ε_i s_i`` and ``J_ij → ε_i ε_j J_ij`` together change nothing, and one network can be
    evaluated on every instance, while a :class:`~leaps_triton.Trainer` trains on one, and a
    response is of one instance. Their matrices are dense, for lattices up to a few thousand sites.

    Sums over the lattice are sums of integers, rounded to these where an FFT makes them, so local
    equivariance holds bit for bit. Its output is a rate per unit of β, and reads β_t but not
    ``t``: a network serves every schedule, and every β up to its own.

    Args:
        model: a pair model; couplings, field and β_t come with each call.
        kernel_size: ``K``, odd, at most 63. Taps that wrap around a small lattice onto the site
            are masked. With couplings that vary, walks have up to ``(K + 1) / 2`` steps, at least
            2.
        widths: values of each layer.
        rings: whether to learn a kernel over all displacements; the network is then for lattices of
            the model's shape, and :meth:`for_model` moves it to another.
        window: sites a side of the window for annuli, mean and energy, odd and at least 3; None for
            the whole lattice. A network with a window can be moved to larger lattices.
        seed: seed of the initial parameters.
        beta: ``β`` at which ``u = 1``; None for that of the model.
        fields: whether fields are inputs of their own; None for whether the model has one.
        incremental: whether :class:`~leaps_triton.Jump` without domains keeps what the taps make
            for each walker and brings it up to date after a move, on a CPU; see
            :class:`~leaps_triton.networks.symmetric.follower.Follower`.
        gauge: ``"heat_bath"`` or ``"plain"``: what the output stands for.
        whole: whether mean and energy of the whole lattice are read beside those of the window.
        focus: ``β`` near which rates change fastest, where functions of the time are dense; None
            for the end of the path.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters.

    Raises:
        ValueError: If the model has no bond table, or a size is none.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((6, 6), beta=0.4)
        >>> path = lt.AnnealingPath(model)
        >>> network = lt.SymmetricConv(model, kernel_size=3, widths=(8, 4))
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> network(x, path.conditions(0.5)).shape
        torch.Size([2, 1, 6, 6])
        >>> larger = network.for_model(lt.Ising((8, 8), beta=0.4))
        >>> larger.grow(kernel_size=5, widths=(16, 8)).kernel_size
        5
    """

    clock = "beta"
    """What the output is a rate per unit of."""
    table: Tensor

    def __init__(
        self,
        model: EnergyModel,
        kernel_size: int = 7,
        widths: Sequence[int] = (64, 32),
        rings: bool = True,
        window: int | None = None,
        seed: int = 0,
        beta: float | None = None,
        fields: bool | None = None,
        incremental: bool = True,
        gauge: str = "heat_bath",
        whole: bool = False,
        focus: float | None = None,
    ) -> None:
        expect_states(type(self).__name__, model)
        has_table = isinstance(model, PairModel)
        wanted = "a pair model, which has a bond_table; others can use HollowConv"
        expect(has_table, "model", wanted, model)
        assert isinstance(model, PairModel)
        given = {
            "kernel_size": kernel_size,
            "widths": widths,
            "rings": rings,
            "window": window,
            "seed": seed,
            "beta": beta,
            "fields": fields,
            "incremental": incremental,
            "gauge": gauge,
            "whole": whole,
            "focus": focus,
        }
        super().__init__(model, **checked(given, model))
        self.kernel_size: int = self.settings["kernel_size"]
        self.widths: tuple[int, ...] = tuple(self.settings["widths"])
        self.rings: bool = self.settings["rings"]
        self.window: int | None = self.settings["window"]
        self.beta: float = self.settings["beta"]
        self.incremental: bool = self.settings["incremental"]
        self.whole: bool = self.settings["whole"]
        self.focus: float | None = self.settings["focus"]
        self._read(model)
        self._make_layers()
        self.stack.initialise(self.settings["seed"])
        # What the network stands on has the linear part to begin with.
        nn.init.zeros_(self.skip.weight)

    def _read(self, model: PairModel) -> None:
        """Keep what the inputs need of the model."""
        self.model = model
        table = model.bond_table
        self.shape = model.lattice.shape
        self.alike = alike(model)
        strength: float | None = None
        self.channels = self.q
        if self.q == 2 and model.symmetry == "permutation":
            strength = 0.5 * float(table[0, 0] - table[0, 1])
            self.channels = 1
        steps = 0
        if varies(model):
            steps = max(2, (self.kernel_size + 1) // 2)
        focus = self.focus
        if focus is not None:
            focus = focus / self.beta
        self.sight = Sight(
            self.kernel_size,
            self.window,
            self.settings["fields"],
            self.periodic,
            strength,
            steps,
            self.whole,
            focus,
        )
        # It is the model's, which a file holds beside the network.
        self.register_buffer("table", table.float(), persistent=False)

    def _make_layers(self) -> None:
        """Make all parameters, in the order in which files hold them."""
        self.stack = Stack(self.sight, self.channels, self.widths)
        # Multiples of the local field and of the field come before the kernel.
        outputs = 1
        if self.sight.fields:
            outputs += 1
        self.direct = outputs
        if self.rings and self.sight.steps:
            outputs += self.sight.steps - 1
        elif self.rings:
            outputs += len(self.orbits(torch.device("cpu")).sizes)
        self.skip = nn.Linear(self.sight.times, outputs, bias=False)

    @property
    def reach(self) -> int | None:
        """The largest distance, in any direction, of a site that ``D`` reads; None for all."""
        if self.reads_all or (self.rings and not self.sight.steps):
            return None
        return self.local_reach

    @property
    def local_reach(self) -> int | None:
        """The reach of the layers, without the kernel over all displacements."""
        if self.window is None or self.whole:
            return None
        # Neighbours of neighbours are read whatever the kernel; the energy around a site has bonds
        # that lead out of the window.
        least = max(2, self.window // 2 + 1)
        if self.sight.steps:
            return max(least, self.sight.steps)
        return max(least, self.kernel_size // 2)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another dimension, and with ``rings`` another shape.

        Raises:
            ValueError: If the lattice is one of these.
        """
        super().check_shape(shape)
        if self.rings and not self.sight.steps and tuple(shape) != self.shape:
            raise ValueError(
                f"this SymmetricConv has a kernel over the lattice of shape {self.shape}, got "
                f"shape {tuple(shape)}; move it by network.for_model(model)"
            )

    def check_model(self, model: EnergyModel) -> None:
        """Refuse a model with another bond table too.

        Raises:
            ValueError: If it has one, or the lattice is refused.
        """
        super().check_model(model)
        table = getattr(model, "bond_table", None)
        same = table is not None and torch.equal(table.float().cpu(), self.table.float().cpu())
        if not same:
            raise ValueError(
                f"this SymmetricConv was made for another bond_table than that of {model!r}; make "
                f"one for it by SymmetricConv(model)"
            )

    def orbits(self, device: torch.device) -> Orbits:
        """Return the orbits of the kernel."""
        return orbits(self.shape, self.periodic, self.alike, device)

    def grow(
        self,
        kernel_size: int | None = None,
        widths: Sequence[int] | None = None,
        seed: int | None = None,
        whole: bool | None = None,
    ) -> Self:
        """Return a larger network with the same values, whose new parameters can learn.

        Args:
            kernel_size: that of the larger one; None for the same.
            widths: as many as there are, none of them smaller; None for the same.
            seed: seed of the new parameters; None for one more than that of this network.
            whole: whether the larger one reads the whole lattice beside its window; None for as
                this one does.

        Raises:
            ValueError: If a size is smaller, or there are more or fewer layers, or ``whole`` is
                given up, or has no window beside it.
        """
        wanted = {"kernel_size": kernel_size, "widths": widths, "seed": seed, "whole": whole}
        changed = grown(self.settings, wanted)
        larger = self._another(self.model, **changed)
        before = self.stack.layers[0].odd.weight.shape[1]
        columns = first_columns(self.sight, larger.sight, before)
        copy_layers(larger.stack, self.stack, columns)
        move_skip(larger, self)
        if self.response is not None:
            larger.stand_on(self.response, self.gate)
        return larger

    def for_model(self, model: EnergyModel, **changes: Any) -> Self:
        """Return a network with the same parameters for another lattice.

        A kernel over all displacements is carried over: a displacement half way round one lattice
        stands for two of a larger one, which share its weight. A linear response is not: it is of
        one model, and :func:`leaps_triton.training.transfer` fits another.

        Args:
            model: of the same states and dimension.
            changes: settings that may change: ``window``, ``beta``, ``gauge``.

        Raises:
            ValueError: If the model has other states or dimensions, or couplings of another kind,
                or another setting is named.
        """
        may = ("window", "beta", "gauge")
        unknown = [name for name in changes if name not in may]
        expect(not unknown, "settings of for_model", f"among {', '.join(may)}", unknown)
        if model.q != self.q:
            raise self._of_another(f"{model!r} has q = {model.q}")
        Equivariant.check_shape(self, model.lattice.shape)
        moved = self._another(model, **changes)
        # Walks take the place of taps, and a sign that of permutations: other weights.
        if (moved.sight.steps, moved.channels) != (self.sight.steps, self.channels):
            raise ValueError(
                f"this SymmetricConv reads other inputs than one of {model!r} (couplings that "
                f"vary, or another bond table); make one for it by SymmetricConv(model)"
            )
        inputs = self.stack.layers[0].odd.weight.shape[1]
        copy_layers(moved.stack, self.stack, torch.arange(inputs))
        move_skip(moved, self)
        return moved

    def _another(self, model: EnergyModel, **changes: Any) -> Self:
        """Return a network of other settings, where and in the precision in which this one is."""
        # What the network stands on is no argument of its constructor.
        own = {key: value for key, value in self.settings.items() if key not in _STANDING}
        made = type(self)(model, **{**own, **changes})
        weight = self.skip.weight
        return made.to(weight.device, weight.dtype)

    def embed_time(self, conditions: Conditions) -> Tensor:
        """Return the functions of ``β_t``, ``(1 | walkers, times)``."""
        # A path of negative β has its end at u = 1 too.
        progress = conditions.beta.abs() / self.beta
        return time_basis(progress.to(self.skip.weight.dtype), self.sight.focus)

    def look(self, configurations: Tensor, conditions: Conditions) -> Inputs:
        """Return what the network reads at every place."""
        table = self.table.to(self.skip.weight.dtype)
        return look(configurations, conditions, self.sight, table)

    def follow(self, walkers: int) -> Follower | None:
        """Return what evaluates a block of walkers along its path, with ``incremental``.

        Args:
            walkers: their number in the block.

        Returns:
            None where the network itself evaluates them: on a GPU, where events are recorded, and
            without taps.
        """
        on_cpu = self.skip.weight.device.type == "cpu"
        if not self.incremental or not on_cpu or not self.sight.taps:
            return None
        return Follower(self, walkers)

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)``, ``(walkers, q, *shape)``."""
        inputs = self.look(configurations, conditions)
        time = self.embed_time(conditions)
        if torch.is_grad_enabled():
            # Gradients by walker are told from the rows of every layer.
            time = time.expand(len(configurations), -1)
            read = self.stack(inputs, time)
        else:
            read = self.stack.in_blocks(inputs, time)
        return self.finished(read, inputs, time)

    def finished(self, read: Tensor, inputs: Inputs, time: Tensor) -> Tensor:
        """Return the values, ``(walkers, q, *shape)``, from the readout of the layers.

        Args:
            read: ``(walkers, places)``.
            inputs: those of every place.
            time: functions of the time, ``(1 | walkers, times)``.
        """
        shape = inputs.local.shape[2:]
        made = read.view_as(inputs.local) + self._skipped(inputs, time, shape)
        if self.channels > 1:
            return made
        # The field that turns the spin, halved between both states.
        half = 0.5 * made
        return torch.cat([-half, half], 1)

    def _skipped(self, inputs: Inputs, time: Tensor, shape: Sequence[int]) -> Tensor:
        """Return what is added to the readout, ``(walkers, channels, *shape)``."""
        # Local field, field, then the kernel over displacements or walks.
        weights = self.skip(time)
        spread = (len(weights), -1, *[1] * len(shape))
        made = weights[:, :1].view(spread) * inputs.local
        if self.sight.fields:
            made = made + weights[:, 1:2].view(spread) * inputs.field
        if not self.rings:
            return made
        if inputs.walks is not None:
            of_walks = weights[:, self.direct :].view(spread) * inputs.walks
            return made + of_walks.sum(1, keepdim=True)
        table = self.orbits(weights.device)
        sums = orbit_sums(weights[:, self.direct :], inputs.transform, table, shape, self.periodic)
        mixing: Tensor | None = None
        if self.channels > 1:
            charges = self.table.to(sums.dtype)
            mixing = charges - charges.mean(0, keepdim=True)
        return made + mixed(sums, mixing, sums.dtype)
