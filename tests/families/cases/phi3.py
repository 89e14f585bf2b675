"""Phi-3 mini and medium, Phi-3.5-mini, Phi-4 and Phi-4-mini."""

from __future__ import annotations

from transformers import Phi3Config, Phi3ForCausalLM

from blocks import GatedMLP, GQAttention, RMSNorm, RoPE, Window
from tests.families.cases import llama
from tests.families.reference import Case, Variant, change, decoder_mutations, rescale

# The length before stretching is said at the top, which wins over what is said within.
LONGROPE = {"rope_parameters": llama.LONGROPE, "original_max_position_embeddings": 16}
PARTIAL = {
    "rope_parameters": llama.LONGROPE
    | {
        "partial_rotary_factor": 0.75,
        "short_factor": [1.0, 1.1, 1.2],
        "long_factor": [2.0, 3.0, 4.0],
    },
    "original_max_position_embeddings": 16,
}

VARIANTS = {
    "plain": Variant(),
    "window": Variant({"sliding_window": 7}),
    "one kv head": Variant({"num_key_value_heads": 1}),
    "as many kv heads": Variant({"num_key_value_heads": 4}),
    "tied": Variant({"tie_word_embeddings": True}),
    "gelu": Variant({"hidden_act": "gelu_pytorch_tanh"}),
    "three quarters turn": Variant(llama.rope("default", partial_rotary_factor=0.75)),
    "longrope": Variant(LONGROPE | {"sliding_window": 50}),
    "longrope is switched on": Variant(LONGROPE, prompt=12),
    "longrope, three quarters": Variant(PARTIAL | {"tie_word_embeddings": True}),
}

MUTATIONS = decoder_mutations(RMSNorm, GatedMLP) | {
    "window + 1": ("window", change(GQAttention, mask=Window(8))),
    "window - 1": ("window", change(GQAttention, mask=Window(6))),
    "all channels turn": ("three quarters turn", change(RoPE, rotated=1.0)),
    "no longrope": ("longrope", change(RoPE, scaling=None)),
    "length of longrope": ("longrope", rescale(trained=64)),
    "long of longrope": ("longrope", rescale(long=(2.0, 3.0, 4.0, 6.0))),
    "magnitude of longrope": ("longrope", rescale(long_magnitude=1.0)),
}


def _published(**options: object) -> dict[str, object]:
    return {
        "architectures": ["Phi3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {"AutoModelForCausalLM": "modeling_phi3.Phi3ForCausalLM"},
        "bos_token_id": 1,
        "embd_pdrop": 0.0,
        "eos_token_id": 32000,
        "hidden_act": "silu",
        "hidden_size": 3072,
        "initializer_range": 0.02,
        "intermediate_size": 8192,
        "max_position_embeddings": 4096,
        "model_type": "phi3",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 32,
        "original_max_position_embeddings": 4096,
        "pad_token_id": 32000,
        "resid_pdrop": 0.0,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "sliding_window": 2047,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.40.2",
        "use_cache": True,
        "vocab_size": 32064,
        **options,
    }


def _long(kind: str, pairs: int = 48) -> dict[str, object]:
    """The form of the published scalings; their numbers change no count."""
    return {"long_factor": [1.5] * pairs, "short_factor": [1.0] * pairs, "type": kind}


PUBLISHED = {
    "microsoft/Phi-3-mini-4k-instruct": (_published(), 3_821_079_552),
    "microsoft/Phi-3-mini-128k-instruct, first form": (
        _published(max_position_embeddings=131072, rope_scaling=_long("su"), sliding_window=262144),
        3_821_079_552,
    ),
    "microsoft/Phi-3.5-mini-instruct": (
        _published(
            max_position_embeddings=131072, rope_scaling=_long("longrope"), sliding_window=262144
        ),
        3_821_079_552,
    ),
    "microsoft/phi-4": (
        _published(
            auto_map={},
            bos_token_id=100257,
            eos_token_id=100265,
            hidden_size=5120,
            intermediate_size=17920,
            max_position_embeddings=16384,
            num_attention_heads=40,
            num_hidden_layers=40,
            num_key_value_heads=10,
            original_max_position_embeddings=16384,
            pad_token_id=100349,
            rope_theta=250000,
            sliding_window=None,
            transformers_version="4.47.0",
            vocab_size=100352,
        ),
        14_659_507_200,
    ),
    "microsoft/Phi-4-mini-instruct": (
        _published(
            bos_token_id=199999,
            eos_token_id=199999,
            full_attn_mod=1,
            interpolate_factor=1,
            lm_head_bias=False,
            max_position_embeddings=131072,
            mlp_bias=False,
            num_attention_heads=24,
            num_key_value_heads=8,
            pad_token_id=199999,
            partial_rotary_factor=0.75,
            rope_scaling=_long("longrope"),
            sliding_window=262144,
            tie_word_embeddings=True,
            transformers_version="4.45.0",
            vocab_size=200064,
        ),
        3_836_021_760,
    ),
}

CASE = Case(
    config=Phi3Config,
    model=Phi3ForCausalLM,
    base=llama.BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    real={"phi-3-mini": 3_821_079_552},
)
