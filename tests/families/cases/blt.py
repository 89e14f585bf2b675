"""BLT in patches of both kinds; longer texts and the bounds of patches are in test_blt.py."""

from __future__ import annotations

from transformers import BltConfig, BltForCausalLM

import blocks
from blocks import (
    Causal,
    CrossAttention,
    EntropyPatches,
    EqualPatches,
    Full,
    GatedMLP,
    GQAttention,
    NGramEmbedding,
    RMSNorm,
    RoPE,
    Spec,
    Window,
)
from tests.families.ageing import old_config
from tests.families.mutations import other_pairing, shallow, shallow_half
from tests.families.reference import Case, Variant, change

EPS = {"rms_norm_eps": 0.05}
SMALL = {
    "vocab_size": 97,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "sliding_window": 7,
    **EPS,
}
LOCAL = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    **EPS,
}
WRITER = {**LOCAL, "hidden_size_global": 40}
DEEP = {
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    **EPS,
}
BASE = {
    "vocab_size": 97,
    "encoder_hash_byte_group_size": [2, 3, 5],
    "encoder_hash_byte_group_vocab": 53,
    "encoder_hash_byte_group_nb_functions": 2,
    "local_attention_window_len": 9,
    "patching_threshold": 3.85,
    "patch_in_forward": True,
    "max_patch_length": None,
    "cross_attn_k": 2,
    "patcher_config": SMALL,
    "encoder_config": LOCAL,
    "decoder_config": WRITER,
    "global_config": DEEP,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
ROPE = "rope_parameters"
CACHE = "its cache forgets the bytes of a patch"


def variant(**options: object) -> Variant:
    return Variant(options, generates=CACHE)


GROUPED = {"num_key_value_heads": 2}
FIVE = {"cross_attn_k": 5}
VARIANTS = {
    "plain": variant(),
    "a patch a byte": variant(patch_in_forward=False),
    "long patches": variant(patching_threshold=4.0),
    "one look at a patch": variant(decoder_config={**WRITER, "cross_attn_all_layers": False}),
    "no window": variant(
        local_attention_window_len=None, patcher_config={**SMALL, "sliding_window": None}
    ),
    "as wide": variant(
        global_config={**DEEP, "hidden_size": 64},
        decoder_config={**WRITER, "hidden_size_global": 64},
    ),
    "five places": variant(
        cross_attn_k=5, encoder_config={**LOCAL, **FIVE}, decoder_config={**WRITER, **FIVE}
    ),
    "grouped heads": variant(
        global_config={**DEEP, **GROUPED},
        encoder_config={**LOCAL, **GROUPED},
        decoder_config={**WRITER, **GROUPED},
        patcher_config={**SMALL, "num_key_value_heads": 1},
    ),
    "other angles": variant(
        **{
            f"{name}_config": {**part, "rope_parameters": {"rope_type": "default", "rope_theta": t}}
            for name, part, t in (
                ("global", DEEP, 50.0),
                ("encoder", LOCAL, 60.0),
                ("decoder", WRITER, 70.0),
                ("patcher", SMALL, 80.0),
            )
        }
    ),
}


def older(data, kind="rope_type"):
    """config.json as transformers 4 wrote it, with four configs inside."""
    inner = {n: old_config(v, kind) for n, v in data.items() if isinstance(v, dict) and n != ROPE}
    return old_config(data) | inner


def without_a_cut(spec):
    return blocks.replace(spec, patches=Spec(EqualPatches, size=1))


MUTATIONS = {
    "scale of scores": ("plain", change(GQAttention, scale=0.3)),
    "scale between bytes and patches": ("plain", change(CrossAttention, scale=0.3)),
    "window": ("plain", change("encoder.layers.*.attention", mask=Window(5))),
    "window of the decoder": ("plain", change("decoder.layers.*.attention", mask=Causal())),
    "window of what cuts": (
        "long patches",
        change("patches.model.layers.*.attention", mask=Full()),
    ),
    "mask among patches": ("plain", change("layers.*.attention", mask=Full())),
    "eps": ("plain", change(RMSNorm, eps=0.06)),
    "norm of patches": ("plain", change(CrossAttention, norm=None)),
    "activation": ("plain", change(GatedMLP, act="relu2")),
    "theta": ("other angles", change(RoPE, theta=65.0)),
    "pairing": ("plain", other_pairing),
    "threshold": ("plain", change(EntropyPatches, threshold=3.7)),
    "bound of patches": ("long patches", change(EntropyPatches, size=2)),
    "no model that cuts": ("long patches", without_a_cut),
    "patches of two": ("a patch a byte", change(EqualPatches, size=2)),
    "other n-grams": ("plain", change(NGramEmbedding, sizes=(2, 3, 6))),
    "depth": ("plain", shallow),
    "depth of the encoder": ("plain", shallow_half("encoder")),
    "depth of the decoder": ("plain", shallow_half("decoder")),
}

CASE = Case(
    config=BltConfig,
    model=BltForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    # Other hashes and places are other shapes.
    untried=frozenset(
        {
            "cross_attn_k",
            "encoder_hash_byte_group_nb_functions",
            "encoder_hash_byte_group_vocab",
            "model_type",
            "vocab_size",
        }
    ),
    fields={
        "attention_dropout": "dropout",
        "head_dim": None,  # which others say
        "vocab_size": None,  # which stands beside
    },
    implied=frozenset({"hidden_size", "num_attention_heads", "num_hidden_layers", "vocab_size"}),
    inside="global_config",
    older=older,
    extra=(),
    table="encoder.embedding.weight",
)
