"""Marian."""

from __future__ import annotations

import dataclasses

from transformers import MarianConfig, MarianMTModel

from blocks import SinusoidalPositions
from tests.families.cases import bart
from tests.families.reference import Variant, change

APART = {"share_encoder_decoder_embeddings": False}

WAVES = {
    "layout of waves": ("plain", change(SinusoidalPositions, layout="interleaved")),
    "slowness of waves": ("plain", change(SinusoidalPositions, theta=500.0)),
    "first wave": ("plain", change(SinusoidalPositions, offset=1)),
}
_FORM = {
    "activation_dropout": 0.0,
    "activation_function": "swish",
    "architectures": ["MarianMTModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "d_model": 512,
    "decoder_attention_heads": 8,
    "decoder_ffn_dim": 2048,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 6,
    "decoder_start_token_id": 58100,
    "dropout": 0.1,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 6,
    "eos_token_id": 0,
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_length": 512,
    "max_position_embeddings": 512,
    "model_type": "marian",
    "num_beams": 6,
    "num_hidden_layers": 6,
    "pad_token_id": 58100,
    "scale_embedding": True,
    "static_position_embeddings": True,
    "vocab_size": 58101,
}

CASE = dataclasses.replace(
    bart.CASE,
    config=MarianConfig,
    model=MarianMTModel,
    base=bart.BASE | {"decoder_start_token_id": 1},
    variants=bart.WRITING
    | bart.bare("Marian", 1)
    | {
        "swish": Variant({"activation_function": "swish"}),
        "tables apart": Variant(APART),
        "another vocabulary": Variant(APART | {"decoder_vocab_size": 83}),
    },
    mutations={n: m for n, m in bart.MUTATIONS.items() if "place" not in n} | WAVES,
    # Without two tables of waves, with the bias of the logits, which the reference has as a buffer.
    published={"Helsinki-NLP/opus-mt-en-de": (_FORM, 74_410_496 - 2 * 512 * 512 + 58_101)},
    untried=bart.CASE.untried | {"decoder_vocab_size", "share_encoder_decoder_embeddings"},
)
