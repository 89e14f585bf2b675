"""What Graves built in 2013, as Specs: networks that write text and by hand."""

from __future__ import annotations

from blocks.attention.windows import GaussianWindow
from blocks.embedding.onehot import OneHot
from blocks.heads.language import LMHead
from blocks.heads.mixture import MixtureDensityHead
from blocks.models.causal import CausalLM
from blocks.models.handwriting import Handwriting
from blocks.recurrent.lstm import LSTM
from blocks.recurrent.skipping import SkipStack
from blocks.spec import Spec
from blocks.wiring.chain import Chain
from blocks.wiring.resized import Resized

__all__ = ["graves_handwriting", "graves_text"]


def graves_text(*, vocab: int = 49, hidden: int = 1000, depth: int = 1) -> Spec:
    """The Spec of an LSTM that predicts text, a character or a word at a time.

    Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850, section 3.
    By default that for the characters of the Penn Treebank, of 4.3 million weights; for its words
    `vocab` is 10,000, of 54 million. That for Wikipedia: `vocab=205, hidden=700, depth=7`.

    Args:
        vocab: tokens V.
        hidden: cells of a layer.
        depth: layers, each of which reads the input and is read by the output.

    Example:
        >>> from blocks import generate, graves_text
        >>> model = graves_text(vocab=20, hidden=8, depth=2)()
        >>> generate(model, [1, 2, 3], max_new_tokens=4).shape
        torch.Size([1, 7])
    """
    lstm = Spec(LSTM, hidden=hidden, peepholes=True)
    layer = Spec(Chain, steps={"mixer": Spec(SkipStack, inner=lstm, depth=depth)})
    return Spec(
        CausalLM,
        vocab=vocab,
        dim=vocab,
        layers=(layer,),
        norm=None,
        embedding=OneHot,
        head=Spec(Resized, inner=Spec(LMHead, bias=True), width=depth * hidden),
    )


def graves_handwriting(
    *,
    vocab: int | None = None,
    hidden: int = 400,
    depth: int = 3,
    components: int = 20,
    windows: int = 10,
) -> Spec:
    """The Spec of an LSTM that moves a pen: freely, or to write a text.

    Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850, sections 4
    and 5: of 3.4 million weights without a text (also with `hidden=900, depth=1`), of 3.7 with one
    of 57 characters. It was trained with gradients clipped at the outputs and within the LSTMs.

    Args:
        vocab: characters V of texts; None writes without one.
        hidden: cells of a layer.
        depth: layers.
        components: Gaussians of the mixture.
        windows: Gaussians of the window over the text.

    Example:
        >>> from blocks import graves_handwriting, handwrite
        >>> model = graves_handwriting(vocab=9, hidden=8)()
        >>> [row.shape for row in handwrite(model, [[2, 7, 1]], most=5, bias=1.0, seed=0)]
        [torch.Size([..., 3])]
    """
    looks = Spec(GaussianWindow, components=windows) if vocab else None
    lstm = Spec(LSTM, hidden=hidden, peepholes=True)
    body = Spec(SkipStack, inner=lstm, depth=depth, attention=looks, reads=vocab)
    return Spec(
        Handwriting,
        body=body,
        head=Spec(MixtureDensityHead, components=components),
        vocab=vocab,
    )
