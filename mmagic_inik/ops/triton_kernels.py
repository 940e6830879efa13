"""Kernels of Eq. 9 for GPUs: each program treats some pixels of one image.

The R sizes are treated in GROUPS of GROUP neighbouring ones, the first filled up by
MISSING, so that small atoms visit no more taps than the largest of their group. A group
has COLUMNS = GROUP * ATOMS columns (r, n), r slowest, ATOMS being N filled up. Its taps
are LINES of a power of two, PITCH: those of a window of its largest side, filled up.

Shapes: Y (images of the batch, IMAGES, H + SIDE - 1, W + SIDE - 1), padded; mu (batch, R,
pixels) and omega (batch, N, pixels) by strides; dictionary (COLUMNS, TOTAL), the taps of
group g from FIRSTS[g] on; mixing (OUTPUTS, IMAGES, GROUPS, COLUMNS).

Prefixes: p_ pointer, s_ stride, b_ block. Blocks are (PIXELS, COLUMNS) or their sides.
"""

import triton
import triton.language as tl

# fmt: off
# A size of its own is no reason to compile again.
_ANY_SIZE = ['H', 'W']


@triton.jit(do_not_specialize=_ANY_SIZE)
def forward(
    p_y, p_mu, p_omega, p_dictionary, p_mixing, p_out,
    H, W, R, N, s_mu_r, s_mu, s_omega_n, s_omega,
    IMAGES: tl.constexpr, OUTPUTS: tl.constexpr, MIXED: tl.constexpr,
    SIDES: tl.constexpr, FIRSTS: tl.constexpr, TOTAL: tl.constexpr, SIDE: tl.constexpr,
    GROUP: tl.constexpr, MISSING: tl.constexpr, ATOMS: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
    OUTPUT_BLOCK: tl.constexpr,
):
    """Output (batch, OUTPUTS, pixels)."""
    GROUPS: tl.constexpr = len(SIDES)
    COLUMNS: tl.constexpr = GROUP * ATOMS
    batch = tl.program_id(1).to(tl.int64)
    b_pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    b_exists = b_pixel < H * W
    b_corner = _corners(b_pixel, b_exists, W, SIDE)
    b_column = tl.arange(0, COLUMNS)
    p_mu += batch * R * H * W
    b_omega = _load_channels(p_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, b_column % ATOMS, N)
    b_output = tl.arange(0, OUTPUT_BLOCK)
    b_out = tl.zeros((PIXELS, OUTPUT_BLOCK), tl.float32)
    for g in range(GROUPS):
        side, shift, first = _group(g, SIDES, FIRSTS)
        b_size = g * GROUP - MISSING + b_column // ATOMS
        b_weight = b_omega * _load_channels(p_mu, s_mu_r, s_mu, b_pixel, b_exists, b_size, R)
        for c in range(IMAGES):
            p_plane = _plane(p_y, batch * IMAGES + c, H, W, SIDE)
            b_product = b_weight * _filtered(p_plane, p_dictionary + first, b_corner, W, side, shift, SIDE, TOTAL, COLUMNS, PIXELS, TAPS, PRECISION)
            if MIXED:
                for k in tl.static_range(OUTPUTS):
                    b_m = tl.load(p_mixing + ((k * IMAGES + c) * GROUPS + g) * COLUMNS + b_column)
                    b_sum = tl.sum(b_product * b_m[None, :], 1)
                    b_out += tl.where(b_output[None, :] == k, b_sum[:, None], 0.0)
            else:
                b_sum = tl.sum(b_product, 1)
                b_out += tl.where(b_output[None, :] == c, b_sum[:, None], 0.0)
    p_out += batch * OUTPUTS * H * W
    p_b = p_out + b_output[None, :].to(tl.int64) * H * W + b_pixel[:, None]
    b_mask = b_exists[:, None] & (b_output < OUTPUTS)[None, :]
    tl.store(p_b, b_out.to(p_out.dtype.element_ty), mask=b_mask)


@triton.jit(do_not_specialize=_ANY_SIZE)
def backward_weights(
    p_y, p_mu, p_omega, p_dictionary, p_mixing, p_grad, p_d_mu, p_d_omega, p_d_mixing,
    H, W, R, N, s_mu_r, s_mu, s_omega_n, s_omega,
    IMAGES: tl.constexpr, OUTPUTS: tl.constexpr, MIXED: tl.constexpr,
    SIDES: tl.constexpr, FIRSTS: tl.constexpr, TOTAL: tl.constexpr, SIDE: tl.constexpr,
    GROUP: tl.constexpr, MISSING: tl.constexpr, ATOMS: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
):
    """Gradients: d_mu and d_omega like mu and omega; d_mixing (programs, batch, *mixing), parts."""
    GROUPS: tl.constexpr = len(SIDES)
    COLUMNS: tl.constexpr = GROUP * ATOMS
    batch = tl.program_id(1).to(tl.int64)
    b_pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    b_exists = b_pixel < H * W
    b_corner = _corners(b_pixel, b_exists, W, SIDE)
    b_column = tl.arange(0, COLUMNS)
    p_mu += batch * R * H * W
    p_d_mu += batch * R * H * W
    b_omega = _load_channels(p_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, b_column % ATOMS, N)
    p_grad += batch * OUTPUTS * H * W
    p_d_mixing += (tl.program_id(0) * tl.num_programs(1) + batch) * OUTPUTS * IMAGES * GROUPS * COLUMNS
    b_d_omega = tl.zeros((PIXELS, COLUMNS), tl.float32)
    for g in range(GROUPS):
        side, shift, first = _group(g, SIDES, FIRSTS)
        b_size = g * GROUP - MISSING + b_column // ATOMS
        b_mu = _load_channels(p_mu, s_mu_r, s_mu, b_pixel, b_exists, b_size, R)
        # Gradient of mu_r * omega_n.
        b_scale = tl.zeros((PIXELS, COLUMNS), tl.float32)
        for c in range(IMAGES):
            p_plane = _plane(p_y, batch * IMAGES + c, H, W, SIDE)
            b_filtered = _filtered(p_plane, p_dictionary + first, b_corner, W, side, shift, SIDE, TOTAL, COLUMNS, PIXELS, TAPS, PRECISION)
            b_scale += b_filtered * _unmixed(p_grad, p_mixing, b_pixel, b_exists, g, c, H, W, IMAGES, OUTPUTS, MIXED, GROUPS, COLUMNS, PIXELS)
            if MIXED:
                b_product = b_filtered * b_mu * b_omega
                for k in tl.static_range(OUTPUTS):
                    b_grad = _load_grad(p_grad, k, H, W, b_pixel, b_exists)
                    b_sum = tl.sum(b_grad[:, None] * b_product, 0)
                    tl.store(p_d_mixing + ((k * IMAGES + c) * GROUPS + g) * COLUMNS + b_column, b_sum)
        b_d_mu = tl.sum(tl.reshape(b_scale * b_omega, (PIXELS, GROUP, ATOMS)), 2)
        _store_channels(p_d_mu, s_mu_r, s_mu, b_pixel, b_exists, g * GROUP - MISSING + tl.arange(0, GROUP), R, b_d_mu)
        b_d_omega += b_scale * b_mu
    b_d_omega = tl.sum(tl.reshape(b_d_omega, (PIXELS, GROUP, ATOMS)), 1)
    _store_channels(p_d_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, tl.arange(0, ATOMS), N, b_d_omega)


@triton.jit(do_not_specialize=_ANY_SIZE)
def backward_dictionary(
    p_y, p_mu, p_omega, p_mixing, p_grad, p_d_dictionary,
    H, W, R, N, s_mu_r, s_mu, s_omega_n, s_omega,
    IMAGES: tl.constexpr, OUTPUTS: tl.constexpr, MIXED: tl.constexpr,
    SIDES: tl.constexpr, FIRSTS: tl.constexpr, TOTAL: tl.constexpr, SIDE: tl.constexpr,
    GROUP: tl.constexpr, MISSING: tl.constexpr, ATOMS: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
):
    """Gradient d_dictionary (programs, batch, *dictionary), parts; the third axis is of taps."""
    GROUPS: tl.constexpr = len(SIDES)
    COLUMNS: tl.constexpr = GROUP * ATOMS
    DOT = p_y.dtype.element_ty
    batch, start = tl.program_id(1).to(tl.int64), tl.program_id(2) * TAPS
    # The group that these taps belong to.
    g = -1
    for group in tl.static_range(GROUPS):
        g += (start >= FIRSTS[group]).to(tl.int32)
    side, shift, before = _group(g, SIDES, FIRSTS)
    b_column, b_tap = tl.arange(0, COLUMNS), start - before + tl.arange(0, TAPS)
    b_offset = _offsets(b_tap, W, side, shift, SIDE)
    b_size = g * GROUP - MISSING + b_column // ATOMS
    p_mu += batch * R * H * W
    p_omega += batch * N * H * W
    p_grad += batch * OUTPUTS * H * W
    b_sum = tl.zeros((TAPS, COLUMNS), tl.float32)
    step = tl.num_programs(0) * PIXELS
    for first in range(tl.program_id(0) * PIXELS, H * W, step):
        b_pixel = first + tl.arange(0, PIXELS)
        b_exists = b_pixel < H * W
        b_corner = _corners(b_pixel, b_exists, W, SIDE)
        b_weight = _load_channels(p_mu, s_mu_r, s_mu, b_pixel, b_exists, b_size, R)
        b_weight *= _load_channels(p_omega, s_omega_n, s_omega, b_pixel, b_exists, b_column % ATOMS, N)
        for c in range(IMAGES):
            p_plane = _plane(p_y, batch * IMAGES + c, H, W, SIDE)
            b_y = tl.load(p_plane + b_offset[:, None] + b_corner[None, :])
            b_d = b_weight * _unmixed(p_grad, p_mixing, b_pixel, b_exists, g, c, H, W, IMAGES, OUTPUTS, MIXED, GROUPS, COLUMNS, PIXELS)
            b_sum = tl.dot(b_y, b_d.to(DOT), b_sum, input_precision=PRECISION)
    p_d_dictionary += (tl.program_id(0) * tl.num_programs(1) + batch) * TOTAL * COLUMNS
    p_b = p_d_dictionary + b_column[None, :] * TOTAL + start + tl.arange(0, TAPS)[:, None]
    tl.store(p_b, b_sum)


@triton.jit
def _filtered(
    p_plane, p_dictionary, b_corner, W, side, shift, SIDE: tl.constexpr, TOTAL: tl.constexpr,
    COLUMNS: tl.constexpr, PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
):
    """All v_n^r * y_c of a group."""
    b_column = tl.arange(0, COLUMNS)
    b_sum = tl.zeros((PIXELS, COLUMNS), tl.float32)
    for first in range(0, side << shift, TAPS):
        b_tap = first + tl.arange(0, TAPS)
        b_v = tl.load(p_dictionary + b_tap[:, None] + b_column[None, :] * TOTAL)
        b_offset = _offsets(b_tap, W, side, shift, SIDE)
        b_y = tl.load(p_plane + b_corner[:, None] + b_offset[None, :])
        b_sum = tl.dot(b_y, b_v, b_sum, input_precision=PRECISION)
    return b_sum


@triton.jit
def _group(g, SIDES: tl.constexpr, FIRSTS: tl.constexpr):
    """Side, log2 of PITCH and first tap of a group."""
    side, shift, first = SIDES[0], _log2(SIDES[0]), 0
    for later in tl.static_range(1, len(SIDES)):
        side = tl.where(g >= later, SIDES[later], side)
        shift = tl.where(g >= later, _log2(SIDES[later]), shift)
        first = tl.where(g >= later, FIRSTS[later], first)
    return side, shift, first


@triton.constexpr_function
def _log2(side):
    """Of the next power of two."""
    return (side - 1).bit_length()


@triton.jit
def _corners(b_pixel, b_exists, W, SIDE: tl.constexpr):
    """Where the largest windows of the pixels begin."""
    b_pixel = tl.where(b_exists, b_pixel, 0)
    return (b_pixel // W) * (W + SIDE - 1) + b_pixel % W


@triton.jit
def _offsets(b_tap, W, side, shift, SIDE: tl.constexpr):
    """From there to the taps of a smaller window; those that fill up repeat the last of their line."""
    b_row = tl.minimum(b_tap >> shift, side - 1)
    b_column = tl.minimum(b_tap & ((1 << shift) - 1), side - 1)
    spare = (SIDE - side) // 2
    return (b_row + spare) * (W + SIDE - 1) + b_column + spare


@triton.jit
def _unmixed(
    p_grad, p_mixing, b_pixel, b_exists, g, c, H, W, IMAGES: tl.constexpr, OUTPUTS: tl.constexpr,
    MIXED: tl.constexpr, GROUPS: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr,
):
    """Gradient of a group's products of colour c."""
    b_sum = tl.zeros((PIXELS, COLUMNS), tl.float32)
    if MIXED:
        for k in tl.static_range(OUTPUTS):
            b_m = tl.load(p_mixing + ((k * IMAGES + c) * GROUPS + g) * COLUMNS + tl.arange(0, COLUMNS))
            b_sum += _load_grad(p_grad, k, H, W, b_pixel, b_exists)[:, None] * b_m[None, :]
    else:
        b_sum += _load_grad(p_grad, c, H, W, b_pixel, b_exists)[:, None]
    return b_sum


@triton.jit
def _load_grad(p_grad, k, H, W, b_pixel, b_exists):
    p_b = p_grad + tl.cast(k, tl.int64) * H * W + b_pixel
    return tl.load(p_b, mask=b_exists, other=0.0).to(tl.float32)


@triton.jit
def _load_channels(p, s_channel, s_pixel, b_pixel, b_exists, b_channel, count):
    """Channels of mu or omega, one for each column; zero where there is none."""
    p_b = p + b_pixel.to(tl.int64)[:, None] * s_pixel + (b_channel * s_channel)[None, :]
    b_mask = b_exists[:, None] & ((b_channel >= 0) & (b_channel < count))[None, :]
    return tl.load(p_b, mask=b_mask, other=0.0).to(tl.float32)


@triton.jit
def _store_channels(p, s_channel, s_pixel, b_pixel, b_exists, b_channel, count, b_value):
    p_b = p + b_pixel.to(tl.int64)[:, None] * s_pixel + (b_channel * s_channel)[None, :]
    b_mask = b_exists[:, None] & ((b_channel >= 0) & (b_channel < count))[None, :]
    tl.store(p_b, b_value.to(p.dtype.element_ty), mask=b_mask)


@triton.jit
def _plane(p_y, number, H, W, SIDE: tl.constexpr):
    return p_y + number * (H + SIDE - 1) * (W + SIDE - 1)
