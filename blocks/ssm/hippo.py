"""HiPPO: the matrices by which a state keeps the coefficients of all it has seen."""

from __future__ import annotations

import torch
from torch import Tensor

from blocks.arguments import check_whole
from blocks.errors import SpecError

__all__ = ["hippo_dplr", "hippo_legs"]


def hippo_legs(size: int) -> tuple[Tensor, Tensor]:
    r"""dh/dt = A h + B u keeps u as N Legendre polynomials, the farther back the wider.

        A_nk = −√(2n+1) √(2k+1) below the diagonal, −(n+1) on it, 0 above;    B_n = √(2n+1)

    Gu et al., "HiPPO", 2020, arXiv:2008.07669, theorem 2, without its 1/t.

    Args:
        size: N.

    Returns:
        A [N N] and B [N] in float64.

    Errors:
        SpecError: a size below one.

    Example:
        >>> from blocks import hippo_legs
        >>> hippo_legs(2)[0]
        tensor([[-1.0000,  0.0000],
                [-1.7321, -2.0000]], dtype=torch.float64)
    """
    check_whole(size, "size")
    n = torch.arange(size, dtype=torch.float64)
    b = (2 * n + 1).sqrt()
    return (-b[:, None] * b).tril(-1) - torch.diag(n + 1), b


def hippo_dplr(size: int) -> tuple[Tensor, Tensor, Tensor]:
    r"""HiPPO-LegS as a diagonal less a matrix of rank one: A = V (Λ − P P*) V*, B = V B'

    A plus ½ √(2n+1) √(2k+1) is −½ and a skew matrix, so that Λ has the real part −½ and its
    eigenvectors are as good as axes. They come in conjugate pairs, of which one is given. Gu, Goel
    and Ré, "Efficiently modeling long sequences with structured state spaces", 2021,
    arXiv:2111.00396, theorem 1.

    Args:
        size: N, even.

    Returns:
        Λ, P and B', each [N/2] in complex128, with imaginary parts of Λ above zero.

    Errors:
        SpecError: an odd size, or one below two.

    Example:
        >>> from blocks import hippo_dplr
        >>> hippo_dplr(2)[0]
        tensor([-0.5000+0.8660j], dtype=torch.complex128)
    """
    if check_whole(size, "size", 2) % 2:
        raise SpecError(f"eigenvalues come in pairs, {size} are none", field="size")
    a, b = hippo_legs(size)
    p = b / 2**0.5
    skew = a + p[:, None] * p + torch.eye(size, dtype=a.dtype) / 2
    omega, vectors = torch.linalg.eigh(-1j * skew)  # ascending
    half = vectors[:, size // 2 :].mH
    return (
        torch.complex(torch.full_like(omega, -0.5), omega)[size // 2 :],
        half @ p.to(half),
        half @ b.to(half),
    )
