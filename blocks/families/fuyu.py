"""Fuyu: Persimmon, whose tokens may be patches of an image, projected by one matrix.

Bavishi et al., "Fuyu-8B", 2023.
"""

from __future__ import annotations

from typing import Any

from blocks import MediaTokens, PatchEmbedding, Spec, replace
from blocks.families import persimmon as text
from blocks.families._inside import inside
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys


def spec(c: Config) -> Spec:
    c.take("image_size", int, 300)  # of what images are resized to before they are cut
    patch, channels = c.take("patch_size", int, 30), c.take("num_channels", int, 3)
    media = Spec(
        MediaTokens,
        token=c.take("image_token_id", int, 71_011, low=0),
        embed=Spec(PatchEmbedding, patch=patch, channels=channels),
    )
    return replace(text.spec(c.inside("text_config", "persimmon")), media=media)


def config(s: Spec) -> dict[str, Any]:
    media = s.keywords["media"].keywords
    return {
        "image_token_id": media["token"],
        "num_channels": media["embed"].keywords["channels"],
        "patch_size": media["embed"].keywords["patch"],
        "text_config": {"model_type": "persimmon", **text.config(s)},
    }


def keys(s: Spec) -> Keys:
    patches = (
        ("vision_embed_tokens.{w}", "media.embed.{w}"),
        ("model.vision_embed_tokens.{w}", "media.embed.{w}"),
    )
    return inside(text.keys(s), *patches)


FAMILY = Family("fuyu", ("FuyuForCausalLM",), spec, config, keys)
