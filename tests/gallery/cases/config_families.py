"""Fields that LLaMA hasn't: windows, lists of layers, experts, latents, states, two stacks."""

from __future__ import annotations

from math import nan
from typing import Any

from blocks import CheckpointError, ConfigError
from tests.gallery.harness import Case
from tests.gallery.others import of

FULL, SLIDING = "full_attention", "sliding_attention"

# The family, what is said, the field that is named (None for the first said), and why.
_REFUSED: tuple[tuple[str, dict[str, Any], str | None, str], ...] = (
    ("mistral", {"sliding_window": 0}, None, r"^0 is not between 1"),
    ("mistral", {"sliding_window": -1}, None, r"^-1 is not between 1"),
    ("mistral", {"sliding_window": 4.5}, None, r"^4\.5 is not int"),
    ("mistral", {"sliding_window": "all"}, None, r"^'all' is not int"),
    ("mistral", {"sliding_window": [8]}, None, r"^\[8\] is not int"),
    ("mistral", {"attention_bias": False}, None, r"not known to the family"),
    (
        "gemma2",
        {"layer_types": [SLIDING]},
        "num_hidden_layers",
        r"2 layers, but layer_types lists 1",
    ),
    ("gemma2", {"layer_types": [FULL] * 3}, "num_hidden_layers", r"layer_types lists 3"),
    ("gemma2", {"layer_types": []}, "num_hidden_layers", r"layer_types lists 0"),
    ("gemma2", {"layer_types": [FULL, "linear"]}, None, r"'linear' is not known"),
    ("gemma2", {"layer_types": [FULL, 3]}, None, r"3 is not str"),
    ("gemma2", {"layer_types": FULL}, None, r"is not tuple"),
    (
        "gemma2",
        {"sliding_window": None, "layer_types": [FULL, "__class__"]},
        "layer_types",
        r"known",
    ),
    ("gemma2", {"attn_logit_softcapping": 0.0}, None, r"above zero, not 0"),
    ("gemma2", {"attn_logit_softcapping": -50.0}, None, r"above zero, not -50"),
    ("gemma2", {"final_logit_softcapping": nan}, None, r"nan is not float"),
    ("gemma2", {"query_pre_attn_scalar": 0}, None, r"0"),
    ("gemma2", {"query_pre_attn_scalar": -4}, None, r"-4"),
    ("gemma2", {"hidden_activation": "gelu_tahn"}, None, r"'gelu_tahn' is not known"),
    ("gemma3_text", {"rope_local_base_freq": 0}, None, r"^0\.0 is not in \(1, 1e15\]"),
    ("gemma3_text", {"rope_local_base_freq": -1.0}, None, r"^-1\.0 is not in"),
    ("gemma3_text", {"sliding_window_pattern": 0}, None, r"0"),
    ("mixtral", {"num_local_experts": 0}, None, r"^0 is not between 1"),
    ("mixtral", {"num_local_experts": 1.0}, None, r"^1\.0 is not int"),
    ("mixtral", {"num_local_experts": 10**6}, None, r"more than"),
    ("mixtral", {"num_experts_per_tok": 0}, None, r"^0 is not between 1"),
    ("mixtral", {"num_experts_per_tok": 5}, None, r"5"),
    ("mixtral", {"router_jitter_noise": -0.1}, None, r"-0\.1"),
    ("mixtral", {"num_experts": 8}, "num_local_experts", r"twice with different values"),
    ("deepseek_v3", {"kv_lora_rank": 0}, None, r"^0 is not between 1"),
    ("deepseek_v3", {"q_lora_rank": -8}, None, r"^-8 is not between 1"),
    ("deepseek_v3", {"qk_rope_head_dim": 3}, None, r"3.*pairs"),
    ("deepseek_v3", {"v_head_dim": 0}, None, r"^0 is not between 1"),
    ("deepseek_v3", {"n_group": 3}, None, r"3"),
    ("deepseek_v3", {"topk_group": 3}, None, r"3"),
    ("deepseek_v3", {"num_experts_per_tok": 9}, None, r"9"),
    ("deepseek_v3", {"first_k_dense_replace": -1}, None, r"^-1 is not between 0"),
    ("deepseek_v3", {"routed_scaling_factor": nan}, None, r"nan is not float"),
    ("deepseek_v3", {"scoring_func": "softmin"}, None, r"'softmin' is not supported"),
    ("deepseek_v3", {"quantization_config": {"quant_method": "awk"}}, r".*quant_method", r"'awk'"),
    (
        "deepseek_v3",
        {"quantization_config": {"quant_method": "fp8", "weight_block_size": [64]}},
        r"quantization_config\.weight_block_size",
        r"\[64\] is not two sizes",
    ),
    ("jamba", {"attn_layer_period": 0}, None, r"^0 is not between 1"),
    ("jamba", {"attn_layer_offset": 2}, None, r"2"),
    ("jamba", {"expert_layer_period": -1}, None, r"^-1 is not between 1"),
    ("jamba", {"mamba_d_state": 0}, None, r"^0 is not between 1"),
    ("jamba", {"mamba_d_conv": "4"}, None, r"^'4' is not int"),
    ("jamba", {"mamba_dt_rank": "automatic"}, None, r"'automatic' is neither"),
    ("jamba", {"num_hidden_layers": 10**6}, None, r"is more than 10000"),
    ("mamba", {"state_size": 0}, None, r"^0 is not between 1"),
    ("mamba", {"conv_kernel": -4}, None, r"^-4 is not between 1"),
    ("mamba", {"time_step_rank": 0}, None, r"0"),
    ("mamba", {"time_step_rank": "big"}, None, r"'big' is neither"),
    ("mamba", {"layer_norm_epsilon": -1e-5}, None, r"is not in \(0, 1\)"),
    ("mamba", {"num_attention_heads": 4}, None, r"not known to the family"),
    ("t5", {"num_heads": 0}, None, r"^0 is not between 1"),
    ("t5", {"d_kv": None}, None, r"missing"),
    ("t5", {"num_decoder_layers": 0}, None, r"^0 is not between 1"),
    ("t5", {"num_decoder_layers": 10**6}, None, r"is more than 10000"),
    ("t5", {"feed_forward_proj": "gated-"}, None, r"not known"),
    ("t5", {"feed_forward_proj": "os.system"}, None, r"not known"),
    ("t5", {"dropout_rate": 1.0}, None, r"^1\.0 is not in \[0, 1\)"),
    ("t5", {"relative_attention_num_buckets": 0}, None, r"^0 is not between 1"),
    ("t5", {"relative_attention_max_distance": 2}, "relative_attention_num_buckets", r"up to 2"),
    ("gpt2", {"n_head": 3}, None, r"3"),
    ("gpt2", {"n_embd": 16, "hidden_size": 32}, r"hidden_size|n_embd", r"twice|not known"),
    ("gpt2", {"layer_norm_epsilon": 1e3}, None, r"^1000\.0 is not in \(0, 1\)"),
    ("gpt2", {"attn_pdrop": -0.1}, None, r"^-0\.1 is not in \[0, 1\)"),
    ("gpt2", {"activation_function": "gelu_newer"}, None, r"'gelu_newer' is not known"),
    ("gpt2", {"n_ctx": 32}, "n_positions", r"twice with different values"),
    ("bert", {"hidden_dropout_prob": 2}, None, r"^2\.0 is not in \[0, 1\)"),
    ("bert", {"type_vocab_size": 0}, None, r"^0 is not between 1"),
    ("bert", {"position_embedding_type": "relative_key"}, None, r"'relative_key' is not supported"),
    ("bert", {"num_attention_heads": 5}, None, r"5"),
    ("bert", {"architectures": ["BertForQuestionMaking"]}, None, r"is not served"),
)

# The family, what is said, the tensor that denies it, and how.
_DENIED: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("mixtral", {"num_local_experts": 3}, r".*(experts\.3|gate).*", r"\[4, 16\], not \[3, 16\]"),
    ("mixtral", {"num_local_experts": 5}, r".*(experts\.4|gate).*", r"\[4, 16\], not \[5, 16\]"),
    ("deepseek_v3", {"kv_lora_rank": 4}, r".*kv_a.*", r"not \["),
    ("deepseek_v3", {"first_k_dense_replace": 2}, r".*layers\.1\.mlp.*", r"missing"),
    ("jamba", {"attn_layer_offset": 0}, r".*layers\.0.*", r"missing"),
    ("mamba", {"state_size": 8}, r".*mixer.*", r"not \["),
    ("mamba", {"use_conv_bias": False}, r".*conv1d\.bias", r"not used by the model"),
    ("t5", {"num_decoder_layers": 3}, r"decoder\.block\.2.*", r"missing"),
    ("t5", {"feed_forward_proj": "relu"}, r".*DenseReluDense.*", r"missing|not used"),
    ("gpt2", {"n_inner": 32}, r".*mlp.*", r"not \["),
    ("bert", {"max_position_embeddings": 65}, r".*position_embeddings.*", r"not \[65, 16\]"),
)


def _named(family: str, said: dict[str, Any]) -> str:
    return f"{family}: " + ", ".join(f"{name} {value}" for name, value in said.items())


CASES = [
    *(
        Case(
            _named(family, said),
            of(family, **said),
            ConfigError,
            reason,
            file=r"config\.json",
            field=field or next(iter(said)),
        )
        for family, said, field, reason in _REFUSED
    ),
    *(
        Case(_named(family, said), of(family, **said), CheckpointError, reason, tensor=tensor)
        for family, said, tensor, reason in _DENIED
    ),
]
