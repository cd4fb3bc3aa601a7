"""Kernels of the op ``hollow_values``: features and network in one, activations on chip."""

import itertools
import math
from functools import partial
from typing import NamedTuple, TypeAlias

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import Config, config
from ..device import kernel
from ..graphs.packing import packed
from ..tuning.cache import tuned
from ..variants import Variant, block_size, check_places, launch, site_stride
from . import reference
from .reference import Values
from .tables import TILE, Columns, columns, geometry, pack, sums, widened
from .triton_features import first_layer, product, sigmoid, state_count

__all__ = ["PRECISIONS", "VARIANTS", "WIDTHS", "hollow_values"]

PRECISIONS = {"tf32": "tf32", "tf32x3": "tf32x3", "float32": "ieee"}
"""Of matrix products, and what Triton calls each."""
WIDTHS = (16, 32, 64, 128)
"""Hidden widths with kernels; one between is filled up with zeros, a larger one left to torch."""
PIECE = 2**28
"""Sites of one launch at most."""


@kernel
def prepare_kernel(
    p_x, p_source, p_channel, p_group, p_tables, p_padded, p_sums,
    sites: tl.int32, padded: tl.int32, count: tl.int32,
    BINARY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Pad the configuration, and sum ``A = Σ_j x_j a_j``, ``B = Σ_j x_j b_j`` of every column.

    One program per walker. ``x`` is a channel of the embedding: ±1 for two states, otherwise 1
    where the site is in the channel's state. All are integers, so that the sums are exact.

    ``x`` int8 ``(walkers, sites)``; ``source`` int32 ``(padded,)``; ``channel``, ``group`` int32
    ``(count,)``; ``tables`` float64 ``(groups, 5, sites)``; ``padded`` int8 ``(walkers, padded)``,
    beyond an open edge 0 for two states, -1 for more; ``sums`` float64 ``(walkers, count, 2)``.
    """
    i_walker = tl.program_id(0).to(tl.int64)
    # An index of 64 bits, since all walkers together may have more than 2³¹ sites.
    p_x += i_walker * sites
    p_padded += i_walker * padded
    p_sums += i_walker * count * 2
    for o_start in range(0, padded, BLOCK):
        o_place = o_start + tl.arange(0, BLOCK)
        m_place = o_place < padded
        o_site = tl.load(p_source + o_place, mask=m_place, other=-1)
        b_x = tl.load(p_x + o_site, mask=o_site >= 0, other=0)
        b_x = tl.where(o_site >= 0, 2 * b_x - 1, 0) if BINARY else tl.where(o_site >= 0, b_x, -1)
        tl.store(p_padded + o_place, b_x.to(tl.int8), mask=m_place)
    for column in range(count):
        channel = tl.load(p_channel + column)
        # Rows 3 and 4 of a group's five are what is summed, a and b.
        p_table = p_tables + (tl.load(p_group + column) * 5 + 3) * sites
        # Integers in float64: exact in whatever order they are added.
        b_a = tl.zeros([BLOCK], tl.float64)
        b_b = tl.zeros([BLOCK], tl.float64)
        for o_start in range(0, sites, BLOCK):
            o_site = o_start + tl.arange(0, BLOCK)
            m_site = o_site < sites
            b_x = tl.load(p_x + o_site, mask=m_site, other=0).to(tl.int32)
            b_x = 2 * b_x - 1 if BINARY else (b_x == channel).to(tl.int32)
            b_x = b_x.to(tl.float64)
            b_a += b_x * tl.load(p_table + o_site, mask=m_site, other=0.0)
            b_b += b_x * tl.load(p_table + sites + o_site, mask=m_site, other=0.0)
        tl.store(p_sums + 2 * column, tl.sum(b_a))
        tl.store(p_sums + 2 * column + 1, tl.sum(b_b))


@kernel
def hollow_values_kernel(
    p_padded, p_base, p_taps, p_channel, p_group, p_tables, p_inverse, p_sums, p_coupling, p_steps,
    p_backward,
    p_field, p_first, p_time, p_hidden, p_hidden_bias, p_readout, p_readout_bias, p_skip, p_values,
    rows: tl.int32, sites: tl.int32, padded: tl.int32, ndim: tl.int32, q: tl.int32,
    channels: tl.int32,
    taps: tl.int32, count: tl.int32, s_coupling_walker: tl.int32, s_coupling_axis: tl.int32,
    s_coupling_site: tl.int32, s_field_walker: tl.int32, s_field_state: tl.int32,
    s_field_site: tl.int32,
    s_time: tl.int32,
    WIDTH: tl.constexpr, BINARY: tl.constexpr, PRECISION: tl.constexpr, TILE: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Compute ``f = V silu(U silu(W features + time) + u) + v + skip · local field``.

    Features are those of the twin. One program per block of sites, of one or several walkers. A
    site's features never read its own state: its tap is not among the taps, and sums over the
    lattice leave it out exactly.

    ``padded`` int8 ``(walkers, padded)`` and ``sums`` float64 ``(walkers, count, 2)`` from
    :func:`prepare_kernel`; tables of :mod:`.tables`; ``first`` ``(columns, WIDTH)``, ``time`` ``(1
    | walkers, WIDTH)``, ``hidden`` ``(WIDTH, WIDTH)``, ``readout`` ``(q, WIDTH)``, biases and
    ``skip``, float32; ``values`` ``(walkers, q, sites)``.
    """
    o_row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    m_row = o_row < rows
    # Rows are not negative, so unsigned division gives the same.
    i_row = (o_row.to(tl.uint32) // sites.to(tl.uint32)).to(tl.int32)
    o_site = o_row - i_row * sites
    # Rows beyond the last read the first walker, and are not stored.
    i_walker = tl.where(m_row, i_row, 0).to(tl.int64)
    p_place = p_padded + i_walker * padded + tl.load(p_base + o_site, mask=m_row, other=0)
    hidden = first_layer(
        p_place, m_row, i_walker, o_site, p_taps, p_channel, p_group, p_tables, p_inverse, p_sums,
        p_coupling, p_steps,
        p_backward, p_field, p_first, p_time, sites, ndim, channels, taps, count,
        s_coupling_walker, s_coupling_axis,
        s_coupling_site, s_field_walker, s_field_state, s_field_site, s_time, WIDTH, BINARY,
        PRECISION, TILE,
    )  # fmt: skip
    # silu(z) = z σ(z).
    hidden *= sigmoid(hidden)
    o_width = tl.arange(0, WIDTH)
    bias = tl.zeros([ROWS, WIDTH], tl.float32) + tl.load(p_hidden_bias + o_width)[None, :]
    hidden = product(hidden, p_hidden, bias, ROWS, WIDTH, PRECISION, TILE)
    hidden *= sigmoid(hidden)
    skip = tl.load(p_skip)
    p_value = p_values + i_walker * q * sites + o_site
    for state in range(q):
        value = tl.sum(hidden * tl.load(p_readout + state * WIDTH + o_width)[None, :], 1)
        value += tl.load(p_readout_bias + state)
        value += skip * state_count(
            p_place, m_row, i_walker, o_site, p_coupling, p_steps, p_backward, state, ndim, sites,
            s_coupling_walker, s_coupling_axis, s_coupling_site, BINARY,
        )  # fmt: skip
        tl.store(p_value, value, mask=m_row)
        p_value += sites


def _prepare(binary: bool) -> Variant:
    integer = torch.int32
    double = torch.float64
    pointers = (torch.int8, integer, integer, integer, double, torch.int8, double)
    made = config("hollow_network", "prepare")
    return Variant(prepare_kernel, pointers, {"BINARY": binary, **made.constants}, warps=made.warps)


Pointers: TypeAlias = tuple[torch.dtype, ...]

INPUTS = (
    torch.int8, torch.int32, torch.int32, torch.int32, torch.int32, torch.float64, torch.float64,
    torch.float64,
    torch.float32, torch.int32, torch.int32, *(torch.float32,) * 8,
)  # fmt: skip
"""Dtypes of ``p_padded`` … ``p_skip``."""


def network_variant(
    function: object, pointers: Pointers, key: tuple[bool, int, str], made: Config
) -> Variant:
    """Return a variant of a kernel that computes the network.

    Args:
        function: The kernel.
        pointers: Dtypes of its tensors.
        key: Whether there are two states, the width, and the precision.
        made: Its configuration.
    """
    binary, width, precision = key
    given = {
        "WIDTH": width,
        "BINARY": binary,
        "PRECISION": PRECISIONS[precision],
        "TILE": TILE,
        **made.constants,
    }
    return Variant(
        function,
        pointers,
        given,
        warps=made.warps,
        stages=made.stages,
        registers=made.registers,
    )


def _forward(key: tuple[bool, int, str]) -> Variant:
    made = config("hollow_network", "forward", *key[1:])
    return network_variant(hollow_values_kernel, (*INPUTS, torch.float32), key, made)


PREPARE = {binary: _prepare(binary) for binary in (True, False)}
FORWARD = {key: _forward(key) for key in itertools.product((True, False), WIDTHS, PRECISIONS)}
KIND = {True: "binary", False: "general"}
"""Names of the values of BINARY."""
VARIANTS = {("prepare", KIND[key]): v for key, v in PREPARE.items()} | {
    ("forward", KIND[key[0]], *key[1:]): v for key, v in FORWARD.items()
}


class OfWalkers(NamedTuple):
    """The arguments that some walkers, or all, share or have of their own."""

    configurations: Tensor
    coupling: Tensor
    field: Tensor
    time: Tensor


class Prepared(NamedTuple):
    """What the kernels that compute the network are given, for some of the walkers."""

    tensors: tuple[Tensor, ...]
    """``p_padded`` … ``p_skip``"""
    numbers: tuple[int, ...]
    """``rows`` … ``s_time``"""
    key: tuple[bool, int, str]
    """Of the variant"""


def is_compiled(conv: Tensor, hidden_bias: Tensor) -> bool:
    """Say whether there are kernels for a network, by its precision and its hidden width."""
    return conv.dtype == torch.float32 and len(hidden_bias) <= WIDTHS[-1]


class Network(NamedTuple):
    """Parameters as the kernels read them."""

    sizes: Columns
    first: Tensor
    of_time: Tensor
    hidden: Tensor
    """Transposed: ``(inputs, outputs)``"""
    hidden_bias: Tensor
    readout: Tensor
    readout_bias: Tensor
    skip: Tensor


def network(given: Values) -> Network:
    """Return the parameters packed for the kernels; within a run they are packed once."""
    # All but the time, which no packing reads; of that the number of features.
    weights = given.parameters[1:]
    settings = (given.magnetization, given.modes, given.time.shape[1])
    return packed(partial(_network, given), weights, "hollow_values", *settings)


def _network(given: Values) -> Network:
    """Pack the parameters for the kernels."""
    kernel_size = given.conv.shape[2]
    ndim = given.conv.ndim - 2
    embedded = given.conv.shape[1]
    width = block_size(len(given.hidden_bias), WIDTHS)
    sizes = columns(kernel_size, ndim, embedded, given.magnetization, given.modes)
    first, of_time = pack(given.conv, given.first, sizes, given.time.shape[1], width)
    # What is filled up is 0 before and after each layer: silu(0) = 0 adds nothing.
    missing = width - len(given.hidden_bias)
    square = torch.nn.functional.pad(given.hidden_weight.T, (0, 0, 0, missing))
    return Network(
        sizes=sizes,
        first=first,
        of_time=of_time,
        hidden=widened(square, width),
        hidden_bias=widened(given.hidden_bias.unsqueeze(0), width).squeeze(0),
        readout=widened(given.readout_weight, width),
        readout_bias=given.readout_bias.contiguous(),
        skip=given.skip.reshape(1).contiguous(),
    )


def prepare(
    own: OfWalkers,
    given: Network,
    whole: Values,
) -> Prepared:
    """Pad configurations and sum over the lattice."""
    configurations, coupling, field, time = own
    walkers, *lengths = configurations.shape
    shape = tuple(lengths)
    device = configurations.device
    q = len(given.readout_bias)
    sites = math.prod(shape)
    # Two states are one channel of ±1.
    embedded = q
    if q == 2:
        embedded = 1
    places = geometry(shape, tuple(whole.periodic), whole.conv.shape[2], device)
    made = sums(shape, embedded, whole.magnetization, whole.modes, device)
    count = len(made.channel)
    check_places(entries_of_the_tables_of_waves=made.tables.numel(), bonds=places.backward.numel())
    key = (q == 2, given.first.shape[1], whole.precision)
    coupling, coupling_strides = site_stride(coupling, shape)
    constant, field_strides = site_stride(reference.site_field(field), shape)
    context = (time @ given.of_time).contiguous()
    # A stride of 0 where all walkers share one time.
    s_time = 0
    if len(context) > 1:
        s_time = given.first.shape[1]
    padded = torch.empty(walkers, len(places.source), dtype=torch.int8, device=device)
    totals = torch.empty(walkers, count, 2, dtype=torch.float64, device=device)
    launch(
        PREPARE[key[0]], walkers, configurations.contiguous(), places.source, made.channel,
        made.group, made.tables,
        padded, totals, sites, len(places.source), count,
    )  # fmt: skip
    tensors = (
        padded, places.base, places.taps, made.channel, made.group, made.tables, made.inverse,
        totals, coupling,
        places.steps, places.backward, constant, given.first, context, given.hidden,
        given.hidden_bias, given.readout,
        given.readout_bias, given.skip,
    )  # fmt: skip
    numbers = (
        walkers * sites, sites, len(places.source), len(shape), q, embedded, given.sizes.taps,
        count,
        *coupling_strides, *field_strides, s_time,
    )  # fmt: skip
    return Prepared(tensors, numbers, key)


def pieces(largest: int, given: Values) -> list[tuple[slice, OfWalkers]]:
    """Return walkers of at most ``largest`` sites in all at a time, and what belongs to them."""
    whole = OfWalkers(given.configurations, given.coupling, given.field, given.time)
    walkers = len(whole.configurations)
    # At least one walker at a time, however large its lattice.
    step = max(1, largest // math.prod(whole.configurations.shape[1:]))
    found = []
    for start in range(0, walkers, step):
        part = slice(start, min(walkers, start + step))
        # What all walkers share has one entry, and goes with every piece.
        own = []
        for tensor in whole:
            rows = slice(None)
            if len(tensor) > 1:
                rows = part
            own.append(tensor[rows])
        found.append((part, OfWalkers(*own)))
    return found


def hollow_values(given: Values) -> Tensor:
    """Launch the kernel of :func:`leaps_triton.kernels.hollow_values`.

    What no kernel is compiled for goes to the twin.
    """
    if not is_compiled(given.conv, given.hidden_bias):
        return reference.hollow_values(given).contiguous()
    weights = network(given)
    walkers, *shape = given.configurations.shape
    values = given.conv.new_empty(walkers, given.q, *shape)
    for part, own in pieces(PIECE, given):
        made = prepare(own, weights, given)
        variant = FORWARD[made.key]
        programs = triton.cdiv(made.numbers[0], variant.constants["ROWS"])
        # Another number of rows makes another number of programs.
        variant = tuned(variant, programs, values.device)
        programs = triton.cdiv(made.numbers[0], variant.constants["ROWS"])
        launch(variant, programs, *made.tensors, values[part], *made.numbers)
    return values
