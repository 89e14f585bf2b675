"""Mamba, as transformers writes it; the first files have tests of their own."""

from __future__ import annotations

from transformers import MambaConfig, MambaForCausalLM

from blocks import LMHead, Mamba, RMSNorm, TokenEmbedding, replace
from tests.families.reference import Case, Variant, change, shallow

BASE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "state_size": 6,
    "layer_norm_epsilon": 0.05,
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

# What LLaMA calls the fields that tests ask for, and that there are none of here.
FIELDS = dict.fromkeys(
    (
        "num_attention_heads",
        "max_position_embeddings",
        "attention_dropout",
        "num_key_value_heads",
        "head_dim",
    )
)

VARIANTS = {
    "plain": Variant(),
    "tied": Variant({"tie_word_embeddings": True}),
    "biases": Variant({"use_bias": True, "use_conv_bias": False}),
    "short kernel": Variant({"conv_kernel": 2}),
    "wider": Variant({"expand": 3, "time_step_rank": 5}),
    "gelu": Variant({"hidden_act": "gelu"}),
    "sum in the weights' dtype": Variant({"residual_in_fp32": False}),
}

MUTATIONS = {
    "eps": ("plain", change(RMSNorm, eps=0.06)),
    "last norm": ("plain", lambda spec: replace(spec, norm=None)),
    "norms inside": ("plain", change(Mamba, norm=RMSNorm)),
    "activation": ("plain", change(Mamba, act="gelu")),
    "biases": ("biases", change(Mamba, bias=False)),
    "bias of the convolution": ("plain", change(Mamba, conv_bias=False)),
    "scale of embeddings": ("plain", change(TokenEmbedding, scale=1.1)),
    "scale of logits": ("plain", change(LMHead, scale=1.1)),
    "depth": ("plain", shallow),
}

HF = {
    "architectures": ["MambaForCausalLM"],
    "bos_token_id": 0,
    "conv_kernel": 4,
    "d_inner": 1536,
    "d_model": 768,
    "eos_token_id": 0,
    "expand": 2,
    "fused_add_norm": True,
    "hidden_act": "silu",
    "hidden_size": 768,
    "initializer_range": 0.1,
    "intermediate_size": 1536,
    "layer_norm_epsilon": 1e-05,
    "model_type": "mamba",
    "n_layer": 24,
    "num_hidden_layers": 24,
    "pad_token_id": 0,
    "pad_vocab_size_multiple": 8,
    "rescale_prenorm_residual": False,
    "residual_in_fp32": True,
    "rms_norm": True,
    "ssm_cfg": {},
    "state_size": 16,
    "time_step_floor": 0.0001,
    "time_step_init_scheme": "random",
    "time_step_max": 0.1,
    "time_step_min": 0.001,
    "time_step_rank": 48,
    "time_step_scale": 1.0,
    "torch_dtype": "float32",
    "transformers_version": "4.39.0.dev0",
    "use_bias": False,
    "use_cache": True,
    "use_conv_bias": True,
    "vocab_size": 50280,
}

ORIGINAL = {
    "d_model": 768,
    "n_layer": 24,
    "vocab_size": 50277,
    "ssm_cfg": {},
    "rms_norm": True,
    "residual_in_fp32": True,
    "fused_add_norm": True,
    "pad_vocab_size_multiple": 8,
}

CASE = Case(
    config=MambaConfig,
    model=MambaForCausalLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={
        "state-spaces/mamba-130m-hf": (HF, 129_135_360),
        "state-spaces/mamba-130m": (ORIGINAL, 129_135_360),
    },
    fields=FIELDS,
    untried=frozenset({"conv_kernel", "residual_in_fp32", "state_size", "time_step_rank"}),
    extra=(),
    tied=True,
    tolerance=5e-5,
)
