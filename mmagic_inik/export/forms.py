r"""Parts of a network in forms that other engines run fast, with equal results.

Inverse filtering (Eq. 9) becomes, for each kernel size, one grouped convolution of the
image with atoms that are constants, a product with ω, and one 1×1 convolution that
mixes colours and atoms:

.. math::
    x = y + b + \sum_r \mu_r \, \mathrm{mix}_r(\omega_n \, (v_n^r * y_c))

No more than the products of one size exist at a time. What the atoms are drawn by is
not part of the result.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import ConvLSTMCell, InverseFilterHead
from ..models.duplex_conv_lstm import ChannelNorm
from ..models.inverse_filter_head import enlarge, reduce
from ..ops import gated_update


def exportable(network: nn.Module) -> nn.Module:
    """A copy of a network whose parts have the forms of this module.

    Args:
        network (nn.Module): Any; what has no other form stays as it is.

    Returns:
        nn.Module: In eval mode, its atoms fixed.
    """
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, part in list(parent.named_children()):
            for kind, form in _FORMS.items():
                if isinstance(part, kind):
                    setattr(parent, name, form(part))
    return network


class FixedFilterHead(nn.Module):
    """An ``InverseFilterHead`` whose atoms are constants.

    Args:
        head (InverseFilterHead): Its predictors are kept, its atoms drawn once.
    """

    def __init__(self, head: InverseFilterHead) -> None:
        super().__init__()
        with torch.no_grad():
            atoms = [atom.detach().clone() for atom in head.atom_bank()]
        self.head = head
        # Of each size, by which factor the image is reduced before.
        self.factors = [1] * len(atoms) + list(head.coarser)
        atoms += atoms[-1:] * len(head.coarser)
        # Who draws atoms for all scales at once asks it.
        self.atom_bank = head.atom_bank = _Fixed(atoms)
        # A size whose atoms are all zero adds nothing.
        self.used = [r for r, atom in enumerate(atoms) if atom.any()]

    def predict_weights(
        self,
        size_feature: Tensor,
        shape_feature: Tensor,
        image: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As of the head."""
        return self.head.predict_weights(size_feature, shape_feature, image)

    def forward(
        self,
        y: Tensor,
        size_feature: Tensor,
        shape_feature: Tensor,
        atoms: list[Tensor] | None = None,
    ) -> Tensor:
        """Filter an image; as ``InverseFilterHead.forward``."""
        mu, omega = self.predict_weights(size_feature, shape_feature, y)
        # The image stays exact where the network is in half precision.
        mu, omega = mu.to(y.dtype), omega.to(y.dtype)
        out = y if self.head.residual else torch.zeros_like(y)
        if self.head.bias is not None:
            out = out + self.head.bias.to(y.dtype).view(-1, 1, 1)
        for r in self.used:
            factor, mu_r = self.factors[r], mu[:, r : r + 1]
            if factor == 1:
                out = out + mu_r * self._mixed(y, omega, r)
                continue
            small, mu_r, omega_r = (reduce(t, factor) for t in (y, mu_r, omega))
            out = out + enlarge(mu_r * self._mixed(small, omega_r, r), factor, y)
        return out

    def _mixed(self, y: Tensor, omega: Tensor, r: int) -> Tensor:
        """What the atoms of one size give, without μ: (B, C_out, h, w)."""
        # A number in a trace, too: exporters want kernels of known shape.
        atoms, colours = self.atom_bank.atoms[r].to(y.dtype), int(y.shape[1])
        half, count = atoms.shape[-1] // 2, atoms.shape[0]
        # A colour to a group, its atoms side by side.
        kernels = atoms.unsqueeze(1).repeat(colours, 1, 1, 1)
        if self.head.border == 'reflect':
            y = F.pad(y, [half] * 4, 'reflect')
            filtered = F.conv2d(y, kernels, groups=colours)
        else:
            filtered = F.conv2d(y, kernels, padding=half, groups=colours)
        products = filtered.unflatten(1, (colours, count)) * omega.unsqueeze(1)
        if self.head.mixing is None:
            return products.sum(2)
        kernel = self.head.mixing[:, r].to(y.dtype).flatten(1)[..., None, None]
        return F.conv2d(products.flatten(1, 2), kernel)


class _Fixed(nn.Module):
    """A bank of atoms that are not drawn any more."""

    def __init__(self, atoms: list[Tensor]) -> None:
        super().__init__()
        self.atoms = atoms

    def forward(self) -> list[Tensor]:
        return self.atoms


class _Cell(nn.Module):
    """A ``ConvLSTMCell`` that does not multiply the zeros of its first step."""

    def __init__(self, cell: ConvLSTMCell) -> None:
        super().__init__()
        self.blocks, self.gates = cell.blocks, cell.gates

    def forward(
        self, feature: Tensor, h: Tensor | None = None, c: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        first, *others = self.blocks
        if h is None:
            z = first.forward_padded(feature)
        else:
            z = first(torch.cat([feature, h], 1))
        for block in others:
            z = block(z)
        return gated_update(z, self.gates.weight, self.gates.bias, c)


class _Norm(nn.Module):
    """A ``ChannelNorm`` that moves no channels."""

    def __init__(self, norm: ChannelNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        centred = x - x.mean(1, keepdim=True)
        deviation = (centred.square().mean(1, keepdim=True) + norm.eps).sqrt()
        weight, bias = norm.weight.view(-1, 1, 1), norm.bias.view(-1, 1, 1)
        return centred / deviation * weight + bias


_FORMS = {InverseFilterHead: FixedFilterHead, ConvLSTMCell: _Cell, ChannelNorm: _Norm}
