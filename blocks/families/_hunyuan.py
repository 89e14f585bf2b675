"""What Hunyuan's families share: RoPE stretched by a fixed number, then the norms of q and k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blocks import DynamicScaling, QKNorm, RMSNorm, Spec, at, replace
from blocks.families import _decoder as common
from blocks.families._rope import read_rope
from blocks.hub.config import Config

QK_KEYS = (
    ("model.layers.{i}.self_attn.query_layernorm.{w}", "layers.{i}.attention.qk.1.q.{w}"),
    ("model.layers.{i}.self_attn.key_layernorm.{w}", "layers.{i}.attention.qk.1.k.{w}"),
)

# What published files say of the architecture, and what alone they may say.
_FIXED: dict[str, tuple[Any, ...]] = {
    "group_limited_greedy": (False,),
    "mlp_bias": (False,),
    "moe_drop_tokens": (False,),
    "moe_layer_num_skipped": (0,),
    "norm_topk_prob": (True,),
    "norm_type": ("rms", "hf_rms"),
    "position_embedding_xdrope": (False,),
    "routed_scaling_factor": (1.0, False),
    "use_cla": (False,),
    "use_mixed_mlp_moe": (True, False),
    "use_qk_norm": (True,),
    "use_rotary_pos_emb": (True,),
    "xdrope_section": (None,),
    **dict.fromkeys(("n_group", "topk_group"), (None, 1)),
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank", "v_head_dim"), (None,)),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim"), (None,)),
}
# What they say of other models: one that sees, one that classifies, one that shares keys.
_OTHERS = """
    add_classification_head anyres_pooling_size anyres_vit_max_image_size anyres_vit_two_views
    cla_share_factor class_num dense_list im_end_id im_newline_id im_start_id image_token_id
    mask_init_id moe_random_routing_dropped_token num_media_embeds org_vocab_size pad_id pool_type
    skip_cls_token text_end_id text_start_id video_end_id video_start_id vit_add_patchemb_bias
    vit_input_resolution vit_mapping_type vit_norm_type vit_patch vit_path vit_remove_prenorm
    vit_token vit_type vit_used_rms_norm
""".split()
_UNREAD = ("beta_fast", "beta_slow", "mscale", "mscale_all_dim")  # beside alpha in published files


def read_hunyuan(c: Config, mlps: Mapping[int, Spec], which: Sequence[int]) -> Spec:
    """The model, given MLPs or experts, and which of them each layer has."""
    for name, allowed in _FIXED.items():
        c.only(name, *allowed)
    for name in _OTHERS:
        c.take(name, Any, None, low=-1)
    dim, context = c.take("hidden_size", int), c.take("max_position_embeddings", int, 2048)
    norm = Spec(RMSNorm, eps=c.take("rms_norm_eps", float, 1e-5))
    bias = c.take("attention_bias", bool, False)
    attention = common.attention(c, dim, Spec(QKNorm, norm=norm), bias=bias)
    c.only("attention_head_dim", attention.keywords["head_dim"])
    attention = read_stretched(c, attention, context)
    layers = {key: common.pre_norm(norm, attention, mlp) for key, mlp in mlps.items()}
    return common.decoder(c, tuple(layers[key] for key in which), norm, dim, context)


def write_hunyuan(s: Spec) -> dict[str, Any]:
    """The fields that `read_hunyuan` is read from."""
    bias = {"attention_bias": at(s, "layers.0.attention").keywords["bias"]}
    return common.write_decoder(s, head_dim=True) | bias


def read_stretched(c: Config, attention: Spec, context: int) -> Spec:
    """The attention with RoPE before all else that happens to queries and keys.

    Files call it dynamic, but `alpha` stretches θ once and for all, whatever the length.
    """
    width, norms = attention.keywords["head_dim"], attention.keywords["qk"]
    inner = c.inner("rope_parameters") or c.inner("rope_scaling") or Config({}, c.file)
    rope, alpha = read_rope(c, context), inner.take("alpha", float, None)
    if alpha and isinstance(rope.keywords["scaling"], DynamicScaling):
        if alpha < 0:
            raise inner.error("alpha", f"must be above zero, not {alpha}")
        for name in _UNREAD:
            inner.take(name, float, None)
        theta = rope.keywords["theta"] * alpha ** (width / (width - 2))
        rope = replace(rope, theta=theta, scaling=None)
    return replace(attention, qk=(rope, *norms))
