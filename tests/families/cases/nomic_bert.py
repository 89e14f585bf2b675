"""Nomic BERT."""

from __future__ import annotations

import dataclasses

from transformers import NomicBertConfig, NomicBertForMaskedLM

from blocks import GatedMLP, GQAttention, LayerNorm, MaskedHead, RoPE
from tests.families.ageing import old_config
from tests.families.cases import bert
from tests.families.reference import Variant, change, encoder_mutations, other_pairing, rescale

BASE = {name: value for name, value in bert.BASE.items() if name != "pad_token_id"}
LINEAR = {"rope_type": "linear", "rope_theta": 300.0, "factor": 4.0}

VARIANTS = {
    "plain": Variant(),
    "gelu": Variant({"hidden_act": "gelu"}),
    "wide heads": Variant({"head_dim": 12}),
    "five types": Variant({"type_vocab_size": 5}),
    "linear": Variant({"rope_parameters": LINEAR}),
    **bert.heads("NomicBert"),
}

_KEPT = encoder_mutations(LayerNorm, GatedMLP)
for _none in ("biases of q, k and v", "bias of the output", "biases of the mlp"):
    del _KEPT[_none]
MUTATIONS = _KEPT | {
    "theta": ("plain", change(RoPE, theta=10_000.0)),
    "pairing": ("plain", other_pairing),
    "share of turned channels": ("plain", change(RoPE, rotated=0.25)),
    "no rope": ("plain", change(GQAttention, qk=())),
    "factor of linear": ("linear", rescale(factor=3.0)),
    "activation of the head": ("plain", change(MaskedHead, act="relu")),
}

# The dialect of the first files, whose code was a GPT-2 of flash-attention.
_FORM = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "attn_pdrop": 0.0,
    "bos_token_id": None,
    "causal": False,
    "dense_seq_output": True,
    "embd_pdrop": 0.0,
    "eos_token_id": None,
    "fused_bias_fc": True,
    "fused_dropout_add_ln": True,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": 768,
    "n_head": 12,
    "n_inner": 3072,
    "n_layer": 12,
    "n_positions": 8192,
    "pad_vocab_size_multiple": 64,
    "parallel_block": False,
    "parallel_block_tied_norm": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "reorder_and_upcast_attn": False,
    "resid_pdrop": 0.0,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "summary_activation": None,
    "summary_first_dropout": 0.0,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "torch_dtype": "float32",
    "transformers_version": "4.34.0",
    "type_vocab_size": 2,
    "use_cache": True,
    "use_flash_attn": True,
    "use_rms_norm": False,
    "use_xentropy": True,
    "vocab_size": 30528,
}

CASE = dataclasses.replace(
    bert.CASE,
    config=NomicBertConfig,
    model=NomicBertForMaskedLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"nomic-ai/nomic-embed-text-v1.5": (_FORM, 136_731_648)},
    fields={"attention_dropout": "attention_probs_dropout_prob", "num_key_value_heads": None},
    older=old_config,
    missing_prefix="nomic_bert.",
)
