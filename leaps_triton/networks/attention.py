"""Locally equivariant attention: one hollow layer (LEA), and two causal streams of any depth
(LETransformer).
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.checks import as_integer, as_seed
from ..kernels.hollow_network.reference import embed
from ..registry import register
from .base import (
    Conditions,
    LatticeModel,
    StateReadout,
    as_channels,
    positions,
    site_inputs,
    time_network,
)

__all__ = ["LEA", "LETransformer"]


def _checked_heads(channels: int, heads: int) -> tuple[int, int]:
    channels, heads = as_integer("channels", channels, 1), as_integer("heads", heads, 1)
    if channels % heads:
        raise ValueError(
            f"channels must be a multiple of heads, at least 1, got {channels} and {heads}"
        )
    return channels, heads


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    heads: int,
    mask: Tensor | None = None,
    causal: bool = False,
) -> Tensor:
    """Fused attention of several heads: ``(walkers, n, channels)`` of the shape of ``query``."""
    split = [values.unflatten(2, (heads, -1)).transpose(1, 2) for values in (query, key, value)]
    joined = F.scaled_dot_product_attention(split[0], split[1], split[2], mask, is_causal=causal)
    return joined.transpose(1, 2).flatten(2)


def _displacements(
    shape: Sequence[int], periodic: Sequence[bool], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Features of every displacement, ``(rows, features)``, and the row of each pair ``(i, j)``,
    ``(sites, sites)``.

    Sine and cosine of each direction's angle, the chord towards ``j`` over ``1 + r²``, and ``log(1
    + r²)`` with ``r`` the chord: smooth on the torus, and sharp among neighbours. An open direction
    is half of a circle.
    """
    circles = [
        length if wraps else 2 * length for length, wraps in zip(shape, periodic, strict=True)
    ]
    steps = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in circles], indexing="ij")
    angles = [2.0 * math.pi * step.flatten() / n for step, n in zip(steps, circles, strict=True)]
    chords = [n / (2.0 * math.pi) * torch.sin(a) for a, n in zip(angles, circles, strict=True)]
    squared = sum(
        ((n / math.pi * torch.sin(a / 2)) ** 2 for a, n in zip(angles, circles, strict=True))
    )
    assert isinstance(squared, Tensor)
    features = [f(a) for a in angles for f in (torch.sin, torch.cos)]
    features += [chord / (1.0 + squared) for chord in chords] + [torch.log1p(squared)]
    row = torch.zeros(math.prod(shape), math.prod(shape), dtype=torch.int64)
    for index, n in zip(
        torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij"), circles, strict=True
    ):
        place = index.flatten()
        row = row * n + (place.unsqueeze(0) - place.unsqueeze(1)) % n
    return torch.stack(features, 1).to(device), row.to(device)


@register("network")
class LEA(StateReadout):
    """One layer of attention: site ``i`` asks all others ``j ≠ i``, with a query that does not read
    ``x_i``.

    Queries are made from the couplings and the field at ``i`` and from ``t`` and ``β_t``, keys and
    values from the same at ``j`` and from ``x_j``; a network of the displacement ``r_j - r_i`` adds
    to the logits, and a key that every site sees, of logit and value 0, lets a site attend to
    nothing. A pointwise SiLU network follows. One layer of attention, since a second would read
    sites that have read ``x_i``. For every lattice of the model's dimension and boundaries,
    translation equivariant on periodic ones. Memory is of order ``heads · N²`` for all walkers of
    one evaluation, and as much a walker in training. Local equivariance holds bit for bit: the
    weight of ``x_i`` is exactly 0.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries.
        channels: of tokens and of ``h``, a multiple of ``heads``.
        heads: of attention.
        width: hidden width of the pointwise networks.
        local_field: add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at 0.2.
        seed: of the initial parameters.

    Call:
        ``network(configurations, conditions)`` → ``G`` ``(walkers, q-1, *shape)`` in the precision
        of the parameters.

    Raises:
        ValueError: a size below 1, channels that heads do not divide, configurations of another
            dimension.

    References:
        Holderrieth, Albergo, Jaakkola, *LEAPS*, arXiv:2502.10843 (2025).

    Example:
        >>> import leaps_triton as lt
        >>> path = lt.AnnealingPath(lt.Ising((4, 4), beta=0.4))
        >>> network = lt.LEA(path.model, channels=8, heads=2, width=16)
        >>> network(path.start.sample(torch.arange(2), seed=0), path.conditions(0.5)).shape
        torch.Size([2, 1, 4, 4])
    """

    def __init__(
        self,
        model: LatticeModel,
        channels: int = 32,
        heads: int = 4,
        width: int = 64,
        local_field: bool = True,
        seed: int = 0,
    ) -> None:
        channels, heads = _checked_heads(channels, heads)
        width, seed = as_integer("width", width, 1), as_seed(seed)
        super().__init__(model, channels, local_field, heads=heads, width=width, seed=seed)
        self.heads = heads
        embedded = as_channels(self.q)
        self.site = nn.Linear(2 * self.ndim + embedded, channels)
        self.state = nn.Linear(embedded, channels, bias=False)
        self.time = time_network(width, channels)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.displacement = nn.Sequential(
            nn.Linear(3 * self.ndim + 1, width), nn.SiLU(), nn.Linear(width, heads, bias=False)
        )
        self.pointwise = nn.Sequential(
            nn.Linear(2 * channels, width), nn.SiLU(), nn.Linear(width, channels)
        )
        self.initialise(seed)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``h``, ``(walkers, sites, channels)``."""
        walkers, *shape = configurations.shape
        dtype, sites = self.readout.dtype, math.prod(shape)
        physics = (
            site_inputs(conditions, shape, self.q, self.periodic, dtype).flatten(2).transpose(1, 2)
        )
        place = self.site(physics) + self.time(self.time_input(conditions, dtype)).unsqueeze(1)
        state = self.state(embed(configurations, self.q, dtype).flatten(2).transpose(1, 2))
        key, value = self.key_value(F.silu(place + state)).chunk(2, dim=2)
        query = self.query(F.silu(place)).expand(walkers, -1, -1)
        rest = (0, 0, 0, 1)
        features, row = _displacements(shape, self.periodic, configurations.device)
        mask = self.displacement(features.to(dtype)).T[:, row]
        itself = torch.eye(sites, dtype=torch.bool, device=mask.device)
        mask = F.pad(mask.masked_fill(itself, -math.inf), (0, 1))
        mask = mask.unsqueeze(0).expand(walkers, -1, -1, -1)
        seen = _attend(query, F.pad(key, rest), F.pad(value, rest), self.heads, mask)
        hidden: Tensor = self.pointwise(torch.cat([seen, place.expand(walkers, -1, -1)], 2))
        return hidden


class _Block(nn.Module):
    """Causal self-attention and a pointwise network, each added to what it reads, normalised."""

    def __init__(self, channels: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads = heads
        self.joint = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.pointwise = nn.Sequential(
            nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """``(walkers, n, channels)``; token ``m`` reads tokens up to ``m``."""
        shape = tokens.shape[2:]
        query, key, value = self.joint(F.layer_norm(tokens, shape)).chunk(3, dim=2)
        tokens = tokens + self.out(_attend(query, key, value, self.heads, causal=True))
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
    since the streams have an order. Local equivariance holds bit for bit.

    Args:
        model: gives ``q``, the number of dimensions and the boundaries.
        channels: of tokens and of ``h``, a multiple of ``heads``.
        heads: of attention.
        layers: blocks of each stream.
        width: hidden width of the pointwise networks.
        local_field: add a learned multiple of ``Σ_j J_ij [x_j = a]``, which starts at 0.2.
        seed: of the initial parameters.

    Call:
        ``network(configurations, conditions)`` → ``G`` ``(walkers, q-1, *shape)`` in the precision
        of the parameters.

    Raises:
        ValueError: a size below 1, channels that heads do not divide, configurations of another
            dimension.

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

    def __init__(
        self,
        model: LatticeModel,
        channels: int = 32,
        heads: int = 4,
        layers: int = 2,
        width: int = 64,
        local_field: bool = True,
        seed: int = 0,
    ) -> None:
        channels, heads = _checked_heads(channels, heads)
        layers, width, seed = (
            as_integer("layers", layers, 1),
            as_integer("width", width, 1),
            as_seed(seed),
        )
        super().__init__(
            model, channels, local_field, heads=heads, layers=layers, width=width, seed=seed
        )
        self.heads = heads
        embedded = as_channels(self.q)
        inputs = positions(
            model.lattice.shape, self.periodic, torch.float64, torch.device("cpu")
        ).shape[1]
        self.site = nn.Linear(inputs + 2 * self.ndim + embedded, channels)
        self.state = nn.Linear(embedded, channels, bias=False)
        self.first = nn.Parameter(torch.empty(2, channels))
        self.time = time_network(width, channels)
        streams = ([_Block(channels, heads, width) for _ in range(layers)] for _ in range(2))
        self.streams = nn.ModuleList([nn.Sequential(*blocks) for blocks in streams])
        self.query = nn.Linear(2 * channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.pointwise = nn.Sequential(
            nn.Linear(2 * channels, width), nn.SiLU(), nn.Linear(width, channels)
        )
        self.initialise(seed)

    def features(self, configurations: Tensor, conditions: Conditions) -> Tensor:
        """``h``, ``(walkers, sites, channels)``."""
        walkers, *shape = configurations.shape
        dtype = self.readout.dtype
        physics = (
            site_inputs(conditions, shape, self.q, self.periodic, dtype).flatten(2).transpose(1, 2)
        )
        where = positions(shape, self.periodic, dtype, configurations.device).unsqueeze(0)
        place = self.site(torch.cat([where.expand(len(physics), -1, -1), physics], 2))
        time = self.time(self.time_input(conditions, dtype)).unsqueeze(1)
        tokens = place + self.state(embed(configurations, self.q, dtype).flatten(2).transpose(1, 2))
        read = []
        # Each stream starts with a token that reads no site, so that its token i has read the sites
        # before site i.
        for stream, first, sites in zip(
            self.streams, self.first, (tokens[:, :-1], tokens[:, 1:].flip(1)), strict=True
        ):
            begin = first.expand(walkers, 1, -1)
            read.append(F.layer_norm(stream(torch.cat([begin, sites], 1) + time), first.shape))
        left, right = read[0], read[1].flip(1)
        key, value = self.key_value(torch.cat([left, right], 1)).chunk(2, dim=2)
        neighbours = torch.cat([left, right], 2)
        query = self.query(neighbours) + place + time
        index = torch.arange(query.shape[1], device=query.device)
        before = index.unsqueeze(0) <= index.unsqueeze(1)
        seen = _attend(query, key, value, self.heads, torch.cat([before, before.T], 1))
        hidden: Tensor = query + self.pointwise(torch.cat([seen, query], 2))
        return hidden
