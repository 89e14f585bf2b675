"""T5, T5 v1.1, FLAN-T5 and ByT5."""

from __future__ import annotations

from transformers import T5Config, T5ForConditionalGeneration

from blocks import MLP, RelativeBias, RMSNorm
from tests.families.cases import bart
from tests.families.reference import Case, Variant, change, pair_mutations

BASE = {
    "vocab_size": 97,
    "d_model": 32,
    "d_kv": 4,
    "d_ff": 40,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "layer_norm_epsilon": 0.5,
    "pad_token_id": 0,
    "eos_token_id": None,
    "decoder_start_token_id": 0,
}

VARIANTS = {
    "plain": Variant(),
    "v1.1": Variant({"feed_forward_proj": "gated-gelu"}),
    "gated silu": Variant({"feed_forward_proj": "gated-silu"}),
    "three heads, three layers": Variant({"num_heads": 3, "num_layers": 3}),
}


def readers(name):
    """The variants of other tasks than writing, under these class names."""
    return bart.readers(name, end=1) | bart.bare(name, 0, end=1)


MUTATIONS = (
    pair_mutations(RMSNorm, MLP)
    | bart.READING
    | {
        "buckets": ("plain", change(RelativeBias, distance=12)),
        "number of buckets": ("plain", change(RelativeBias, buckets=6)),
        "sides": ("plain", change("encoder.layers.*.attention.scores.0", both_ways=False)),
    }
)

_SMALL = {
    "architectures": ["T5ForConditionalGeneration"],
    "d_ff": 2048,
    "d_kv": 64,
    "d_model": 512,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "t5",
    "n_positions": 512,
    "num_heads": 8,
    "num_layers": 6,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "vocab_size": 32128,
}
_NEWER = _SMALL | {
    "d_ff": 1024,
    "feed_forward_proj": "gated-gelu",
    "num_decoder_layers": 8,
    "num_heads": 6,
    "num_layers": 8,
    "tie_word_embeddings": False,
}
_BYTES = _NEWER | {
    "d_ff": 3584,
    "d_model": 1472,
    "num_decoder_layers": 4,
    "num_layers": 12,
    "vocab_size": 384,
    "tokenizer_class": "ByT5Tokenizer",
}
_HALF = _NEWER | {
    "architectures": ["T5EncoderModel"],
    "classifier_dropout": 0.0,
    "d_ff": 10240,
    "d_model": 4096,
    "dense_act_fn": "gelu_new",
    "is_gated_act": True,
    "num_decoder_layers": 24,
    "num_heads": 64,
    "num_layers": 24,
}
PUBLISHED = {
    "google-t5/t5-small": (_SMALL, 60_506_624),
    "google/t5-v1_1-small": (_NEWER, 76_961_152),
    "google/byt5-small": (_BYTES, 299_637_760),
    "google/t5-v1_1-xxl, its encoder": (_HALF, 4_762_310_656),
}

CASE = Case(
    kind="pair",
    table="encoder.embedding.weight",
    config=T5Config,
    model=T5ForConditionalGeneration,
    base=BASE,
    variants=VARIANTS | readers("T5"),
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=bart.TOLD
    | frozenset(
        {
            "d_kv",
            "dropout_rate",
            "is_encoder_decoder",
            "num_decoder_layers",
            "num_heads",
            "scale_decoder_outputs",
        }
    ),
    fields={
        "hidden_size": "d_model",
        "intermediate_size": "d_ff",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": None,
        "attention_dropout": "dropout_rate",
        "max_position_embeddings": None,
        "hidden_act": None,
        "num_key_value_heads": None,
        "head_dim": None,
    },
    implied=frozenset({"num_attention_heads"}),
    extra=(),
    tied=True,
)
