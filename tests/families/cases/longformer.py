"""Longformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LongformerConfig, LongformerForMaskedLM

import blocks
from blocks import (
    MLP,
    BeforeToken,
    FirstToken,
    LayerNorm,
    LearnedPositions,
    LongformerAttention,
    TokenEmbedding,
)
from tests.families.cases import bert
from tests.families.reference import TOKENS, Case, Change, Variant, change, shallow

PAD, SEP, OTHER = 1, 2, 3

BASE = bert.BASE | {
    "attention_window": [4, 8],
    "max_position_embeddings": 66,
    "pad_token_id": PAD,
    "sep_token_id": SEP,
    "type_vocab_size": 1,
    "bos_token_id": None,
    "eos_token_id": None,
}


@dataclass(frozen=True)
class Questions(Case):
    """No token is padding, by which the reference counts positions; three are separators."""

    def source(self, rows: int, draw: torch.Generator) -> Tensor:
        tokens = torch.randint(OTHER + 1, self.vocab, (rows, TOKENS), generator=draw)
        tokens[:, [18, 19, 23]] = SEP
        tokens[:, 20] = OTHER
        return tokens


VARIANTS = {
    "plain": Variant(),
    "one window": Variant({"attention_window": 6}),
    "windows that hold all": Variant({"attention_window": 128}),
    "relu": Variant({"hidden_act": "relu"}),
    "two types": Variant({"type_vocab_size": 2}),
    **bert.heads("Longformer"),
}


def marks(value: blocks.Marks | None) -> Change:
    """A mutation: other tokens see all."""
    return lambda spec: blocks.replace(spec, marks=value)


MUTATIONS = {
    "window": ("plain", change("layers.0.attention", radius=3)),
    "wider window": ("plain", change("layers.1.attention", radius=5)),
    "eps": ("plain", change(LayerNorm, eps=0.1)),
    "activation": ("plain", change(MLP, act="relu2")),
    "scale of embeddings": ("plain", change(TokenEmbedding, scale=1.1)),
    "depth": ("plain", shallow),
    "biases of q, k and v": ("plain", change(LongformerAttention, bias=False)),
    "bias of the output": ("plain", change(LongformerAttention, out_bias=False)),
    "biases of the mlp": ("plain", change(MLP, bias=False)),
    "biases of norms": ("plain", change(LayerNorm, bias=False)),
    "place of the first token": ("plain", change(LearnedPositions, offset=1)),
    "a first token like any other": ("classes", marks(None)),
    "a question like any text": ("spans", marks(None)),
    "a question of one token": ("spans", marks(FirstToken())),
    "another separator": ("spans", marks(BeforeToken(OTHER))),
    "a first token that sees all": ("plain", marks(FirstToken())),
}

PUBLISHED = {
    "allenai/longformer-base-4096": (
        {
            "architectures": ["LongformerForMaskedLM"],
            "attention_mode": "longformer",
            "attention_probs_dropout_prob": 0.1,
            "attention_window": [512] * 12,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "gradient_checkpointing": False,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "hidden_size": 768,
            "ignore_attention_mask": False,
            "initializer_range": 0.02,
            "intermediate_size": 3072,
            "layer_norm_eps": 1e-05,
            "max_position_embeddings": 4098,
            "model_type": "longformer",
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "pad_token_id": 1,
            "sep_token_id": 2,
            "type_vocab_size": 1,
            "vocab_size": 50265,
        },
        148_711_257,
    ),
}

CASE = Questions(
    kind="encoder",
    config=LongformerConfig,
    model=LongformerForMaskedLM,
    base=BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published=PUBLISHED,
    untried=bert.CASE.untried,
    fields=bert.FIELDS,
    extra=(),
    tied=True,
)
