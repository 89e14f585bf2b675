"""BART."""

from __future__ import annotations

import dataclasses

import torch
from torch.nn.functional import pad
from transformers import BartConfig, BartForConditionalGeneration

from blocks import MLP, CrossAttention, GQAttention, LayerNorm, ShiftRight, replace
from tests.families.cases.bert import heads
from tests.families.reference import Case, Variant, change, pair_mutations

BASE = {
    "vocab_size": 97,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 56,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "forced_eos_token_id": None,
    "decoder_start_token_id": 2,
}

WRITING = {
    "plain": Variant(),
    "scaled": Variant({"scale_embedding": True}),
    "relu": Variant({"activation_function": "relu"}),
    "equal halves": Variant({"decoder_layers": 2, "decoder_attention_heads": 4}),
}

ENDS = torch.tensor([20, 24])  # which padding on either side leaves


def ended(token):
    """A text that ends before its last tokens, and holds nothing else that is special."""
    return lambda tokens: tokens.clamp(min=3).index_fill(1, ENDS, token)


def readers(name, *, end=2, **more):
    """The variants of other tasks than writing that the reference has under these class names."""
    return {
        task: dataclasses.replace(
            how,
            options={**how.options, "eos_token_id": end},
            reads=ended(end),
            kind="encoder",
            **more,
        )
        for task, how in heads(name).items()
    }


def bare(name, start, **more):
    """The bare model's variant, for which the reference makes no target itself."""

    def asks(tokens):
        return {"decoder_input_ids": pad(tokens[:, :-1], (1, 0), value=start)}

    return {"bare": dataclasses.replace(readers(name, **more)["bare"], asks=asks)}


# What another end or start of the text must show.
READING = {
    "end of the text": ("classes", lambda spec: replace(spec, end=None)),
    "start of the target": ("spans", lambda spec: replace(spec, shift=ShiftRight(7))),
}
TOLD = frozenset({"architectures", "classifier_dropout", "num_labels"})
TOLD |= {"decoder_start_token_id", "eos_token_id"}

MUTATIONS = pair_mutations(LayerNorm, MLP) | {
    "biases of q, k and v": ("plain", change(GQAttention, bias=False)),
    "biases that read the source": ("plain", change(CrossAttention, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "place of the first token": (
        "plain",
        change("encoder.stem.positions", offset=1),
    ),
}

_FORM = {
    "_num_labels": 3,
    "activation_dropout": 0.1,
    "activation_function": "gelu",
    "add_final_layer_norm": False,
    "architectures": ["BartForConditionalGeneration"],
    "attention_dropout": 0.1,
    "bos_token_id": 0,
    "classif_dropout": 0.1,
    "d_model": 1024,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 12,
    "decoder_start_token_id": 2,
    "dropout": 0.1,
    "early_stopping": True,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 12,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_position_embeddings": 1024,
    "model_type": "bart",
    "normalize_before": False,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "scale_embedding": False,
    "use_cache": True,
    "vocab_size": 50264,
}

_TOLD = _FORM | {
    "architectures": ["BartForSequenceClassification"],
    "classif_dropout": 0.0,
    "classifier_dropout": 0.0,
    "id2label": {"0": "contradiction", "1": "neutral", "2": "entailment"},
    "label2id": {"contradiction": 0, "entailment": 2, "neutral": 1},
    "vocab_size": 50265,
}

CASE = Case(
    kind="pair",
    table="encoder.embedding.weight",
    config=BartConfig,
    model=BartForConditionalGeneration,
    base=BASE,
    variants=WRITING | readers("Bart"),
    mutations=MUTATIONS | READING,
    # With the bias of the logits, which the reference keeps as a buffer of zeros.
    published={
        "facebook/bart-large-cnn": (_FORM, 406_290_432 + 50_264),
        "facebook/bart-large-mnli": (_TOLD, 407_344_131),
    },
    untried=TOLD
    | frozenset(
        {"d_model", "dropout", "is_encoder_decoder", "scale_embedding"}
        | {f"{h}_{n}" for h in ("encoder", "decoder") for n in ("attention_heads", "ffn_dim")}
    ),
    fields={
        "hidden_size": "d_model",
        "intermediate_size": "encoder_ffn_dim",
        "num_hidden_layers": "encoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "hidden_act": "activation_function",
        "num_key_value_heads": None,
        "head_dim": None,
    },
    extra=(),
    missing_prefix="model.",
    tied=True,
)
