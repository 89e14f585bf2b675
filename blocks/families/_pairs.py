"""What encoder–decoder families share: the layers of both halves, and the whole model."""

from __future__ import annotations

from typing import Any

from blocks import Chain, EncoderDecoder, LayerStack, LMHead, Residual, Spec
from blocks.hub.config import Config


def layer(around: dict[str, Any], **parts: Spec) -> Spec:
    """Attention, then cross-attention where there is one, then the MLP, each with `around` it."""
    return Spec(
        Chain, steps={name: Spec(Residual, inner=part, **around) for name, part in parts.items()}
    )


def pair(
    c: Config,
    dim: int,
    encoder: Spec,
    decoder: Spec,
    *,
    head: Spec = Spec(LMHead),  # noqa: B008  # frozen
    context: int | None = None,
    **source: Any,
) -> Spec:
    """The whole model."""
    c.only("is_encoder_decoder", True)
    vocab = c.take("vocab_size", int)
    halves = {"encoder": encoder, "decoder": decoder}
    return Spec(
        EncoderDecoder, vocab=vocab, dim=dim, **halves, head=head, context=context, **source
    )


def half(layer: Spec, depth: int, **parts: Any) -> Spec:
    """A stack of equal layers."""
    return Spec(LayerStack, layers=(layer,) * depth, **parts)


TIES = (
    ("decoder.embedding.weight", "encoder.embedding.weight"),
    ("head.weight", "encoder.embedding.weight"),
)
