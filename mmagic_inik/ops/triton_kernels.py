"""Kernels of Eq. 9 for GPUs: each program treats some pixels of one image.

Shapes: Y (images of the batch, IMAGES, H + SIDE - 1, W + SIDE - 1), padded; mu (batch, R,
pixels) and omega (batch, N, pixels) by strides; dictionary (taps, COLUMNS), taps filled
up to a multiple of TAPS; mixing (OUTPUTS, IMAGES, COLUMNS). COLUMNS are (r, n), r slowest,
either filled up to a power of two, SIZES and ATOMS.

Prefixes: p_ pointer, s_ stride, b_ block. Blocks are (PIXELS, COLUMNS) or their sides.
"""

import triton
import triton.language as tl

# fmt: off


@triton.jit
def forward(
    p_y, p_mu, p_omega, p_dictionary, p_mixing, p_out,
    H, W, R, N, s_mu_r, s_mu, s_omega_n, s_omega,
    IMAGES: tl.constexpr, OUTPUTS: tl.constexpr, MIXED: tl.constexpr,
    SIDE: tl.constexpr, SIZES: tl.constexpr, ATOMS: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
    OUTPUT_BLOCK: tl.constexpr,
):
    """Output (batch, OUTPUTS, pixels)."""
    COLUMNS: tl.constexpr = SIZES * ATOMS
    batch = tl.program_id(1).to(tl.int64)
    b_pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    b_exists = b_pixel < H * W
    b_column = tl.arange(0, COLUMNS)
    b_mu = _load_channels(p_mu + batch * R * H * W, s_mu_r, s_mu, b_pixel, b_exists, b_column // ATOMS, R)
    b_omega = _load_channels(p_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, b_column % ATOMS, N)
    b_weight = b_mu * b_omega
    b_output = tl.arange(0, OUTPUT_BLOCK)
    b_out = tl.zeros((PIXELS, OUTPUT_BLOCK), tl.float32)
    for c in tl.static_range(IMAGES):
        p_plane = _plane(p_y, batch * IMAGES + c, H, W, SIDE)
        b_product = b_weight * _filtered(p_plane, p_dictionary, b_pixel, b_exists, W, COLUMNS, SIDE, PIXELS, TAPS, PRECISION)
        for k in tl.static_range(OUTPUTS):
            if MIXED:
                b_m = tl.load(p_mixing + (k * IMAGES + c) * COLUMNS + b_column)
                b_sum = tl.sum(b_product * b_m[None, :], 1)
                b_out += tl.where(b_output[None, :] == k, b_sum[:, None], 0.0)
            elif k == c:
                b_sum = tl.sum(b_product, 1)
                b_out += tl.where(b_output[None, :] == k, b_sum[:, None], 0.0)
    p_out += batch * OUTPUTS * H * W
    p_b = p_out + b_output[None, :] * H * W + b_pixel[:, None]
    b_mask = b_exists[:, None] & (b_output < OUTPUTS)[None, :]
    tl.store(p_b, b_out.to(p_out.dtype.element_ty), mask=b_mask)


@triton.jit
def backward_weights(
    p_y, p_mu, p_omega, p_dictionary, p_mixing, p_grad, p_d_mu, p_d_omega, p_d_mixing,
    H, W, R, N, s_mu_r, s_mu, s_omega_n, s_omega,
    IMAGES: tl.constexpr, OUTPUTS: tl.constexpr, MIXED: tl.constexpr,
    SIDE: tl.constexpr, SIZES: tl.constexpr, ATOMS: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
):
    """Gradients: d_mu and d_omega like mu and omega; d_mixing (programs, batch, *mixing), parts."""
    COLUMNS: tl.constexpr = SIZES * ATOMS
    batch = tl.program_id(1).to(tl.int64)
    b_pixel = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    b_exists = b_pixel < H * W
    b_column = tl.arange(0, COLUMNS)
    b_mu = _load_channels(p_mu + batch * R * H * W, s_mu_r, s_mu, b_pixel, b_exists, b_column // ATOMS, R)
    b_omega = _load_channels(p_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, b_column % ATOMS, N)
    p_grad += batch * OUTPUTS * H * W
    program = tl.program_id(0) * tl.num_programs(1) + batch
    p_d_mixing += program * OUTPUTS * IMAGES * COLUMNS
    # Gradient of mu_r * omega_n.
    b_scale = tl.zeros((PIXELS, COLUMNS), tl.float32)
    for c in tl.static_range(IMAGES):
        p_plane = _plane(p_y, batch * IMAGES + c, H, W, SIDE)
        b_filtered = _filtered(p_plane, p_dictionary, b_pixel, b_exists, W, COLUMNS, SIDE, PIXELS, TAPS, PRECISION)
        b_scale += b_filtered * _unmixed(p_grad, p_mixing, b_pixel, b_exists, c, H * W, IMAGES, OUTPUTS, MIXED, COLUMNS, PIXELS)
        if MIXED:
            b_product = b_filtered * b_mu * b_omega
            for k in tl.static_range(OUTPUTS):
                b_grad = tl.load(p_grad + k * H * W + b_pixel, mask=b_exists, other=0.0)
                b_sum = tl.sum(b_grad.to(tl.float32)[:, None] * b_product, 0)
                tl.store(p_d_mixing + (k * IMAGES + c) * COLUMNS + b_column, b_sum)
    b_d_mu = tl.sum(tl.reshape(b_scale * b_omega, (PIXELS, SIZES, ATOMS)), 2)
    b_d_omega = tl.sum(tl.reshape(b_scale * b_mu, (PIXELS, SIZES, ATOMS)), 1)
    _store_channels(p_d_mu + batch * R * H * W, s_mu_r, s_mu, b_pixel, b_exists, tl.arange(0, SIZES), R, b_d_mu)
    _store_channels(p_d_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, tl.arange(0, ATOMS), N, b_d_omega)


@triton.jit
def backward_dictionary(
    p_y, p_mu, p_omega, p_dictionary, p_mixing, p_grad, p_d_dictionary,
    H, W, R, N, s_mu_r, s_mu, s_omega_n, s_omega,
    IMAGES: tl.constexpr, OUTPUTS: tl.constexpr, MIXED: tl.constexpr,
    SIDE: tl.constexpr, SIZES: tl.constexpr, ATOMS: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
):
    """Gradient d_dictionary (programs, batch, *dictionary), parts; the third axis is of taps."""
    COLUMNS: tl.constexpr = SIZES * ATOMS
    DOT = p_dictionary.dtype.element_ty
    batch, part = tl.program_id(1).to(tl.int64), tl.program_id(2)
    b_column, b_tap = tl.arange(0, COLUMNS), part * TAPS + tl.arange(0, TAPS)
    p_grad += batch * OUTPUTS * H * W
    b_sum = tl.zeros((TAPS, COLUMNS), tl.float32)
    step = tl.num_programs(0) * PIXELS
    for first in range(tl.program_id(0) * PIXELS, H * W, step):
        b_pixel = first + tl.arange(0, PIXELS)
        b_exists = b_pixel < H * W
        b_mu = _load_channels(p_mu + batch * R * H * W, s_mu_r, s_mu, b_pixel, b_exists, b_column // ATOMS, R)
        b_omega = _load_channels(p_omega + batch * N * H * W, s_omega_n, s_omega, b_pixel, b_exists, b_column % ATOMS, N)
        b_weight = b_mu * b_omega
        for c in tl.static_range(IMAGES):
            p_plane = _plane(p_y, batch * IMAGES + c, H, W, SIDE)
            b_y = _neighbours(p_plane, b_pixel, b_exists, b_tap, W, SIDE).to(DOT)
            b_d = b_weight * _unmixed(p_grad, p_mixing, b_pixel, b_exists, c, H * W, IMAGES, OUTPUTS, MIXED, COLUMNS, PIXELS)
            b_sum = tl.dot(tl.trans(b_y), b_d.to(DOT), b_sum, input_precision=PRECISION)
    program = (tl.program_id(0) * tl.num_programs(1) + batch) * tl.num_programs(2) + part
    p_b = p_d_dictionary + program * TAPS * COLUMNS
    tl.store(p_b + tl.arange(0, TAPS)[:, None] * COLUMNS + b_column[None, :], b_sum)


@triton.jit
def _filtered(
    p_plane, p_dictionary, b_pixel, b_exists, W, COLUMNS: tl.constexpr, SIDE: tl.constexpr,
    PIXELS: tl.constexpr, TAPS: tl.constexpr, PRECISION: tl.constexpr,
):
    """All v_n^r * y_c."""
    b_column = tl.arange(0, COLUMNS)
    b_sum = tl.zeros((PIXELS, COLUMNS), tl.float32)
    for first in range(0, SIDE * SIDE, TAPS):
        b_tap = first + tl.arange(0, TAPS)
        b_v = tl.load(p_dictionary + b_tap[:, None] * COLUMNS + b_column[None, :])
        b_y = _neighbours(p_plane, b_pixel, b_exists, b_tap, W, SIDE).to(b_v.dtype)
        b_sum = tl.dot(b_y, b_v, b_sum, input_precision=PRECISION)
    return b_sum


@triton.jit
def _neighbours(p_plane, b_pixel, b_exists, b_tap, W, SIDE: tl.constexpr):
    """(pixels, taps) of one colour; the taps that fill up meet a dictionary of zeros."""
    width = W + SIDE - 1
    b_pixel = tl.where(b_exists, b_pixel, 0)
    b_corner = (b_pixel // W) * width + b_pixel % W
    b_tap = tl.minimum(b_tap, SIDE * SIDE - 1)
    b_offset = (b_tap // SIDE) * width + b_tap % SIDE
    return tl.load(p_plane + b_corner[:, None] + b_offset[None, :])


@triton.jit
def _unmixed(
    p_grad, p_mixing, b_pixel, b_exists, c: tl.constexpr, count, IMAGES: tl.constexpr,
    OUTPUTS: tl.constexpr, MIXED: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr,
):
    """Gradient of the products of colour c."""
    b_column = tl.arange(0, COLUMNS)
    b_sum = tl.zeros((PIXELS, COLUMNS), tl.float32)
    for k in tl.static_range(OUTPUTS):
        if MIXED or k == c:
            b_grad = tl.load(p_grad + k * count + b_pixel, mask=b_exists, other=0.0)
            b_grad = b_grad.to(tl.float32)[:, None]
            if MIXED:
                b_m = tl.load(p_mixing + (k * IMAGES + c) * COLUMNS + b_column)
                b_sum += b_grad * b_m[None, :]
            else:
                b_sum += b_grad
    return b_sum


@triton.jit
def _load_channels(p, s_channel, s_pixel, b_pixel, b_exists, b_channel, count):
    """Channels of mu or omega, one for each column; zero where there is none."""
    p_b = p + b_pixel.to(tl.int64)[:, None] * s_pixel + (b_channel * s_channel)[None, :]
    b_mask = b_exists[:, None] & (b_channel < count)[None, :]
    return tl.load(p_b, mask=b_mask, other=0.0).to(tl.float32)


@triton.jit
def _store_channels(p, s_channel, s_pixel, b_pixel, b_exists, b_channel, count, b_value):
    p_b = p + b_pixel.to(tl.int64)[:, None] * s_pixel + (b_channel * s_channel)[None, :]
    b_mask = b_exists[:, None] & (b_channel < count)[None, :]
    tl.store(p_b, b_value.to(p.dtype.element_ty), mask=b_mask)


@triton.jit
def _plane(p_y, number, H, W, SIDE: tl.constexpr):
    return p_y + number * (H + SIDE - 1) * (W + SIDE - 1)
