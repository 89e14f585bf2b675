"""LED."""

from __future__ import annotations

from transformers import LEDConfig, LEDForConditionalGeneration

from blocks import MLP, CrossAttention, GQAttention, LayerNorm, LongformerAttention
from tests.families.cases import bart
from tests.families.reference import Case, Variant, change, pair_mutations

BASE = {name: value for name, value in bart.BASE.items() if name != "max_position_embeddings"} | {
    "attention_window": [4, 8],
    "max_encoder_position_embeddings": 72,
    "max_decoder_position_embeddings": 64,
}

VARIANTS = {
    "plain": Variant(),
    "one window": Variant({"attention_window": 6}),
    # The reference fills a source up to a whole window, and looks that many positions up.
    "windows that hold all": Variant(
        {"attention_window": 128, "max_encoder_position_embeddings": 128}
    ),
    "relu": Variant({"activation_function": "relu"}),
}

_OTHERS = pair_mutations(LayerNorm, MLP)
MUTATIONS = {name: how for name, how in _OTHERS.items() if name != "mask of the encoder"} | {
    "window": ("plain", change("encoder.layers.0.attention", radius=3)),
    "wider window": ("plain", change("encoder.layers.1.attention", radius=5)),
    "biases of the encoder's q, k and v": ("plain", change(LongformerAttention, bias=False)),
    "biases of the decoder's q, k and v": ("plain", change(GQAttention, bias=False)),
    "biases that read the source": ("plain", change(CrossAttention, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "start of the target": bart.READING["start of the target"],
    "place of the first token": ("plain", change("encoder.stem.positions", offset=1)),
}

_FORM = {
    "_num_labels": 3,
    "activation_dropout": 0.0,
    "activation_function": "gelu",
    "architectures": ["LEDForConditionalGeneration"],
    "attention_dropout": 0.0,
    "attention_window": [1024] * 6,
    "bos_token_id": 0,
    "classif_dropout": 0.0,
    "classifier_dropout": 0.0,
    "d_model": 768,
    "decoder_attention_heads": 12,
    "decoder_ffn_dim": 3072,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 6,
    "decoder_start_token_id": 2,
    "dropout": 0.1,
    "encoder_attention_heads": 12,
    "encoder_ffn_dim": 3072,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 6,
    "eos_token_id": 2,
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_decoder_position_embeddings": 1024,
    "max_encoder_position_embeddings": 16384,
    "model_type": "led",
    "num_hidden_layers": 6,
    "pad_token_id": 1,
    "use_cache": True,
    "vocab_size": 50265,
}

CASE = Case(
    kind="pair",
    table="encoder.embedding.weight",
    config=LEDConfig,
    model=LEDForConditionalGeneration,
    base=BASE,
    variants=VARIANTS | bart.readers("LED"),
    mutations=MUTATIONS,
    # With the bias of the logits, which the reference keeps as a buffer of zeros.
    published={"allenai/led-base-16384": (_FORM, 161_844_480 + 50_265)},
    untried=(bart.CASE.untried - {"scale_embedding"})
    | {f"max_{half}_position_embeddings" for half in ("encoder", "decoder")},
    fields=dict(bart.CASE.fields) | {"max_position_embeddings": "max_encoder_position_embeddings"},
    extra=(),
    missing_prefix="led.",
    tied=True,
)
