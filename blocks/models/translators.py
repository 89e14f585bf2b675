"""The first recurrent translators: what two papers of 2014 built, as Specs."""

from __future__ import annotations

from blocks.attention.additive import AdditiveAttention
from blocks.heads.language import LMHead
from blocks.mlp.maxout import Maxout
from blocks.models.encoder_decoder import EncoderDecoder
from blocks.models.final_states import FinalStates
from blocks.models.stack import LayerStack
from blocks.recurrent.attending import Attending
from blocks.recurrent.gru import GRU
from blocks.recurrent.handed import Handed
from blocks.recurrent.lstm import LSTM
from blocks.spec import Spec
from blocks.wiring.chain import Chain
from blocks.wiring.resized import Resized

__all__ = ["bahdanau", "sutskever"]


def sutskever(
    *,
    vocab: int = 80_000,
    source: int = 160_000,
    dim: int = 1000,
    depth: int = 4,
    backward: bool = True,
) -> Spec:
    """The Spec of the first LSTM that translated: one LSTM reads, a second goes on from there.

    Sutskever et al., "Sequence to sequence learning with neural networks", 2014, arXiv:1409.3215.
    With the paper's sizes it has the 384 million parameters that are printed there, of which 64
    million are recurrent. It was trained from weights drawn between −0.08 and 0.08 by SGD with a
    rate of 0.7 and gradients no longer than 5.

    Args:
        vocab: tokens V of translations.
        source: tokens of what is translated.
        dim: width D of the embeddings and of each LSTM.
        depth: LSTMs above one another.
        backward: whether sources are read from their ends.

    Example:
        >>> import torch
        >>> from blocks import generate, sutskever
        >>> model = sutskever(vocab=20, source=30, dim=8, depth=2)()
        >>> generate(model, [[5, 6, 7]], start=1, max_new_tokens=4, stop=()).shape
        torch.Size([1, 5])
    """
    lstm = Spec(LSTM, depth=depth, bias=False)
    reads = Spec(Chain, steps={"mixer": lstm})
    writes = Spec(Chain, steps={"mixer": Spec(Handed, inner=lstm)})
    return Spec(
        EncoderDecoder,
        vocab=vocab,
        source=source,
        dim=dim,
        encoder=Spec(FinalStates, layers=(reads,), backward=backward),
        decoder=Spec(LayerStack, layers=(writes,)),
    )


def bahdanau(
    *,
    vocab: int = 30_000,
    source: int = 30_000,
    dim: int = 620,
    hidden: int = 1000,
    readout: int = 500,
) -> Spec:
    """The Spec of the first translator that attends: RNNsearch.

    A GRU reads the source in both directions, another one writes and looks at all of what was read
    before each word. Bahdanau et al., "Neural machine translation by jointly learning to align and
    translate", 2014, arXiv:1409.0473, appendix A. Which places each word looked at: `alignment`.

    Args:
        vocab: tokens V of translations.
        source: tokens of what is translated.
        dim: width D of the embeddings.
        hidden: width of each GRU, and of the network that scores places.
        readout: width of the maxout layer before the softmax.

    Example:
        >>> import torch
        >>> from blocks import bahdanau, generate
        >>> model = bahdanau(vocab=20, source=30, dim=6, hidden=8, readout=5)()
        >>> generate(model, [[5, 6, 7]], start=1, max_new_tokens=4, stop=()).shape
        torch.Size([1, 5])
    """
    reads = Spec(GRU, hidden=hidden, direction="both", reset="before")
    writes = Spec(
        Attending,
        inner=Spec(GRU, hidden=hidden, reset="before"),
        attention=Spec(AdditiveAttention, hidden=hidden),
        reads=2 * hidden,
    )
    largest = Spec(Maxout, hidden=readout)
    steps = {
        "mixer": writes,
        "readout": Spec(Resized, inner=largest, width=hidden + dim + 2 * hidden),
    }
    return Spec(
        EncoderDecoder,
        vocab=vocab,
        source=source,
        dim=dim,
        encoder=Spec(LayerStack, layers=(Spec(Chain, steps={"mixer": reads}),)),
        decoder=Spec(LayerStack, layers=(Spec(Chain, steps=steps),)),
        head=Spec(Resized, inner=Spec(LMHead, bias=True), width=readout),
    )
