"""Kernels of the gradient of ``hollow_values``: activations anew, weights in two stages."""

import itertools

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..configs import config
from ..device import kernel
from ..variants import Variant, launch
from . import reference
from .reference import Gradients, Values
from .tables import TILE, unpack
from .triton import (
    INPUTS,
    KIND,
    PRECISIONS,
    WIDTHS,
    Network,
    Prepared,
    is_compiled,
    network_variant,
    pieces,
    prepare,
)
from .triton import network as pack_network
from .triton_features import (
    first_layer,
    local_tile,
    product,
    sigmoid,
    state_count,
    sum_tile,
    tap_tile,
)

__all__ = ["VARIANTS", "hollow_values_gradient"]

PIECE = 2**18
"""Sites of one launch: the first stage leaves the second ``12 · width`` bytes per site."""
SPLIT = config("hollow_network", "weights").launch["SPLIT"]
"""Sites of one program of the second stage."""


@kernel
def hollow_backward_kernel(
    p_padded, p_base, p_taps, p_channel, p_group, p_tables, p_inverse, p_sums, p_coupling, p_steps,
    p_backward,
    p_field, p_first, p_time, p_hidden, p_hidden_bias, p_readout, p_readout_bias, p_skip,
    p_hidden_back, p_to_values, p_activation, p_to_hidden, p_to_first, p_to_readout, p_to_skip,
    rows: tl.int32, sites: tl.int32, padded: tl.int32, ndim: tl.int32, q: tl.int32,
    channels: tl.int32,
    taps: tl.int32, count: tl.int32, s_coupling_walker: tl.int32, s_coupling_axis: tl.int32,
    s_coupling_site: tl.int32, s_field_walker: tl.int32, s_field_state: tl.int32,
    s_field_site: tl.int32,
    s_time: tl.int32,
    WIDTH: tl.constexpr, BINARY: tl.constexpr, PRECISION: tl.constexpr, TILE: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Compute the network again, then go back to its first layer.

    ``to z_2 = Vᵀ to f · silu'(z_2)``, ``to z_1 = Uᵀ to z_2 · silu'(z_1)``. One program per block of
    sites; one function beyond 50 lines since activations stay in registers on the way back.
    Arguments are those of :func:`.triton.hollow_values_kernel` and ``hidden_back`` ``(WIDTH,
    WIDTH)``, ``U`` as it is; ``to_values`` ``(walkers, q, sites)``; results: ``activation``
    ``silu(z_1)``, ``to_hidden`` and ``to_first``, gradients of ``z_2`` and ``z_1``, ``(rows,
    WIDTH)``; ``to_readout`` ``(programs, q, WIDTH)`` and ``to_skip`` ``(programs,)``, parts of sums
    over all sites. All float32 but ``to_skip``, float64.
    """
    o_row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    m_row = o_row < rows
    # Rows are not negative, so unsigned division gives the same.
    i_row = (o_row.to(tl.uint32) // sites.to(tl.uint32)).to(tl.int32)
    o_site = o_row - i_row * sites
    i_walker = tl.where(m_row, i_row, 0).to(tl.int64)
    p_place = p_padded + i_walker * padded + tl.load(p_base + o_site, mask=m_row, other=0)
    # Before all else, while registers are free.
    to_skip = tl.zeros([ROWS], tl.float64)
    p_to_value = p_to_values + i_walker * q * sites + o_site
    for state in range(q):
        b_count = state_count(
            p_place, m_row, i_walker, o_site, p_coupling, p_steps, p_backward, state, ndim, sites,
            s_coupling_walker, s_coupling_axis, s_coupling_site, BINARY,
        )  # fmt: skip
        to_skip += (tl.load(p_to_value, mask=m_row, other=0.0) * b_count).to(tl.float64)
        p_to_value += sites
    tl.store(p_to_skip + tl.program_id(0), tl.sum(to_skip))

    before = first_layer(
        p_place, m_row, i_walker, o_site, p_taps, p_channel, p_group, p_tables, p_inverse, p_sums,
        p_coupling, p_steps,
        p_backward, p_field, p_first, p_time, sites, ndim, channels, taps, count,
        s_coupling_walker, s_coupling_axis,
        s_coupling_site, s_field_walker, s_field_state, s_field_site, s_time, WIDTH, BINARY,
        PRECISION, TILE,
    )  # fmt: skip
    o_width = tl.arange(0, WIDTH)
    o_out = o_row.to(tl.int64)[:, None] * WIDTH + o_width[None, :]
    # silu(z) = z σ(z).
    activation = before * sigmoid(before)
    tl.store(p_activation + o_out, activation, mask=m_row[:, None])
    hidden = tl.zeros([ROWS, WIDTH], tl.float32) + tl.load(p_hidden_bias + o_width)[None, :]
    hidden = product(activation, p_hidden, hidden, ROWS, WIDTH, PRECISION, TILE)
    gate = sigmoid(hidden)
    last = hidden * gate

    to_last = tl.zeros([ROWS, WIDTH], tl.float32)
    p_to_value = p_to_values + i_walker * q * sites + o_site
    p_to_row = p_to_readout + tl.program_id(0).to(tl.int64) * q * WIDTH + o_width
    for state in range(q):
        b_to = tl.load(p_to_value, mask=m_row, other=0.0)
        to_last += b_to[:, None] * tl.load(p_readout + state * WIDTH + o_width)[None, :]
        # Masked rows have a gradient of 0 and add nothing to the sum.
        tl.store(p_to_row, tl.sum(b_to[:, None] * last, 0))
        p_to_value += sites
        p_to_row += WIDTH
    # silu'(z) = σ(z) (1 + z (1 - σ(z))).
    to_hidden = to_last * gate * (1.0 + hidden * (1.0 - gate))
    tl.store(p_to_hidden + o_out, to_hidden, mask=m_row[:, None])
    nought = tl.zeros([ROWS, WIDTH], tl.float32)
    to_first = product(to_hidden, p_hidden_back, nought, ROWS, WIDTH, PRECISION, TILE)
    gate = sigmoid(before)
    tl.store(
        p_to_first + o_out, to_first * gate * (1.0 + before * (1.0 - gate)), mask=m_row[:, None]
    )


@kernel
def hollow_weights_kernel(
    p_padded, p_base, p_taps, p_channel, p_group, p_tables, p_inverse, p_sums, p_coupling, p_steps,
    p_backward,
    p_field, p_to_first, p_to_weights,
    rows: tl.int32, sites: tl.int32, padded: tl.int32, ndim: tl.int32, q: tl.int32,
    channels: tl.int32,
    taps: tl.int32, count: tl.int32, s_coupling_walker: tl.int32, s_coupling_axis: tl.int32,
    s_coupling_site: tl.int32, s_field_walker: tl.int32, s_field_state: tl.int32,
    s_field_site: tl.int32,
    s_time: tl.int32, tiles: tl.int32, split: tl.int32,
    WIDTH: tl.constexpr, BINARY: tl.constexpr, PRECISION: tl.constexpr, TILE: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Compute ``Σ_sites input · gradient`` of the first layer, the gradient of its weights.

    One program per tile of input columns and ``split`` sites, whose sum it keeps in registers; one
    function beyond 50 lines by its arguments alone. Arguments are those of
    :func:`hollow_backward_kernel`; ``to_first`` ``(rows, WIDTH)`` from
    :func:`hollow_backward_kernel`; ``to_weights`` ``(splits, columns, WIDTH)``.
    """
    i_tile = tl.program_id(0) % tiles
    i_split = tl.program_id(0) // tiles
    o_tile = tl.arange(0, TILE)
    o_width = tl.arange(0, WIDTH)
    # Columns come in whole tiles: those of taps, of sums, then of local and external fields.
    of_taps = channels * taps // TILE
    of_sums = of_taps + (count + TILE - 1) // TILE
    total = tl.zeros([TILE, WIDTH], tl.float32)
    for o_start in range(i_split * split, tl.minimum(rows, (i_split + 1) * split), ROWS):
        o_row = o_start + tl.arange(0, ROWS)
        m_row = o_row < rows
        i_row = (o_row.to(tl.uint32) // sites.to(tl.uint32)).to(tl.int32)
        o_site = o_row - i_row * sites
        i_walker = tl.where(m_row, i_row, 0).to(tl.int64)
        p_place = p_padded + i_walker * padded + tl.load(p_base + o_site, mask=m_row, other=0)
        # A branch that all threads of a program share.
        if i_tile < of_taps:
            channel = i_tile * TILE // taps
            tile = tap_tile(
                p_place, m_row, p_taps, i_tile * TILE - channel * taps + o_tile, channel, BINARY
            )
        elif i_tile < of_sums:
            tile = sum_tile(
                p_place, m_row, i_walker, o_site, p_channel, p_group, p_tables, p_inverse, p_sums,
                (i_tile - of_taps) * TILE + o_tile, count, sites, BINARY,
            )  # fmt: skip
        else:
            tile = local_tile(
                p_place, m_row, i_walker, o_site, p_coupling, p_steps, p_backward, p_field,
                (i_tile - of_sums) * TILE + o_tile, channels, ndim, sites,
                s_coupling_walker, s_coupling_axis,
                s_coupling_site, s_field_walker, s_field_state, s_field_site, BINARY,
            )  # fmt: skip
        o_in = o_row.to(tl.int64)[:, None] * WIDTH + o_width[None, :]
        b_to = tl.load(p_to_first + o_in, mask=m_row[:, None], other=0.0)
        total = tl.dot(tl.trans(tile), b_to, total, input_precision=PRECISION)
    # Sums of several programs are added afterwards, in float64 and one order.
    p_out = p_to_weights + tl.program_id(0).to(tl.int64) * TILE * WIDTH
    tl.store(p_out + o_tile[:, None] * WIDTH + o_width[None, :], total)


def _backward(key: tuple[bool, int, str]) -> Variant:
    pointers = (*INPUTS, *(torch.float32,) * 6, torch.float64)
    made = config("hollow_network", "backward", *key[1:])
    return network_variant(hollow_backward_kernel, pointers, key, made)


def _weights(key: tuple[bool, int, str]) -> Variant:
    pointers = (*INPUTS[:12], *(torch.float32,) * 2)
    made = config("hollow_network", "weights", key[2])
    return network_variant(hollow_weights_kernel, pointers, key, made)


_KEYS = list(itertools.product((True, False), WIDTHS, PRECISIONS))
BACKWARD = {key: _backward(key) for key in _KEYS}
WEIGHTS = {key: _weights(key) for key in _KEYS}
VARIANTS = {
    (name, KIND[key[0]], *key[1:]): variant
    for name, table in (("backward", BACKWARD), ("weights", WEIGHTS))
    for key, variant in table.items()
}


def _piece(made: Prepared, given: Network, to_values: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the gradients of some walkers' parameters, in float64, and of each walker's time.

    The first are those of first layer, second layer, its bias, readout and skip.
    """
    rows, sites = made.numbers[:2]
    variant = BACKWARD[made.key]
    width = given.first.shape[1]
    q = to_values.shape[1]
    programs = triton.cdiv(rows, variant.constants["ROWS"])
    splits = triton.cdiv(rows, SPLIT)
    tiles = len(given.first) // TILE
    empty = given.first.new_empty
    activation, to_hidden, to_first = (empty(rows, width) for _ in range(3))
    to_readout = empty(programs, q, width)
    to_weights = empty(splits, tiles * TILE, width)
    to_skip = empty(programs, dtype=torch.float64)
    launch(
        variant, programs, *made.tensors, given.hidden.T.contiguous(), to_values, activation,
        to_hidden,
        to_first, to_readout, to_skip, *made.numbers,
    )  # fmt: skip
    launch(
        WEIGHTS[made.key],
        tiles * splits,
        *made.tensors[:12],
        to_first,
        to_weights,
        *made.numbers,
        tiles,
        SPLIT,
    )
    sums = (
        to_weights.sum(0, dtype=torch.float64), (to_hidden.T @ activation).double(),
        to_hidden.sum(0, dtype=torch.float64), to_readout.sum(0, dtype=torch.float64),
        to_skip.sum(),
    )  # fmt: skip
    return sums, to_first.view(-1, sites, width).sum(1)


def _eight(t: list[Tensor]) -> Gradients:
    t = [tensor.contiguous() for tensor in t]
    return t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]


def _by_twin(to_values: Tensor, given: Values) -> Gradients:
    """Return the gradients by the twin, piece by piece, whose sums are added."""
    found = []
    for part, own in pieces(PIECE, given):
        piece = given._replace(**own._asdict())
        found.append(reference.hollow_values_gradient(to_values[part], piece))
    to_times, *others = zip(*found, strict=True)
    to_time = torch.cat(to_times)
    # A time that all walkers share is one in every piece.
    if len(given.time) == 1:
        to_time = torch.stack(to_times).sum(0)
    return _eight([to_time, *(torch.stack(tensors).sum(0) for tensors in others)])


def hollow_values_gradient(to_values: Tensor, given: Values) -> Gradients:
    """Launch the kernels of the gradient of ``hollow_values``.

    What no kernel is compiled for goes to the twin.
    """
    if len(given.configurations) == 0:
        return _eight([torch.zeros_like(parameter) for parameter in given.parameters])
    if not is_compiled(given.conv, given.hidden_bias):
        return _by_twin(to_values, given)
    packed = pack_network(given)
    width = len(given.hidden_bias)
    sums = [torch.zeros((), dtype=torch.float64, device=given.conv.device)] * 5
    by_walkers = []
    for part, own in pieces(PIECE, given):
        made = prepare(own, packed, given)
        new, by_walker = _piece(made, packed, to_values[part].contiguous())
        by_walkers.append(by_walker)
        sums = [old + part for old, part in zip(sums, new, strict=True)]
    context = torch.cat(by_walkers).double()
    if len(given.time) == 1:
        context = context.sum(0, keepdim=True)
    # In float64 until the end, where each gradient is rounded once.
    to_time = given.time.double().T @ context
    to_conv, to_first = unpack(sums[0], to_time, given.conv, given.first, packed.sizes)
    axes = (0, *range(2, to_values.ndim))
    totals = [
        context @ packed.of_time.double().T,
        to_conv,
        to_first,
        sums[1][:width, :width],
        sums[2][:width],
        sums[3][:, :width],
        to_values.sum(axes, dtype=torch.float64),
        sums[4].view_as(given.skip),
    ]
    return _eight([total.to(given.conv.dtype) for total in totals])
