"""GPT-NeoX-20B, Pythia, and what was made like them."""

from __future__ import annotations

from typing import Any

from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from blocks import MLP, GQAttention, LayerNorm, RoPE
from tests.families import ageing
from tests.families.cases import gpt2, phi
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

BASE = {name: value for name, value in phi.BASE.items() if name != "num_key_value_heads"} | {
    "num_attention_heads": 2,  # so that a quarter of a head is more than one pair
    "rotary_emb_base": 500.0,
}
del BASE["rope_theta"]
SEQUENTIAL = {"use_parallel_residual": False}

VARIANTS = {
    "plain": Variant(),
    "one after the other": Variant(SEQUENTIAL),
    "no biases": Variant({"attention_bias": False}),
    "tied": Variant({"tie_word_embeddings": True}),
    "tanh gelu": Variant({"hidden_act": "gelu_fast"}),
    "all turn": Variant(phi.rope("default", 1.0) | SEQUENTIAL),
    "a half turns": Variant(phi.rope("default", 0.5)),
    "linear": Variant(phi.rope("linear", 0.5, factor=4.0)),
    "dynamic": Variant(phi.rope("dynamic", 0.25, factor=4.0) | {"max_position_embeddings": 16}),
    "three heads": Variant({"hidden_size": 48, "num_attention_heads": 3}),
}


def sequential(spec: Any) -> Any:
    """Its layers, wired in a row."""
    import blocks

    def after(layer: Any) -> Any:
        branches = layer.keywords["inner"].keywords["branches"]
        steps = {
            name: blocks.Spec(blocks.Residual, **part.keywords) for name, part in branches.items()
        }
        return blocks.Spec(blocks.Chain, steps=steps)

    return blocks.replace(spec, layers=tuple(after(one) for one in spec.keywords["layers"]))


def older(data: dict[str, Any], kind: str = "rope_type") -> dict[str, Any]:
    old = ageing.old_config(data, kind)
    old["rotary_emb_base"] = old.pop("rope_theta")
    old["rotary_pct"] = old.pop("partial_rotary_factor")
    return old


MUTATIONS = (
    decoder_mutations(LayerNorm, MLP)
    | gpt2.BIASES
    | {
        "all channels turn": ("plain", change(RoPE, rotated=1.0)),
        "one after the other": ("plain", sequential),
        "factor of linear": ("linear", rescale(factor=3.0)),
        "factor of dynamic": ("dynamic", rescale(factor=3.0)),
        "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    }
)
del MUTATIONS["share of turned channels"]  # a quarter is what they have

_PYTHIA = {
    "architectures": ["GPTNeoXForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 0,
    "hidden_act": "gelu",
    "hidden_size": 512,
    "initializer_range": 0.02,
    "intermediate_size": 2048,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 2048,
    "model_type": "gpt_neox",
    "num_attention_heads": 8,
    "num_hidden_layers": 6,
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.24.0",
    "use_cache": True,
    "use_parallel_residual": True,
    "vocab_size": 50304,
}

CASE = Case(
    config=GPTNeoXConfig,
    model=GPTNeoXForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"EleutherAI/pythia-70m": (_PYTHIA, 70_426_624)},
    fields={"num_key_value_heads": None, "head_dim": None},
    extra=(
        "gpt_neox.layers.{i}.attention.bias",
        "gpt_neox.layers.{i}.attention.masked_bias",
        "gpt_neox.layers.{i}.attention.rotary_emb.inv_freq",
    ),
    older=older,
    missing_prefix="gpt_neox.",
)
