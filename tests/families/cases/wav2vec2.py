"""wav2vec 2.0."""

from __future__ import annotations

from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2ForSequenceClassification

from blocks import MLP, Causal, ConvPositions, ConvStem, GQAttention, LayerNorm, TimeNorm
from tests.families.cases import wav2vec2_conformer
from tests.families.reference import Case, Variant, change, shallow

_CONFORMER = ("conv_depthwise_kernel_size",)
BASE = {n: v for n, v in wav2vec2_conformer.BASE.items() if n not in _CONFORMER}
OVER_TIME = {"feat_extract_norm": "group", "conv_bias": False}
STABLE = {"do_stable_layer_norm": True}

VARIANTS = {
    "plain": Variant(),
    "stable": Variant(STABLE),
    "norm over time": Variant(OVER_TIME),
    "odd kernel": Variant({"num_conv_pos_embeddings": 5, "num_conv_pos_embedding_groups": 1}),
    "swish": Variant({"hidden_act": "swish", "feat_extract_activation": "relu"}),
    "no masks": Variant({"mask_time_prob": 0.0}),
    **wav2vec2_conformer.heads("Wav2Vec2"),
    "classes of all stable layers": Variant(
        wav2vec2_conformer.CLASSES | wav2vec2_conformer.MIXED | STABLE,
        model=Wav2Vec2ForSequenceClassification,
    ),
}

MUTATIONS = wav2vec2_conformer.HEADS | {
    "activation": ("plain", change(MLP, act="relu")),
    "activation of the stem": ("plain", change(ConvStem, act="relu")),
    "activation of positions": ("plain", change(ConvPositions, act="relu")),
    "biases of the stem": ("plain", change(ConvStem, bias=False)),
    "norms of the stem": ("plain", change(ConvStem, normed="first")),
    "norm over time": ("norm over time", change(ConvStem, norm=LayerNorm)),
    "eps over time": ("norm over time", change(TimeNorm, eps=0.3)),
    "eps": ("plain", change("stem", eps=0.3)),
    "mask": ("plain", change(GQAttention, mask=Causal())),
    "scale of scores": ("plain", change(GQAttention, scale=0.1)),
    "biases of attention": ("plain", change(GQAttention, bias=False)),
    "last norm": ("stable", change("norm", eps=0.3)),
    "depth": ("plain", shallow),
}

_FORM = {
    "activation_dropout": 0.1,
    "apply_spec_augment": True,
    "architectures": ["Wav2Vec2ForCTC"],
    "attention_dropout": 0.1,
    "bos_token_id": 1,
    "codevector_dim": 256,
    "contrastive_logits_temperature": 0.1,
    "conv_bias": False,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "ctc_loss_reduction": "sum",
    "ctc_zero_infinity": False,
    "diversity_loss_weight": 0.1,
    "do_stable_layer_norm": False,
    "eos_token_id": 2,
    "feat_extract_activation": "gelu",
    "feat_extract_dropout": 0.0,
    "feat_extract_norm": "group",
    "feat_proj_dropout": 0.1,
    "feat_quantizer_dropout": 0.0,
    "final_dropout": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout": 0.1,
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-05,
    "layerdrop": 0.1,
    "mask_feature_length": 10,
    "mask_feature_prob": 0.0,
    "mask_time_length": 10,
    "mask_time_prob": 0.05,
    "model_type": "wav2vec2",
    "num_attention_heads": 12,
    "num_codevector_groups": 2,
    "num_codevectors_per_group": 320,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128,
    "num_feat_extract_layers": 7,
    "num_hidden_layers": 12,
    "num_negatives": 100,
    "pad_token_id": 0,
    "proj_codevector_dim": 256,
    "transformers_version": "4.7.0.dev0",
    "vocab_size": 32,
}

# 94.4 million with the vector that stands for masked places in training.
PUBLISHED = {"facebook/wav2vec2-base-960h": (_FORM, 94_395_552)}

CASE = Case(
    config=Wav2Vec2Config,
    model=Wav2Vec2ForCTC,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=frozenset(
        """activation_dropout architectures classifier_proj_size conv_dim conv_kernel conv_stride
        num_conv_pos_embedding_groups do_stable_layer_norm num_labels num_conv_pos_embeddings
        num_feat_extract_layers""".split()
    ),
    fields={"num_key_value_heads": None, "head_dim": None, "max_position_embeddings": None},
    extra=(),
    implied=frozenset({"vocab_size"}),
    kind="hearer",
    channels=1,
    hears=lambda frames: frames.squeeze(-1),
)
