"""A hollow convolution with global context: the network that sees most for its price."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .. import kernels
from ..kernels.checks import as_bool, as_integer, as_seed, expect
from ..models.base import Conditions, EnergyModel
from ..registry import register
from .base import Equivariant, as_channels, check_kernel, initialise, time_network
from .incremental import Follower

__all__ = ["HollowConv"]


_TIME_CHANNELS = 16


@register("network")
class HollowConv(Equivariant):
    """A hollow convolution and global context, read by a pointwise network with time embedding.

    Features of site ``i``, none of which reads ``x_i``: a ``K × … × K`` convolution whose centre
    tap is masked; the local field ``Σ_j J_ij [x_j = a]``; the leave-one-out magnetisation; the
    leave-one-out Fourier sums ``Σ_{j≠i} [x_j = a] cos, sin(k·(r_j - r_i))`` of the longest waves. A
    three-layer SiLU network, conditioned on ``t`` and ``β_t``, maps them to one value ``f_a(i)``
    per state, to which a multiple of the local field is added, and
    ``G_k(i) = f_{x_i+k}(i) - f_{x_i}(i)``. Sums over the lattice are sums of integers, so local
    equivariance holds bit for bit wherever the convolution sums directly (torch on a CPU and the
    kernels do; ``incremental`` does not). Translation equivariant on periodic lattices, up to the
    rounding of the Fourier tables (at most 2⁻¹⁰).

    Args:
        model: gives ``q``, the number of dimensions and the boundaries; couplings, field and β come
            with each call.
        kernel_size: ``K``, odd; the radius ``(K-1)/2`` must be smaller than every periodic length.
        channels: output channels of the convolution.
        width: hidden width of the pointwise network.
        modes: number of wave vectors, 0 for none.
        global_features: False for neither magnetisation nor waves: then ``G`` reads no site farther
            away than the radius, as :class:`~leaps_triton.integrators.jump.Jump` needs for domains.
        seed: seed of the initial parameters.
        precision: precision of matrix products, the same as in
            :func:`~leaps_triton.kernels.hollow_values`: on CUDA devices ``"float32"``,
            ``"tf32x3"`` or ``"tf32"``; on a CPU ``"float32"``, or ``"bfloat16"`` for evaluations
            without gradients (see there for what it costs in accuracy, and for which CPUs it is).
            Training is in float32 on a CPU, and so are evaluations with ``incremental``.
        incremental: whether :class:`~leaps_triton.integrators.jump.Jump` without domains keeps each
            walker's features between two events and brings them up to date after a move; see
            :class:`~leaps_triton.networks.incremental.Follower`.
        gauge: ``"heat_bath"`` for ``D`` in the place of ``G``, with rates ``[D_k]_+ p_k`` by the
            probabilities ``p`` of a heat bath, or ``"plain"``; see
            :func:`~leaps_triton.kernels.proposal_rates`.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters, for any shape of the model's dimension that is
        larger than the radius.

    Raises:
        ValueError: If the kernel is even or too large, the precision is unknown, or configurations
            have another dimension.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025), for local equivariance and
        hollow convolutions.

    Example:
        >>> import leaps_triton as lt
        >>> model = lt.Ising((6, 6), beta=0.4)
        >>> path = lt.AnnealingPath(model)
        >>> network = lt.HollowConv(model, kernel_size=3, channels=4, width=8)
        >>> x = path.start.sample(torch.arange(2), seed=0)
        >>> network(x, path.conditions(0.5)).shape
        torch.Size([2, 1, 6, 6])
    """

    def __init__(
        self,
        model: EnergyModel,
        kernel_size: int = 7,
        channels: int = 32,
        width: int = 64,
        modes: int = 4,
        seed: int = 0,
        global_features: bool = True,
        precision: str = "float32",
        incremental: bool = False,
        gauge: str = "heat_bath",
    ) -> None:
        kernel_size = as_integer("kernel_size", kernel_size, 0)
        expect(kernel_size % 2 == 1, "kernel_size", "odd and positive", kernel_size)
        channels = as_integer("channels", channels, 1)
        width = as_integer("width", width, 1)
        modes = as_integer("modes", modes, 0)
        seed = as_seed(seed)
        global_features = as_bool("global_features", global_features)
        incremental = as_bool("incremental", incremental)
        precision = kernels.as_precision("hollow_values", precision)
        super().__init__(
            model,
            kernel_size=kernel_size,
            channels=channels,
            width=width,
            modes=modes,
            seed=seed,
            global_features=global_features,
            precision=precision,
            incremental=incremental,
            gauge=gauge,
        )
        self.precision = precision
        self.incremental = incremental
        self.kernel_size = kernel_size
        self.global_features = global_features
        self.modes = 0
        if global_features:
            self.modes = modes
        self.check_shape(model.lattice.shape)
        self._make_layers(channels, width)
        initialise(self, seed)
        # Small but not zero: G = 0 is a stationary point of the loss.
        with torch.no_grad():
            self.readout.weight.mul_(0.1)

    def _make_layers(self, channels: int, width: int) -> None:
        """Make all parameters, in the order in which files hold them and seeds draw them."""
        self.embedded = as_channels(self.q)
        taps = (self.kernel_size,) * self.ndim
        self.conv = nn.Parameter(torch.empty(channels, self.embedded, *taps))
        # The local field and the external field, the magnetisation, a cosine and a sine per wave.
        groups = 2
        if self.global_features:
            groups += 1 + 2 * self.modes
        inputs = channels + self.embedded * groups + _TIME_CHANNELS
        self.first = nn.Linear(inputs, width, bias=False)
        self.hidden = nn.Linear(width, width)
        self.readout = nn.Linear(width, self.q)
        self.time = time_network(width, _TIME_CHANNELS).append(nn.SiLU())
        self.skip = nn.Parameter(torch.tensor(0.2))

    @property
    def reach(self) -> int | None:
        """The largest distance, in any direction, of a site that ``G`` reads; None for all."""
        if self.global_features or self.reads_all:
            return None
        # Neighbours are read whatever the kernel: the local field has them.
        return max(1, self.kernel_size // 2)

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuse another dimension, and lattices that the kernel reaches around.

        Raises:
            ValueError: If the lattice is one of these.
        """
        super().check_shape(shape)
        check_kernel(self.kernel_size, shape, self.periodic)

    def embed_time(self, conditions: Conditions) -> Tensor:
        """Return the features of ``t`` and ``β_t``, ``(1 | walkers, times)``."""
        features: Tensor = self.time(self.time_input(conditions, self.conv.dtype))
        return features

    def follow(self, walkers: int) -> Follower | None:
        """Return what evaluates a block of walkers along its path, if ``incremental``.

        Args:
            walkers: their number in the block.

        Returns:
            None where the network itself evaluates them, as it does where it stands on a response.
        """
        if not self.incremental or self.response is not None:
            return None
        return Follower(self, walkers)

    def values(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``f_a(i)``, ``(walkers, q, *shape)``."""
        dtype = self.conv.dtype
        return kernels.hollow_values(
            configurations.to(torch.int8),
            conditions.coupling.to(dtype),
            conditions.field.to(dtype),
            self.embed_time(conditions),
            self.conv,
            self.first.weight,
            self.hidden.weight,
            self.hidden.bias,
            self.readout.weight,
            self.readout.bias,
            self.skip,
            self.periodic,
            self.global_features,
            self.modes,
            self.precision,
        )
