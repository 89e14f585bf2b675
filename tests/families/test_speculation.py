"""Every family that writes: drafts, pieces of a prompt and a cache change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from blocks import DraftModel, PromptCache, generate
from tests.families.reference import families, first
from tests.generation.test_speculation import Drawn

OPTIONS: dict[str, Any] = {"max_new_tokens": 8, "stop": ()}
FAST = {"llama", "jamba", "recurrent_gemma", "blt", "t5"}
KINDS = families("decoder", "pair")
WRITERS = [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in KINDS]


@pytest.mark.parametrize("family", WRITERS)
def test_the_text_is_the_same(loaded: Any, family: str) -> None:
    model = loaded(family, first(family)).ours
    draw = torch.Generator().manual_seed(3)
    prompts = [torch.randint(3, model.vocab, (n,), generator=draw).tolist() for n in (9, 4, 6)]
    plain = generate(model, prompts, **OPTIONS)
    said = plain[:, plain.shape[1] - 8 :].tolist()
    for right in (1.0, 0.6, 0.0):
        drafts = Drawn(said, 5, right, model.vocab)
        assert torch.equal(generate(model, prompts, assistant=drafts, **OPTIONS), plain)
        assert drafts.drafted and (right < 1 or drafts.accepted == drafts.drafted)
    helper = DraftModel(model)
    assert torch.equal(generate(model, prompts, assistant=helper, **OPTIONS), plain)
    assert torch.equal(generate(model, prompts, chunk=3, **OPTIONS), plain)
    if hasattr(type(model), "given"):
        return
    text, cache = prompts[0], PromptCache(model, prompts[0][:5])
    for asked in (text, [text, [*text[:5], *prompts[1]]]):
        wanted = generate(model, asked, **OPTIONS)
        assert torch.equal(generate(model, asked, cache=cache, **OPTIONS), wanted)
        assert cache.reused == 5
