"""What is captured inside every family's model, and whether it is what truly happens there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import blocks
from blocks.edit import matches
from blocks.surgery.inside.points import Point, points_of
from tests.families.reference import Loaded, families, first

Get = Callable[[str, str], Loaded]

# Named, but not on the way of these calls.
ASIDE = {"canine": {"pooler.out"}, "fuyu": {"media.out"}}

# The same ten lines for every kind of model.
SCRIPT = """
with torch.no_grad(), blocks.capture(model, "**.layers.*.after", "**.layers.*.*.out") as got:
    before = model(*inputs)
sizes = {name: float(x.square().mean()) for name, x in got.items()}
last = [name for name in got if name.endswith("after")][-1]
with torch.no_grad(), blocks.patch(model, {last: lambda x: x * 0}):
    nothing = model(*inputs)
with torch.no_grad(), blocks.ablate(model, "**.layers.0.*"):
    less = model(*inputs)
statistics = blocks.activation_statistics(model, *inputs)
lens = blocks.logit_lens(model, *inputs)
"""


def asked(it: Loaded) -> tuple[Tensor, ...]:
    pair = it.kind in ("pair", "transcriber")
    return (it.tokens, it.target[: len(it.tokens)]) if pair else (it.tokens,)


def hooked(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]


def kinds_first() -> list[Any]:
    """All families; of those that hold blocks that an earlier one holds, tests are slow."""
    fast = "albert bert blt canine deepseek_v3 flint fuyu gpt2 gpt_oss gptj jamba led llama "
    fast += "longformer mamba mamba2 mixtral qwen3_next recurrent_gemma reformer rwkv t5 whisper "
    known = (fast + "wav2vec2-conformer xlnet zamba2").split()
    assert set(known) <= set(families())
    return [pytest.param(f, marks=[] if f in known else pytest.mark.slow) for f in families()]


@pytest.mark.parametrize("family", kinds_first())
def test_every_name(loaded: Get, family: str) -> None:
    it = loaded(family, first(family))
    points = points_of(it.ours)
    plain = it.answer(it.ours, it.tokens)
    quiet = [name for name, point in points.items() if point.part != "pattern"]
    with blocks.capture(it.ours, *quiet) as got:
        assert torch.equal(it.answer(it.ours, it.tokens), plain)
    with blocks.patch(it.ours, dict(got)):  # what was there
        assert torch.equal(it.answer(it.ours, it.tokens), plain)
    with blocks.capture(it.ours, "**") as got:
        explicit = it.answer(it.ours, it.tokens)
    assert set(points) - set(got) == ASIDE.get(family, set())
    assert it.close(explicit, plain) <= 2e-5
    assert not hooked(it.ours)
    for name, x in got.items():
        assert x.isfinite().all(), name
        if points[name].part == "pattern":
            check_pattern(got, points[name])


def check_pattern(got: dict[str, Tensor], point: Point) -> None:
    """Rows are shares, and what heads find is by them, as what comes out is of what heads find."""
    block: Any = point.block
    here = {part: got[f"{point.address}.{part}"] for part in ("v", "heads", "out", "pattern")}
    pattern, v, heads = here["pattern"], here["v"], here["heads"]
    assert pattern.shape == (len(v), block.heads, heads.shape[2], v.shape[2])
    rows = pattern.sum(-1)
    assert pattern.min() >= 0 and rows.max() <= 1 + 1e-4
    if getattr(block, "sinks", None) is None:
        assert rows.min() >= 1 - 1e-4
    if isinstance(block, blocks.GQAttention) and block.gate is None:
        found = pattern @ v.repeat_interleave(block.heads // v.shape[1], 1).to(pattern.dtype)
        torch.testing.assert_close(found, heads.to(found.dtype), atol=1e-5, rtol=1e-4)
    out = block.out(heads.transpose(1, 2).flatten(2))
    torch.testing.assert_close(out, here["out"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["bert", "llama", "mamba", "whisper"])
def test_one_script_for_all(loaded: Get, family: str) -> None:
    it = loaded(family, first(family))
    space: dict[str, Any] = {"model": it.ours, "inputs": asked(it)}
    exec(SCRIPT, {"torch": torch, "blocks": blocks}, space)
    assert space["sizes"] and all(size > 0 for size in space["sizes"].values())
    assert not torch.equal(space["before"], space["nothing"])
    assert not torch.equal(space["before"], space["less"])
    assert all(one.broken == 0 < one.std for one in space["statistics"].values())
    assert torch.equal(space["lens"].logits(list(space["lens"].states)[-1]), space["before"])


def said(it: Loaded) -> Any:
    """The reference's answer with all that it tells of its inside."""
    options: dict[str, Any] = {"output_attentions": True, "output_hidden_states": True}
    options |= it.variant.asks(it.tokens)
    if it.kind in ("pair", "transcriber"):
        options["decoder_input_ids"] = it.target[: len(it.tokens)]
    with torch.no_grad():
        return it.reference(it.case.hears(it.tokens), **options)


def attended(answer: Any) -> Iterator[tuple[str, Tensor]]:
    """Names of ours and the reference's patterns."""
    kinds = {
        "layers.{}.attention.pattern": "attentions",
        "encoder.layers.{}.attention.pattern": "encoder_attentions",
        "decoder.layers.{}.attention.pattern": "decoder_attentions",
        "decoder.layers.{}.cross.pattern": "cross_attentions",
    }
    for name, field in kinds.items():
        for i, pattern in enumerate(getattr(answer, field, None) or ()):
            yield name.format(i), pattern


PATTERNS = ("albert", "bart", "bert", "bloom", "gemma2", "gpt2", "gpt_neox", "gptj")
PATTERNS += ("gpt_oss", "llama", "deepseek_v3", "opt", "t5", "whisper", "xlnet")


@pytest.mark.parametrize("family", PATTERNS)
def test_patterns_are_the_references(loaded: Get, family: str) -> None:
    it = loaded(family, first(family))
    theirs = dict(attended(said(it)))
    assert theirs
    maps = blocks.attention_maps(it.ours, *asked(it), at="**.pattern")
    assert set(theirs) == set(maps)
    for name, pattern in theirs.items():
        pattern = pattern[..., : maps[name].shape[-1]]  # some show their sinks as a last key
        torch.testing.assert_close(maps[name], pattern.float(), atol=2e-5, rtol=1e-3)


STREAMS = dict.fromkeys("albert bert gemma2 gpt2 gptj jamba llama mamba mixtral".split(), "")
STREAMS |= dict.fromkeys("modernbert olmo2 qwen3_next rwkv zamba2".split(), "")
STREAMS |= {"t5": "decoder.", "whisper": "decoder."}
AFTER = {"mamba", "rwkv"}  # whose reference shows no input of the first layer


@pytest.mark.parametrize("family", STREAMS)
def test_streams_are_the_references(loaded: Get, family: str) -> None:
    it, begin = loaded(family, first(family)), STREAMS[family]
    answer = said(it)
    states = getattr(answer, "decoder_hidden_states" if begin else "hidden_states")
    known = blocks.hook_points(it.ours)
    names = [f"{begin}layers.0.before"]
    names += [name for name in known if matches(name, f"{begin}layers.*.after")]
    if family in AFTER:
        names = [*names[1:], f"{begin}norm.out"]
    elif f"{begin}norm.out" in known:  # theirs is of what the head reads
        names[-1] = f"{begin}norm.out"
    with torch.no_grad(), blocks.capture(it.ours, *names) as got:
        it.ours(*asked(it))
    for name, state in zip(names, states, strict=True):
        torch.testing.assert_close(got[name], state, atol=2e-4, rtol=1e-3)
