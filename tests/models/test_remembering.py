"""Assemblies of recurrent layers: saved, shown, rewritten, and taught for a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from blocks import (
    GRU,
    LSTM,
    LMHead,
    Spec,
    bahdanau,
    explain,
    from_json,
    from_pretrained,
    generate,
    graves_handwriting,
    graves_text,
    handwrite,
    replace,
    rewrite,
    save_pretrained,
    sutskever,
    to_json,
)

SPECS = {
    "sutskever": sutskever(vocab=13, source=17, dim=8, depth=2),
    "bahdanau": bahdanau(vocab=13, source=17, dim=6, hidden=8, readout=5),
    "graves_text": graves_text(vocab=13, hidden=9, depth=3),
    "graves_handwriting": graves_handwriting(vocab=13, hidden=7),
    "free handwriting": graves_handwriting(hidden=7),
}


def written(model: Any, name: str) -> torch.Tensor:
    if "handwriting" in name:
        text = [[2, 5]] if model.vocab else None
        return handwrite(model, text, most=5, seed=0)[0]
    options: dict[str, Any] = {} if name == "graves_text" else {"start": 1}
    return generate(model, [[2, 5, 6]], max_new_tokens=6, stop=(), **options)


@pytest.mark.parametrize("name", SPECS)
def test_what_is_saved_comes_back(name: str, tmp_path: Path) -> None:
    model = SPECS[name]()
    save_pretrained(model, tmp_path / "saved")
    again = from_pretrained(tmp_path / "saved")
    assert again.spec == model.spec == SPECS[name] == from_json(to_json(SPECS[name]))
    for (place, one), (where, other) in zip(
        model.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert place == where and torch.equal(one, other)
    torch.testing.assert_close(written(again, name), written(model, name))
    half = from_pretrained(tmp_path / "saved", dtype=torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    written(half, name)
    assert "LSTM" in str(explain(model)) or "GRU" in str(explain(model))


def test_a_cell_is_exchanged_by_one_line() -> None:
    spec = rewrite(SPECS["graves_text"], LSTM, Spec(GRU, hidden=9, reset="before"))
    assert len([m for m in spec().modules() if isinstance(m, GRU)]) == 3
    plain = rewrite(SPECS["bahdanau"], "head", lambda head: replace(head, bias=False))
    assert plain.keywords["head"].keywords["inner"] == Spec(LMHead)


def test_text_is_learnt_a_little() -> None:
    torch.manual_seed(0)
    model = graves_text(vocab=6, hidden=16, depth=2)()
    text = torch.tensor([[0, 1, 2, 0, 3, 4, 5] * 3])
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.02), []
    for _ in range(30):
        loss = F.cross_entropy(model(text[:, :-1]).mT, text[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
