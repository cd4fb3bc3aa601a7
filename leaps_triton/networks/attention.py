"""Locally equivariant attention: one hollow layer, or two causal streams of any depth.

:class:`LEA` is the layer and :class:`LETransformer` has the streams.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.checks import as_integer, as_seed
from ..kernels.hollow_network.reference import embed
from ..models.base import Conditions, EnergyModel
from ..registry import register
from .base import StateReadout, as_channels, place_inputs, time_network
from .places import Place

__all__ = ["LEA", "LETransformer"]


def _check_heads(channels: int, heads: int) -> None:
    if channels % heads:
        raise ValueError(
            f"channels must be a multiple of heads, at least 1, got {channels} and {heads}"
        )


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Return fused attention of several heads, ``(walkers, n, channels)`` as ``query``."""
    # Heads become an axis before the tokens.
    query = query.unflatten(2, (heads, -1)).transpose(1, 2)
    key = key.unflatten(2, (heads, -1)).transpose(1, 2)
    value = value.unflatten(2, (heads, -1)).transpose(1, 2)
    joined = F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal)
    return joined.transpose(1, 2).flatten(2)


def _index_embedding(place: Place, channels: int) -> nn.Parameter | None:
    """Return an embedding for each site of a graph; None on lattices, where waves tell places."""
    if not place.indexed:
        return None
    return nn.Parameter(torch.empty(place.indexed, channels))


@register("network")
class LEA(StateReadout):
    """One layer of attention: site ``i`` asks all others, with a query that does not read ``x_i``.

    Queries are made from the couplings and the field at ``i`` and from ``t`` and ``β_t``, keys and
    values from the same at ``j`` and from ``x_j``; a network of the displacement ``r_j - r_i`` adds
    to the logits, and a key that every site sees, of logit and value 0, lets a site attend to
    nothing. A pointwise SiLU network follows. One layer of attention, since a second would read
    sites that have read ``x_i``. For every lattice of the model's dimension and boundaries,
    translation equivariant on periodic ones; on a graph for it alone, where each site has a learned
    embedding and distances are steps along edges. Memory is of order ``heads · N²`` for all walkers
    of one evaluation, and as much per walker in training. Local equivariance holds bit for bit: the
    weight of ``x_i`` is exactly 0.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries.
        channels: number of values of a token and of ``h_i``, a multiple of ``heads``.
        heads: number of heads of attention.
        width: hidden width of the pointwise networks.
        local_field: whether to add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at
            0.2.
        seed: seed of the initial parameters.
        gauge: ``"heat_bath"`` for ``D`` in the place of ``G``, with rates ``[D_k]_+ p_k`` by the
            probabilities ``p`` of a heat bath, or ``"plain"``; see
            :func:`~leaps_triton.kernels.proposal_rates`.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters.

    Raises:
        ValueError: If a size is below 1, heads do not divide the channels, or configurations have
            another dimension.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> network = lt.LEA(path.model, channels=8, heads=2, width=16)
        >>> network(path.start.sample(torch.arange(2), seed=0), path.conditions(0.5)).shape
        torch.Size([2, 1, 4, 4])
    """

    on_graphs = True

    def __init__(
        self,
        model: EnergyModel,
        channels: int = 32,
        heads: int = 4,
        width: int = 64,
        local_field: bool = True,
        seed: int = 0,
        gauge: str = "heat_bath",
    ) -> None:
        channels = as_integer("channels", channels, 1)
        heads = as_integer("heads", heads, 1)
        _check_heads(channels, heads)
        width = as_integer("width", width, 1)
        seed = as_seed(seed)
        super().__init__(
            model, channels, local_field, heads=heads, width=width, seed=seed, gauge=gauge
        )
        self.heads = heads
        embedded = as_channels(self.q)
        self.site = nn.Linear(self.place.bonds + embedded, channels)
        self.state = nn.Linear(embedded, channels, bias=False)
        self.time = time_network(width, channels)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.displacement = nn.Sequential(
            nn.Linear(self.place.displacements, width),
            nn.SiLU(),
            nn.Linear(width, heads, bias=False),
        )
        self.pointwise = nn.Sequential(
            nn.Linear(2 * channels, width), nn.SiLU(), nn.Linear(width, channels)
        )
        self.index = _index_embedding(self.place, channels)
        self.initialise(seed)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``h``, ``(walkers, sites, channels)``."""
        walkers, *shape = configurations.shape
        dtype = self.readout.dtype
        physics = place_inputs(self.place, conditions, shape, dtype)
        time = self.time(self.time_input(conditions, dtype)).unsqueeze(1)
        place = self.site(physics.flatten(2).transpose(1, 2)) + time
        if self.index is not None:
            place = place + self.index
        embedded = embed(configurations, self.q, dtype)
        state = self.state(embedded.flatten(2).transpose(1, 2))
        key, value = self.key_value(F.silu(place + state)).chunk(2, dim=2)
        # The query reads what the site is, but not its state.
        query = self.query(F.silu(place)).expand(walkers, -1, -1)
        # One key and value more, all 0, that every site sees.
        rest = (0, 0, 0, 1)
        key = F.pad(key, rest)
        value = F.pad(value, rest)
        mask = self._mask(shape, dtype, configurations.device)
        mask = mask.expand(walkers, -1, -1, -1)
        seen = _attend(query, key, value, self.heads, mask)
        joined = torch.cat([seen, place.expand(walkers, -1, -1)], 2)
        hidden: Tensor = self.pointwise(joined)
        return hidden

    def _mask(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Return what displacements add to the logits, ``(1, heads, sites, sites + 1)``."""
        features, row = self.place.pairs(shape, device)
        added = self.displacement(features.to(dtype)).T[:, row]
        itself = torch.eye(math.prod(shape), dtype=torch.bool, device=device)
        # The weight of the site itself becomes exactly 0.
        hollow = added.masked_fill(itself, -math.inf)
        return F.pad(hollow, (0, 1)).unsqueeze(0)


class _Block(nn.Module):
    """Causal self-attention and a pointwise network, each added to what it reads, normalised.

    Args:
        channels: number of values of a token.
        heads: number of heads of attention.
        width: hidden width of the pointwise network.
    """

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.joint = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.pointwise = nn.Sequential(
            nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens ``(walkers, n, channels)``; token ``m`` reads tokens up to ``m``."""
        shape = tokens.shape[2:]
        joint = self.joint(F.layer_norm(tokens, shape))
        query, key, value = joint.chunk(3, dim=2)
        seen = _attend(query, key, value, self.heads, causal=True)
        tokens = tokens + self.out(seen)
        after: Tensor = tokens + self.pointwise(F.layer_norm(tokens, shape))
        return after


@register("network")
class LETransformer(StateReadout):
    """Two causal streams, left to right and right to left, and a readout that attends to both.

    In the order of rows, one stream has at site ``i`` read the sites before it and the other those
    after it, each through ``layers`` blocks of causal attention over tokens of state, position,
    couplings, field, ``t`` and ``β_t``; the readout of ``i`` attends to all of the first up to
    there and to all of the second from there on, so no depth lets it read ``x_i``. Attention is
    fused (``torch.nn.functional.scaled_dot_product_attention``): no tensor holds all triples of
    sites. For every lattice of the model's dimension and boundaries; not translation equivariant,
    since the streams have an order. On a graph for it alone, with a learned embedding per site.
    Local equivariance holds bit for bit.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries.
        channels: number of values of a token and of ``h_i``, a multiple of ``heads``.
        heads: number of heads of attention.
        layers: number of blocks of each stream.
        width: hidden width of the pointwise networks.
        local_field: whether to add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at
            0.2.
        seed: seed of the initial parameters.
        gauge: ``"heat_bath"`` for ``D`` in the place of ``G``, with rates ``[D_k]_+ p_k`` by the
            probabilities ``p`` of a heat bath, or ``"plain"``; see
            :func:`~leaps_triton.kernels.proposal_rates`.

    Call:
        ``network(configurations, conditions)`` → ``D`` (``G`` if plain) ``(walkers, q-1, *shape)``
        in the precision of the parameters.

    Raises:
        ValueError: If a size is below 1, heads do not divide the channels, or configurations have
            another dimension.

    References:
        *Discrete neural flow samplers with locally equivariant transformer*, arXiv:2505.17741
        (2025).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> network = lt.LETransformer(path.model, channels=8, heads=2, layers=1, width=16)
        >>> network(path.start.sample(torch.arange(2), seed=0), path.conditions(0.5)).shape
        torch.Size([2, 1, 4, 4])
    """

    on_graphs = True

    def __init__(
        self,
        model: EnergyModel,
        channels: int = 32,
        heads: int = 4,
        layers: int = 2,
        width: int = 64,
        local_field: bool = True,
        seed: int = 0,
        gauge: str = "heat_bath",
    ) -> None:
        channels = as_integer("channels", channels, 1)
        heads = as_integer("heads", heads, 1)
        _check_heads(channels, heads)
        layers = as_integer("layers", layers, 1)
        width = as_integer("width", width, 1)
        seed = as_seed(seed)
        super().__init__(
            model,
            channels,
            local_field,
            heads=heads,
            layers=layers,
            width=width,
            seed=seed,
            gauge=gauge,
        )
        self.heads = heads
        embedded = as_channels(self.q)
        inputs = self.place.waves + self.place.bonds + embedded
        self.site = nn.Linear(inputs, channels)
        self.state = nn.Linear(embedded, channels, bias=False)
        # What each stream reads before the first site.
        self.first = nn.Parameter(torch.empty(2, channels))
        self.time = time_network(width, channels)
        self.streams = nn.ModuleList()
        for _ in range(2):
            blocks = [_Block(channels, heads, width) for _ in range(layers)]
            self.streams.append(nn.Sequential(*blocks))
        self.query = nn.Linear(2 * channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.pointwise = nn.Sequential(
            nn.Linear(2 * channels, width), nn.SiLU(), nn.Linear(width, channels)
        )
        self.index = _index_embedding(self.place, channels)
        self.initialise(seed)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """Return ``h``, ``(walkers, sites, channels)``."""
        shape = tuple(configurations.shape[1:])
        dtype = self.readout.dtype
        physics = place_inputs(self.place, conditions, shape, dtype)
        physics = physics.flatten(2).transpose(1, 2)
        where = self.place.positions(shape, dtype, configurations.device)
        where = where.expand(len(physics), -1, -1)
        place = self.site(torch.cat([where, physics], 2))
        if self.index is not None:
            place = place + self.index
        time = self.time(self.time_input(conditions, dtype)).unsqueeze(1)
        embedded = embed(configurations, self.q, dtype)
        tokens = place + self.state(embedded.flatten(2).transpose(1, 2))
        left, right = self._read(tokens, time)
        both = self.key_value(torch.cat([left, right], 1))
        key, value = both.chunk(2, dim=2)
        neighbours = torch.cat([left, right], 2)
        query = self.query(neighbours) + place + time
        # Site i sees the tokens of the first stream up to its own, of the second from its own on.
        index = torch.arange(query.shape[1], device=query.device)
        before = index.unsqueeze(0) <= index.unsqueeze(1)
        mask = torch.cat([before, before.T], 1)
        seen = _attend(query, key, value, self.heads, mask)
        hidden: Tensor = query + self.pointwise(torch.cat([seen, query], 2))
        return hidden

    def _read(self, tokens: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return what both streams have read where they come to each site, before they read it.

        Args:
            tokens: ``(walkers, sites, channels)``.
            time: ``(1 | walkers, 1, channels)``.

        Returns:
            From the left and from the right, ``(walkers, sites, channels)`` each.
        """
        # Each stream starts with a token that reads no site, so that its token i has read the sites
        # before site i.
        ordered = (tokens[:, :-1], tokens[:, 1:].flip(1))
        read: list[Tensor] = []
        for stream, first, sites in zip(self.streams, self.first, ordered, strict=True):
            begin = first.expand(len(tokens), 1, -1)
            inputs = torch.cat([begin, sites], 1) + time
            read.append(F.layer_norm(stream(inputs), first.shape))
        return read[0], read[1].flip(1)
