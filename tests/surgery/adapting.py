"""Tiny models of the reference with adapters of PEFT, every number of both drawn anew."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import peft
import torch
import transformers as tf
from torch import Tensor, nn

import blocks
from tests.families.reference import case_of, first

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 50}
HEADS = SIZES | {"num_attention_heads": 4, "max_position_embeddings": 32}
GROUPED = HEADS | {"num_key_value_heads": 2}
TOKENS = torch.randint(3, 49, (2, 9), generator=torch.Generator().manual_seed(7))
tf.logging.set_verbosity_error()
tf.logging.disable_progress_bar()


@dataclass(frozen=True)
class Base:
    """A model of the reference: its class, its config, and whether it reads two texts."""

    kind: type[Any]
    config: Callable[[], Any]
    pair: bool = False

    def saved(self, folder: Path) -> Any:
        """The model, every parameter drawn, after it has been saved."""
        with quiet():
            config = self.config()
            config._experts_implementation = "eager"  # the others know no float64
            model = self.kind(config).double().eval()
            scramble(model)
            model.save_pretrained(folder)
        return model

    def loaded(self, folder: Path, adapter: Path) -> Any:
        """PEFT's model of a saved base and an adapter."""
        with quiet():
            base = self.plain(folder)
            made = peft.PeftModel.from_pretrained(base, str(adapter), autocast_adapter_dtype=False)
            return made.eval()

    def plain(self, folder: Path) -> Any:
        """The reference's model of a folder."""
        with quiet():
            model = self.kind.from_pretrained(folder, dtype=torch.float64).eval()
        model.config._experts_implementation = "eager"
        return model

    def ask(self, model: Any) -> Tensor:
        """The reference's logits."""
        more = {"decoder_input_ids": TOKENS} if self.pair else {"use_cache": False}
        with torch.no_grad(), quiet():
            return model(input_ids=TOKENS, **more).logits

    def ours(self, model: Any) -> Tensor:
        """Our logits."""
        with torch.no_grad():
            return model(TOKENS, TOKENS) if self.pair else model(TOKENS)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of the reference, which are of no use here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def scramble(model: nn.Module, only: str = "", std: float = 0.15) -> None:
    """Draws parameters anew, those of norms around one, lengths of rows above zero."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if only in name or (only and p.requires_grad):
                p.copy_(torch.randn(p.shape, generator=draw, dtype=p.dtype) * std)
                if "norm" in name.lower() or "ln_" in name:
                    p.add_(1)
                if "magnitude" in name:
                    p.abs_().add_(0.5)


def of_peft(model: Any, **options: Any) -> Any:
    """The model with a drawn adapter."""
    settings = peft.LoraConfig(**{"r": 3, "lora_alpha": 5, **options})
    with quiet():
        made = peft.get_peft_model(model, settings, autocast_adapter_dtype=False)
    scramble(made, "lora_", 0.3)
    return made.eval()


def off(found: Tensor, wanted: Tensor) -> float:
    """How far apart the furthest two numbers are, by the spread of what is wanted."""
    return float((found - wanted).abs().max() / wanted.std())


def near(found: Tensor, wanted: Tensor, bound: float = 1e-6) -> None:
    """Equal to a millionth of the spread."""
    assert off(found, wanted) <= bound, f"{off(found, wanted):.1e} of the spread"


def drawn(model: Any, std: float = 0.3) -> Any:
    """One of ours, with every number that trains drawn."""
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, p in blocks.trainable(model).items():
            p.copy_(torch.randn(p.shape, generator=draw, dtype=p.dtype) * std)
            if name.endswith("magnitude"):
                p.abs_().add_(0.5)
    return model


def of_family(family: str) -> Base:
    """The plain variant of a family's battery."""
    case = case_of(family)
    options = {**case.base, **case.variants[first(family)].options}
    return Base(case.model, partial(case.config, **options))


_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 32}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 50}
_FALCON = {"num_attention_heads": 4, "num_kv_heads": 2, "new_decoder_architecture": True}
_OSS = {"head_dim": 8, "num_experts_per_tok": 2, "layer_types": ["full_attention"] * 2}
_LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4}
_LATENT |= {"v_head_dim": 8, "first_k_dense_replace": 2, "n_routed_experts": 4, "n_group": 1}

BASES = {
    "llama": Base(tf.LlamaForCausalLM, partial(tf.LlamaConfig, **GROUPED, attention_bias=True)),
    "tied": Base(tf.LlamaForCausalLM, partial(tf.LlamaConfig, **GROUPED, tie_word_embeddings=True)),
    "gpt2": Base(
        tf.GPT2LMHeadModel, partial(tf.GPT2Config, **_GPT2, bos_token_id=0, eos_token_id=1)
    ),
    "phi3": Base(tf.Phi3ForCausalLM, partial(tf.Phi3Config, **GROUPED, pad_token_id=0)),
    "gpt_neox": Base(tf.GPTNeoXForCausalLM, partial(tf.GPTNeoXConfig, **HEADS)),
    "falcon": Base(
        tf.FalconForCausalLM,
        partial(tf.FalconConfig, **{k: SIZES[k] for k in SIZES if k[:5] != "inter"}, **_FALCON),
    ),
    "bert": Base(tf.BertForMaskedLM, partial(tf.BertConfig, **HEADS)),
    "albert": Base(tf.AlbertForMaskedLM, partial(tf.AlbertConfig, **HEADS, embedding_size=16)),
    "classes": Base(tf.BertForSequenceClassification, partial(tf.BertConfig, **HEADS)),
    "t5": Base(tf.T5ForConditionalGeneration, partial(tf.T5Config, **_T5), pair=True),
    "mixtral": Base(
        tf.MixtralForCausalLM, partial(tf.MixtralConfig, **GROUPED, num_local_experts=3)
    ),
    "gpt_oss": Base(
        tf.GptOssForCausalLM,
        partial(tf.GptOssConfig, **GROUPED, **_OSS, num_local_experts=3, pad_token_id=0),
    ),
    "gated": of_family("qwen3_next"),
    "mamba": Base(
        tf.MambaForCausalLM,
        partial(tf.MambaConfig, hidden_size=32, num_hidden_layers=2, vocab_size=50, state_size=4),
    ),
    "deepseek": Base(
        tf.DeepseekV3ForCausalLM,
        partial(tf.DeepseekV3Config, **HEADS, num_key_value_heads=4, **_LATENT),
    ),
}
