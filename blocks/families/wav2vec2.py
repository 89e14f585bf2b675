"""wav2vec 2.0: transformer layers over convolutions of the samples, for CTC or classes.

Baevski et al., 2020, arXiv:2006.11477.
"""

from __future__ import annotations

from typing import Any

from blocks import Chain, ConvPositions, FrameEncoder, Full, LayerNorm, Spec, at
from blocks.families import _classic as classic
from blocks.families import _heard as heard
from blocks.families import _sound as sound
from blocks.families._conformer import write_mlp
from blocks.families._decoder import layer
from blocks.families._dialects import count
from blocks.hub.config import Config
from blocks.hub.family import Family

SERVED = heard.architectures("Wav2Vec2")
NAMES = {n: classic.LLAMA[n] for n in ("activation", "attention_dropout", "heads", "hidden")}


def spec(c: Config) -> Spec:
    sound.read_wav2vec2(c)
    c.only("adapter_attn_dim", None)
    dim, rate = c.take("hidden_size", int), c.take("hidden_dropout", float, 0.1)
    norm = Spec(LayerNorm, eps=c.take("layer_norm_eps", float, 1e-5))
    stable = c.take("do_stable_layer_norm", bool, False)
    attention = classic.attention(c, dim, names=NAMES, rate=0.1, mask=Full())
    mlp = classic.mlp(c, names=NAMES, act="gelu", dropout=c.take("activation_dropout", float, 0.1))
    normed: dict[str, Any] = {"norm_in" if stable else "norm_after": norm}
    each = layer(attention, mlp, dropout=rate, **normed)
    convs = sound.stem(c)
    kernel = c.take("num_conv_pos_embeddings", int, 128)
    groups = c.take("num_conv_pos_embedding_groups", int, 16)
    act = convs["embedding"].keywords["act"]
    around = Spec(ConvPositions, kernel=kernel, groups=groups, act=act)
    parts = {"layers": (each,) * count(c, "num_hidden_layers"), "stem": norm, **convs}
    steps = {"around": around} if stable else {"around": around, "norm": norm}
    parts |= {"positions": Spec(Chain, steps=steps)} | ({"norm": norm} if stable else {})
    return Spec(FrameEncoder, channels=1, dim=dim, **parts | heard.read_task(c, SERVED, 32))


def config(s: Spec) -> dict[str, Any]:
    around, attention = at(s, "positions.around").keywords, at(s, "layers.0.attention").keywords
    own = {
        "attention_dropout": attention["dropout"],
        "do_stable_layer_norm": heard.stable(s),
        "hidden_dropout": s.keywords["layers"][0].keywords["steps"]["mlp"].keywords["dropout"],
        "layer_norm_eps": at(s, "stem").keywords["eps"],
        "num_attention_heads": attention["heads"],
        "num_conv_pos_embedding_groups": around["groups"],
        "num_conv_pos_embeddings": around["kernel"],
    }
    return write_mlp(s) | sound.write_stem(s) | own | heard.write_task(s, "Wav2Vec2")


FAMILY = Family("wav2vec2", SERVED, spec, config, heard.transformer_keys, ties=())
