r"""Spatially varying inverse filtering, Eq. 9 of the INIKNet paper.

.. math::
    \hat x = \sum_{n=1}^{N} \sum_{r=1}^{R} \mu_r \, \omega_n \, (v_n^r * y)

Symbols, used alike in code and docstrings:

- ``y``: blurred image, (B, C, H, W);
- ``mu``: weights of the R kernel sizes, (B, R, H, W);
- ``omega``: weights of the N base atoms, (B, N, H, W);
- ``atoms``: R tensors :math:`v^r` of shape (N, M_r, M_r), M_r odd.

``*`` is cross-correlation with M_r // 2 pixels of zero padding, each colour channel on
its own. The released implementation replaces the plain sum by a learned 1x1
convolution, ``mixing``, over the R * C * N products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def inverse_filter_reference(
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Eq. 9 term by term; holds all R * C * N products at once.

    This is what :func:`inverse_filter`, which takes and returns the same, is tested
    against.
    """
    planes = y.flatten(0, 1).unsqueeze(1)
    filtered = torch.stack(
        [
            F.conv2d(planes, v.unsqueeze(1), padding=v.shape[-1] // 2).unflatten(
                0, y.shape[:2]
            )
            for v in atoms
        ],
        dim=1,
    )  # (B, R, C, N, H, W)
    products = mu[:, :, None, None] * omega[:, None, None] * filtered
    if mixing is None:
        return products.sum((1, 3))
    return F.conv2d(products.flatten(1, 3), mixing.flatten(1)[..., None, None], bias)


def inverse_filter(
    y: Tensor,
    mu: Tensor,
    omega: Tensor,
    atoms: list[Tensor],
    mixing: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Filter ``y`` with a kernel of its own at every pixel (Eq. 9).

    One kernel size is processed at a time and reduced to C channels before the next,
    so that without gradients never more than C * N products are held.

    Args:
        y (Tensor): Image, (B, C, H, W), of any floating type and size.
        mu (Tensor): Size weights, (B, R, H, W).
        omega (Tensor): Shape weights, (B, N, H, W).
        atoms (list[Tensor]): R tensors (N, M_r, M_r) with odd M_r.
        mixing (Tensor, optional): Weights (C_out, R, C, N) that replace the plain sum,
            as in the released implementation. Default: None, the sum of Eq. 9 per
            colour channel.
        bias (Tensor, optional): (C_out,), added to a mixed result.

    Returns:
        Tensor: (B, C, H, W), or (B, C_out, H, W) with ``mixing``.

    Example:
        >>> import torch
        >>> from mmagic_inik.ops import inverse_filter
        >>> y = torch.rand(1, 3, 5, 7)
        >>> delta = torch.ones(1, 1, 1)
        >>> one = torch.ones(1, 1, 5, 7)
        >>> torch.equal(inverse_filter(y, one, one, [delta]), y)
        True
    """
    planes = y.flatten(0, 1).unsqueeze(1)
    # mixing_r: (C_out, C * N, 1, 1)
    mixings = [None] * len(atoms) if mixing is None else mixing.unbind(1)
    out = None
    for mu_r, v_r, mixing_r in zip(mu.split(1, 1), atoms, mixings, strict=True):
        filtered = F.conv2d(planes, v_r.unsqueeze(1), padding=v_r.shape[-1] // 2)
        products = filtered.unflatten(0, y.shape[:2]) * omega.unsqueeze(1)
        if mixing_r is None:
            summed = products.sum(2)
        else:
            kernel = mixing_r.flatten(1)[..., None, None]
            summed = F.conv2d(products.flatten(1, 2), kernel)
        out = mu_r * summed if out is None else torch.addcmul(out, mu_r, summed)
    return out if bias is None else out + bias.view(-1, 1, 1)
