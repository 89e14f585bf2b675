"""wav2vec 2.0 with Conformer layers."""

from __future__ import annotations

from operator import attrgetter

import transformers
from transformers import Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC

from blocks import (
    MLP,
    BatchNorm,
    Causal,
    ConvModule,
    ConvStem,
    LayerNorm,
    RelativeAttention,
    SequenceHead,
    TimeNorm,
    TurnedAttention,
)
from tests.families.reference import Case, Variant, change, shallow

BASE = {
    "vocab_size": 37,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 56,
    "conv_dim": (24, 20),
    "conv_stride": (2, 1),
    "conv_kernel": (4, 3),
    "conv_bias": True,
    "feat_extract_norm": "layer",
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "conv_depthwise_kernel_size": 5,
    "layer_norm_eps": 0.05,
}
CLASSES = {"num_labels": 5, "classifier_proj_size": 24}
MIXED = {"use_weighted_layer_sum": True}


def heads(name, **more):
    """The variants without tokens of the models that the reference has under these class names."""
    bare = getattr(transformers, f"{name}Model")
    told = {"model": getattr(transformers, f"{name}ForSequenceClassification")}
    return {
        "bare": Variant(model=bare, answer=attrgetter("last_hidden_state")),
        "classes": Variant(CLASSES, **told),
        "classes of all layers": Variant(CLASSES | MIXED, **told),
    } | more


VARIANTS = {
    "plain": Variant(),
    "rotary": Variant({"position_embeddings_type": "rotary", "rotary_embedding_base": 50}),
    "no positions": Variant({"position_embeddings_type": None}),
    "norm over time": Variant({"feat_extract_norm": "group", "conv_bias": False}),
    "swish": Variant({"hidden_act": "swish", "feat_extract_activation": "relu"}),
    "no masks": Variant({"mask_time_prob": 0.0}),
    **heads("Wav2Vec2Conformer"),
}

HEADS = {
    "places of a class": ("classes", change(SequenceHead, pool="first")),
    "activation of a class": ("classes", change(SequenceHead, act="tanh")),
    "layers of a class": ("classes of all layers", change("", mix=None)),
}

MUTATIONS = HEADS | {
    "activation": ("plain", change(MLP, act="relu")),
    "activation of the module": ("plain", change(ConvModule, act="relu")),
    "activation of the stem": ("plain", change(ConvStem, act="relu")),
    "biases of the stem": ("plain", change(ConvStem, bias=False)),
    "norms of the stem": ("plain", change(ConvStem, normed="first")),
    "norm of the stem": ("plain", change(ConvStem, norm=None)),
    "norm over time": ("norm over time", change(ConvStem, norm=LayerNorm)),
    "eps over time": ("norm over time", change(TimeNorm, eps=0.3)),
    "eps": ("plain", change(LayerNorm, eps=0.3)),
    "eps of the module": ("plain", change(BatchNorm, eps=0.3)),
    "layout of positions": ("plain", change(RelativeAttention, layout="halves")),
    "distances": ("plain", change(RelativeAttention, clamp=3)),
    "mask": ("plain", change(RelativeAttention, mask=Causal())),
    "theta": ("rotary", change(TurnedAttention, theta=400.0)),
    "mask, turned": ("rotary", change(TurnedAttention, mask=Causal())),
    "depth": ("plain", shallow),
}

_FORM = {
    "activation_dropout": 0.1,
    "adapter_kernel_size": 3,
    "adapter_stride": 2,
    "add_adapter": False,
    "apply_spec_augment": True,
    "architectures": ["Wav2Vec2ConformerForCTC"],
    "attention_dropout": 0.1,
    "bos_token_id": 1,
    "classifier_proj_size": 256,
    "codevector_dim": 768,
    "conformer_conv_dropout": 0.1,
    "contrastive_logits_temperature": 0.1,
    "conv_bias": True,
    "conv_depthwise_kernel_size": 31,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "ctc_loss_reduction": "sum",
    "ctc_zero_infinity": False,
    "diversity_loss_weight": 0.1,
    "eos_token_id": 2,
    "feat_extract_activation": "gelu",
    "feat_extract_dropout": 0.0,
    "feat_extract_norm": "layer",
    "feat_proj_dropout": 0.1,
    "feat_quantizer_dropout": 0.0,
    "final_dropout": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "swish",
    "hidden_dropout": 0.1,
    "hidden_size": 1024,
    "initializer_range": 0.02,
    "intermediate_size": 4096,
    "layer_norm_eps": 1e-05,
    "layerdrop": 0.0,
    "mask_feature_length": 10,
    "mask_feature_min_masks": 0,
    "mask_feature_prob": 0.0,
    "mask_time_length": 10,
    "mask_time_min_masks": 2,
    "mask_time_prob": 0.05,
    "max_source_positions": 5000,
    "model_type": "wav2vec2-conformer",
    "num_adapter_layers": 3,
    "num_attention_heads": 16,
    "num_codevector_groups": 2,
    "num_codevectors_per_group": 320,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128,
    "num_feat_extract_layers": 7,
    "num_hidden_layers": 24,
    "num_negatives": 100,
    "output_hidden_size": 1024,
    "pad_token_id": 0,
    "position_embeddings_type": "rotary",
    "proj_codevector_dim": 768,
    "rotary_embedding_base": 10000,
    "tdnn_dilation": [1, 2, 3, 1, 1],
    "tdnn_dim": [512, 512, 512, 512, 1500],
    "tdnn_kernel": [5, 3, 3, 1, 1],
    "torch_dtype": "float32",
    "transformers_version": "4.19.0.dev0",
    "use_weighted_layer_sum": False,
    "vocab_size": 32,
    "xvector_output_dim": 512,
}

# What is learnt and used: 8.4 million parameters of the files are in no Conformer's layers.
PUBLISHED = {"facebook/wav2vec2-conformer-rope-large-960h-ft": (_FORM, 584_986_144)}

CASE = Case(
    config=Wav2Vec2ConformerConfig,
    model=Wav2Vec2ConformerForCTC,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset(
        """activation_dropout architectures classifier_proj_size conformer_conv_dropout
        conv_depthwise_kernel_size conv_dim conv_kernel conv_stride num_feat_extract_layers
        num_labels position_embeddings_type""".split()
    ),
    fields={
        "num_key_value_heads": None,
        "head_dim": None,
        "max_position_embeddings": None,
    },
    extra=(),
    kind="hearer",
    channels=1,
    hears=lambda frames: frames.squeeze(-1),
)
