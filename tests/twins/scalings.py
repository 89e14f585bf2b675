"""How RoPE is stretched: (θ, rotated channels, length) -> the frequency of each pair, magnitude."""

from __future__ import annotations

import math

Stretched = tuple[list[float], float]


def plain(theta: float, dims: int) -> list[float]:
    return [theta ** (-2 * i / dims) for i in range(dims // 2)]


def linear(theta: float, dims: int, length: int, *, factor: float) -> Stretched:
    return [omega / factor for omega in plain(theta, dims)], 1.0


def dynamic(theta: float, dims: int, length: int, *, factor: float, trained: int) -> Stretched:
    if length > trained:
        theta *= (factor * length / trained - (factor - 1)) ** (dims / (dims - 2))
    return plain(theta, dims), 1.0


def yarn(
    theta: float,
    dims: int,
    length: int,
    *,
    factor: float,
    trained: int,
    fast: float,
    slow: float,
    magnitude: float | None,
    truncate: bool,
) -> Stretched:
    def channel(turns: float) -> float:
        """The channel that turns so often within the trained length, in fractions of one."""
        return dims / 2 * math.log(trained / (2 * math.pi * turns), theta)

    low, high = channel(fast), channel(slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dims - 1)
    omegas = []
    for i, omega in enumerate(plain(theta, dims)):
        ramp = (i - low) / (high - low if high != low else 0.001)
        share = min(max(ramp, 0.0), 1.0)  # 0 is a fast channel, which stays
        omegas.append((1 - share) * omega + share * omega / factor)
    grown = 1.0 if factor <= 1 else 0.1 * math.log(factor) + 1
    return omegas, grown if magnitude is None else magnitude


def llama3(
    theta: float,
    dims: int,
    length: int,
    *,
    factor: float,
    low: float,
    high: float,
    trained: int,
) -> Stretched:
    omegas = []
    for omega in plain(theta, dims):
        wavelength = 2 * math.pi / omega
        if wavelength < trained / high:
            omegas.append(omega)
        elif wavelength > trained / low:
            omegas.append(omega / factor)
        else:
            smooth = (trained / wavelength - low) / (high - low)
            omegas.append((1 - smooth) * omega / factor + smooth * omega)
    return omegas, 1.0


def longrope(
    theta: float,
    dims: int,
    length: int,
    *,
    short: tuple[float, ...],
    long: tuple[float, ...],
    trained: int,
    short_magnitude: float,
    long_magnitude: float,
) -> Stretched:
    factors, magnitude = (short, short_magnitude) if length <= trained else (long, long_magnitude)
    omegas = plain(theta, dims)
    return [omega / factor for omega, factor in zip(omegas, factors, strict=True)], magnitude
