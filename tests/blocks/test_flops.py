"""What `explain` says each public block costs is what torch's own counter finds, or it says why."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from blocks import explain
from blocks.surgery.tree.work import UNTOLD
from blocks.testing.subject import run, token_axis
from tests.blocks.table import TABLE, build, public_blocks
from tests.test_counted import counted

# Of what explain leaves open, and why: a number would be a guess.
OPEN = {
    "makes more or fewer tokens of a text": (
        "ByteLatentLM CharacterEncoder MegaByte FrameEncoder Handwriting ConvStem Subsampling "
        "EntropyPatches EqualPatches MediaTokens PatchEmbedding"
    ),
    "works by what it reads": (
        "AdaptiveEmbedding AdaptiveHead HashedEmbedding NGramEmbedding JoinedEmbedding "
        "LSHAttention SpanSearchHead"
    ),
    "is run once a text": "Pooler PretrainingHead SequenceHead SentenceHead MixtureDensityHead",
    "looks at a neighbourhood on either side": "ConvModule ConvPositions Molecules",
    "reads another sequence, step by step": (
        "AdditiveAttention Attending GaussianWindow Handed SkipStack"
    ),
    "has a text at once done in another way than a token": "InfiniAttention RTRBM S4 S4D",
}
UNSAID = {name: why for why, names in OPEN.items() for name in names.split()}
# Where torch's counter finds another number, and why ours is meant.
SCAN = "its recurrence is counted as one, whatever torch computes in chunks or number by number"
WHOLE = "torch counts the padding to whole chunks"
APART = {
    "CausalConv": "a convolution channel by channel, which runs as sums that torch doesn't count",
    "ChunkAttention": WHOLE,
    "CircleAttention": WHOLE,
    "CrossAttention": "keys and values of the source are computed once, not by every token",
    "DoRA": "the norms of its columns are taken once a call, not once a token",
    "EncoderDecoder": "a new token doesn't run the encoder",
    "GatedDeltaNet": SCAN,
    "GatedMixer": "it has a CausalConv",
    "LayerMix": "a weighted sum of layers is work on single numbers, here done as a product",
    "LinearAttention": SCAN,
    "LongformerAttention": WHOLE,
    "Mamba": SCAN,
    "Mamba2": SCAN,
    "RelativeAttention": "its memory starts filled with empty tokens, which no new token adds to",
    "SourceReader": "it reads a text in two halves",
    "TypeRelation": "a part of RelativeAttention, which counts it",
}


def torchs(block: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(block, inputs)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", public_blocks())
def test_a_block_costs_what_torch_counts(name: str) -> None:
    block = build(name).eval().to("meta")
    inputs = tuple(x.to("meta") for x in TABLE[name].x())
    if name in UNSAID:
        assert explain(block).root.flops is None
        return
    first = inputs[0]
    rows, tokens = 1, len(first)  # of routers, which are given tokens alone
    if first.dim() > 2 or not first.is_floating_point():
        rows, tokens = len(first), first.shape[token_axis(first)]
    equal = rows * counted(block, tokens, tokens) == torchs(block, *inputs)
    assert equal != (name in APART), APART.get(name)


@pytest.mark.parametrize("name", ["ChunkAttention", "CircleAttention", "LongformerAttention"])
@pytest.mark.parametrize("tokens", [4, 8, 48])
def test_whole_chunks_cost_what_torch_counts(name: str, tokens: int) -> None:
    block = build(name).eval().to("meta")
    assert counted(block, tokens, tokens) == torchs(
        block, torch.empty(1, tokens, 16, device="meta")
    )


def test_the_tables_know_blocks_alone() -> None:
    known = set(public_blocks())
    assert not (UNSAID.keys() | APART.keys()) - known
    assert not UNSAID.keys() & APART.keys()
    assert not (UNTOLD & known) - UNSAID.keys()
