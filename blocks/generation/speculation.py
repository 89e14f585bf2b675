"""Speculation: an assistant drafts some tokens, and the model reads them in one call.

Leviathan et al., "Fast inference from transformers via speculative decoding", 2022,
arXiv:2211.17192. The model finds every token by itself, with the random numbers that it would have
used without an assistant, and a draft is followed as far as it agrees: so the text is the very same
at any temperature. A draft model draws with the same numbers, which makes it agree often: Daliri et
al., "Coupling without communication and drafter-invariant speculative decoding", 2024,
arXiv:2408.07978.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from blocks.generation.assistant import Assistant
from blocks.generation.line import Line
from blocks.generation.request import Request
from blocks.generation.sampling import Sampler


@torch.no_grad()
def written(
    request: Request, sampler: Sampler, assistant: Assistant
) -> Iterator[tuple[int, list[int]]]:
    """What is added: numbers of rows, each with its next tokens."""
    texts = request.draft()
    lines = [Line(request, texts, row, assistant.tokens) for row in range(len(texts.ids))]
    drafted: list[list[int]] = [[] for _ in lines]
    with assistant.begin(request, sampler) as drafting, request.reading(lines[0].draft) as reading:
        logits, begun = reading.begin()[:, None], False  # N T V
        while True:
            taken = [line.take(logits[n], drafted[n], sampler) for n, line in enumerate(lines)]
            if begun:
                reading.keep([len(tokens) for tokens in taken])
            begun = True
            for line, tokens, draft in zip(lines, taken, drafted, strict=True):
                accepted = sum(a == b for a, b in zip(tokens, draft, strict=False))
                line.tell(len(draft), accepted)
                assistant.drafted += len(draft)
                assistant.accepted += accepted
            for line, tokens in zip(lines, taken, strict=True):
                yield line.row, tokens
            left = [n for n, line in enumerate(lines) if not line.ended]
            if not left:
                return
            if len(left) < len(lines):
                rows = torch.tensor(left, device=texts.ids.device)
                lines = [lines[n] for n in left]
                reading.select(rows)
                drafting.select(rows)
            beyond = reading.beyond([line.draft for line in lines])
            limits = [min(line.pace, most) for line, most in zip(lines, beyond, strict=True)]
            drafted = drafting.propose(lines, limits)
            assistant.calls += any(drafted)
            logits = reading.verify([line.draft for line in lines], drafted)
