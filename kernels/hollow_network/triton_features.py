"""Device functions of the kernels of ``hollow_values``: tiles of features, and layers."""

import triton
import triton.language as tl

__all__ = ["first_layer", "local_tile", "product", "sigmoid", "state_count", "sum_tile", "tap_tile"]


@triton.jit
def tap_tile(p_place, m_row, p_taps, o_column, channel, BINARY: tl.constexpr):
    """Load inputs of the convolution, float32 ``[rows, columns]``.

    They are one channel of the embedding at each tap around each site.
    """
    o_tap = tl.load(p_taps + o_column)
    b_x = tl.load(p_place[:, None] + o_tap[None, :], mask=m_row[:, None], other=0)
    return b_x.to(tl.float32) if BINARY else (b_x == channel).to(tl.float32)


@triton.jit
def sum_tile(
    p_place, m_row, i_walker, o_site, p_channel, p_group, p_tables, p_inverse, p_sums, o_column,
    count, sites,
    BINARY: tl.constexpr,
):  # fmt: skip
    """Return sums over the lattice without the site itself, float32 ``[rows, columns]``.

    They are ``(A u + B v - x own) / norm``, exact in float64 up to the last product, then rounded.
    """
    m_column = o_column < count
    channel = tl.load(p_channel + o_column, mask=m_column, other=0)
    group = tl.load(p_group + o_column, mask=m_column, other=0)
    inverse = tl.load(p_inverse + group, mask=m_column, other=0.0)
    m_tile = m_row[:, None] & m_column[None, :]
    # Rows of a group: u, v, own, a, b.
    p_table = p_tables + (group * 5 * sites)[None, :] + o_site[:, None]
    p_sum = p_sums + ((i_walker * count)[:, None] + o_column[None, :]) * 2
    b_x = tl.load(p_place, mask=m_row, other=0).to(tl.int32)
    own = (
        b_x[:, None] + tl.zeros_like(o_column)[None, :]
        if BINARY
        else (b_x[:, None] == channel[None, :])
    )
    total = tl.load(p_sum, mask=m_tile, other=0.0) * tl.load(p_table, mask=m_tile, other=0.0)
    total += tl.load(p_sum + 1, mask=m_tile, other=0.0) * tl.load(
        p_table + sites, mask=m_tile, other=0.0
    )
    # The site's own term goes out again, exactly: the result does not read its state.
    total -= own.to(tl.float64) * tl.load(p_table + 2 * sites, mask=m_tile, other=0.0)
    return (total * inverse[None, :]).to(tl.float32)


@triton.jit
def local_tile(
    p_place, m_row, i_walker, o_site, p_coupling, p_steps, p_backward, p_field, o_column, channels,
    ndim, sites,
    s_coupling_walker, s_coupling_axis, s_coupling_site, s_field_walker, s_field_state,
    s_field_site,
    BINARY: tl.constexpr,
):  # fmt: skip
    """Return the local field of each channel of the embedding, then the external field of each.

    Float32 ``[rows, columns]``; columns beyond both are 0.
    """
    m_local = o_column < channels
    m_field = (o_column >= channels) & (o_column < 2 * channels)
    o_field = (i_walker * s_field_walker + o_site * s_field_site)[:, None]
    o_field += ((o_column - channels) * s_field_state)[None, :]
    # The external field and 0 elsewhere; the local field is added to other columns.
    tile = tl.load(p_field + o_field, mask=m_row[:, None] & m_field[None, :], other=0.0)
    p_bond = p_coupling + i_walker * s_coupling_walker
    for axis in range(ndim):
        step = tl.load(p_steps + axis)
        o_backward = tl.load(p_backward + axis * sites + o_site, mask=m_row, other=0)
        p_axis = p_bond + axis * s_coupling_axis
        forward = tl.load(p_axis + o_site * s_coupling_site, mask=m_row, other=0.0)
        backward = tl.load(p_axis + o_backward * s_coupling_site, mask=m_row, other=0.0)
        b_forward = tl.load(p_place + step, mask=m_row, other=0).to(tl.int32)
        b_backward = tl.load(p_place - step, mask=m_row, other=0).to(tl.int32)
        if BINARY:
            found = forward * b_forward.to(tl.float32) + backward * b_backward.to(tl.float32)
            tile += tl.where(m_local[None, :], found[:, None], 0.0)
        else:
            tile += tl.where(b_forward[:, None] == o_column[None, :], forward[:, None], 0.0)
            tile += tl.where(b_backward[:, None] == o_column[None, :], backward[:, None], 0.0)
    return tile


@triton.jit
def state_count(
    p_place, m_row, i_walker, o_site, p_coupling, p_steps, p_backward, state, ndim, sites,
    s_coupling_walker, s_coupling_axis, s_coupling_site,
    BINARY: tl.constexpr,
):  # fmt: skip
    """Return ``Σ_j J_ij [x_j = state]``, float32 ``[rows]``."""
    found = tl.zeros_like(o_site).to(tl.float32)
    p_bond = p_coupling + i_walker * s_coupling_walker
    # Two states are stored as ±1, with 0 beyond an open edge, so that none is counted there.
    value = 2 * state - 1 if BINARY else state
    for axis in range(ndim):
        step = tl.load(p_steps + axis)
        o_backward = tl.load(p_backward + axis * sites + o_site, mask=m_row, other=0)
        p_axis = p_bond + axis * s_coupling_axis
        forward = tl.load(p_axis + o_site * s_coupling_site, mask=m_row, other=0.0)
        backward = tl.load(p_axis + o_backward * s_coupling_site, mask=m_row, other=0.0)
        b_forward = tl.load(p_place + step, mask=m_row, other=0).to(tl.int32)
        b_backward = tl.load(p_place - step, mask=m_row, other=0).to(tl.int32)
        found += tl.where(b_forward == value, forward, 0.0) + tl.where(
            b_backward == value, backward, 0.0
        )
    return found


@triton.jit
def sigmoid(x):
    """Return ``1 / (1 + e^{-x})``, 0 where ``e^{-x}`` overflows."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def product(
    x,
    p_weight,
    total,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
    TILE: tl.constexpr,
):
    """Return ``total + x · weight`` with ``x`` ``[ROWS, WIDTH]``, ``weight`` ``[WIDTH, WIDTH]``.

    A thread holds its part of both factors whole, so where that is more than its registers they
    come tile by tile.
    """
    o_width = tl.arange(0, WIDTH)
    if PRECISION == "ieee" or WIDTH > 64:
        o_tile = tl.arange(0, TILE)
        for o_start in range(0, WIDTH, TILE):
            o_column = tl.broadcast_to((o_start + o_tile)[None, :], [ROWS, TILE])
            weight = tl.load(p_weight + (o_start + o_tile)[:, None] * WIDTH + o_width[None, :])
            total = tl.dot(tl.gather(x, o_column, 1), weight, total, input_precision=PRECISION)
    else:
        weight = tl.load(p_weight + o_width[:, None] * WIDTH + o_width[None, :])
        total = tl.dot(x, weight, total, input_precision=PRECISION)
    return total


@triton.jit
def first_layer(
    p_place, m_row, i_walker, o_site,
    p_taps, p_channel, p_group, p_tables, p_inverse, p_sums, p_coupling, p_steps, p_backward,
    p_field, p_first, p_time,
    sites, ndim, channels, taps, count, s_coupling_walker, s_coupling_axis, s_coupling_site,
    s_field_walker, s_field_state, s_field_site, s_time,
    WIDTH: tl.constexpr, BINARY: tl.constexpr, PRECISION: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Return the first layer before its nonlinearity, float32 ``[rows, WIDTH]``."""
    o_width = tl.arange(0, WIDTH)
    o_tile = tl.arange(0, TILE)
    # Columns come in the order of the packed weights, one tile of rows after the other.
    p_weight = p_first + o_tile[:, None] * WIDTH + o_width[None, :]
    o_time = (i_walker * s_time)[:, None] + o_width[None, :]
    total = tl.load(p_time + o_time, mask=m_row[:, None], other=0.0)
    for channel in range(channels):
        for o_start in range(0, taps, TILE):
            tile = tap_tile(p_place, m_row, p_taps, o_start + o_tile, channel, BINARY)
            total = tl.dot(tile, tl.load(p_weight), total, input_precision=PRECISION)
            p_weight += TILE * WIDTH
    for o_start in range(0, count, TILE):
        tile = sum_tile(
            p_place, m_row, i_walker, o_site, p_channel, p_group, p_tables, p_inverse, p_sums,
            o_start + o_tile, count,
            sites, BINARY,
        )  # fmt: skip
        total = tl.dot(tile, tl.load(p_weight), total, input_precision=PRECISION)
        p_weight += TILE * WIDTH
    for o_start in range(0, 2 * channels, TILE):
        tile = local_tile(
            p_place, m_row, i_walker, o_site, p_coupling, p_steps, p_backward, p_field,
            o_start + o_tile, channels,
            ndim, sites, s_coupling_walker, s_coupling_axis, s_coupling_site, s_field_walker,
            s_field_state,
            s_field_site, BINARY,
        )  # fmt: skip
        total = tl.dot(tile, tl.load(p_weight), total, input_precision=PRECISION)
        p_weight += TILE * WIDTH
    return total
