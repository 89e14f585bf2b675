"""Norms and names of RWKV-4."""

from __future__ import annotations

from blocks import LayerNorm, Spec, at
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.keys import Row, Rule

_LAST = 1e-5  # eps of the last norm, which no field says
_MOST = 100  # halvings, more than any float survives


def read_norms(c: Config, eps: float) -> tuple[Spec, ...]:
    """The norm of each layer, and the last.

    At inference the reference halves what flows after every `rescale_every` layers, lest float16
    overflow. Norms undo that, but that their eps counts for more, which is all that is left of it
    here: nothing is halved.
    """
    depth, every = count(c, "num_hidden_layers"), c.take("rescale_every", int, 6, low=-1)
    halvings = [i // every if every > 0 else 0 for i in range(depth + 1)]
    if halvings[-1] > _MOST:
        raise c.error("num_hidden_layers", f"{depth} are too many for a rescale_every of {every}")
    each = [_LAST if i == depth else eps for i in range(depth + 1)]
    return tuple(Spec(LayerNorm, eps=e * 4.0**n) for e, n in zip(each, halvings, strict=True))


def write_norms(s: Spec) -> dict[str, float]:
    """The fields that `read_norms` and the norm after the embedding are read from."""
    eps, last = at(s, "stem").keywords["eps"], at(s, "norm").keywords["eps"] / _LAST
    times = [at(layer, "mixer.norm_in").keywords["eps"] / eps for layer in s.keywords["layers"]]
    every = next((i for i, one in enumerate((*times, last)) if one > 1), 0)
    return {"layer_norm_epsilon": eps, "rescale_every": every}


def branch_keys(theirs: str, ours: str, norm: str) -> tuple[tuple[str, str] | Rule, ...]:
    """The names of a branch; shares of tokens before are stored as [1, 1, N]."""
    theirs, ours, parts = f"rwkv.blocks.{{i}}.{theirs}.", f"layers.{{i}}.{ours}.", ("k", "v", "r")
    named = dict(zip(parts, ("key", "value", "receptance"), strict=True))
    return (
        (f"rwkv.blocks.{{i}}.{norm}.{{w}}", ours + "norm_in.{w}"),
        *((f"{theirs}{named[part]}.weight", f"{ours}{part}.weight") for part in parts),
        *(Row(f"{theirs}time_mix_{named[part]}", (f"{ours}{part}_mix",), axes=2) for part in parts),
    )
