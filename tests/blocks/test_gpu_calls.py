"""What a GPU would be asked to compute: blocks run on tensors without numbers, as if there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from blocks import ALiBi, GQAttention, LatentAttention, RoPE, SoftCap, Spec, State, Step, Window
from blocks.ops import attend, flexible, gpu

D, H, K = 64, 4, 2


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The calls in short, as kernels tell them apart."""
    found: list[str] = []

    def sdpa(q: Tensor, k: Tensor, v: Tensor, mask: Any = None, *args: Any, **how: Any) -> Tensor:
        told = [f"{q.shape[1]}/{k.shape[1]} heads", f"{q.shape[2]}x{k.shape[2]}"]
        told += ["mask"] * (mask is not None) + ["causal"] * how.get("is_causal", False)
        found.append(" ".join(told))
        return q.new_empty(*q.shape[:3], v.shape[3])

    def rules(q: Tensor, k: Tensor, v: Tensor, **how: Any) -> Tensor:
        told = [f"rules {q.shape[2]}x{k.shape[2]}"]
        told += [name for name in ("seen", "bias", "maps", "sinks") if how[name]]
        found.append(" ".join(told))
        return q.new_empty(*q.shape[:3], v.shape[3])

    monkeypatch.setattr(attend.F, "scaled_dot_product_attention", sdpa)
    monkeypatch.setattr(flexible, "attend_by_rules", rules)
    monkeypatch.setattr(gpu, "on", lambda x: True)
    with torch.device("meta"), torch.no_grad():
        yield found


def attention(**options: Any) -> Any:
    block = GQAttention(D, heads=H, kv_heads=K, qk=(Spec(RoPE),), **options)
    return block.to(torch.bfloat16).eval()


def words(tokens: int, rows: int = 2) -> Tensor:
    return torch.empty(rows, tokens, D, dtype=torch.bfloat16)


LONG, SHORT = 2048, 64
WHOLE: list[tuple[dict[str, Any], int, str]] = [
    ({}, LONG, f"4/2 heads {LONG}x{LONG} causal"),
    ({"mask": Window(4096)}, LONG, f"4/2 heads {LONG}x{LONG} causal"),
    ({"mask": Window(256)}, LONG, f"rules {LONG}x{LONG} seen"),
    ({"mask": Window(16)}, SHORT, f"4/4 heads {SHORT}x{SHORT} mask"),
    ({"scores": (Spec(ALiBi),)}, LONG, f"rules {LONG}x{LONG} seen bias"),
    ({"scores": (Spec(ALiBi),)}, SHORT, f"4/4 heads {SHORT}x{SHORT} mask"),
    ({"scores": (Spec(SoftCap, cap=5.0),)}, LONG, f"rules {LONG}x{LONG} seen maps"),
]


@pytest.mark.parametrize(("options", "tokens", "wanted"), WHOLE, ids=str)
def test_a_whole_text(options: dict[str, Any], tokens: int, wanted: str, asked: list[str]) -> None:
    attention(**options)(words(tokens))
    assert asked == [wanted]


def test_padding_and_documents(asked: list[str]) -> None:
    block, positions = attention(), torch.arange(LONG)[None]
    for facts in ({"real": positions.expand(2, -1) > 3}, {"segments": positions // 100}):
        block(words(LONG), Step(positions, **facts))
    assert asked == [f"rules {LONG}x{LONG} seen"] * 2


def test_with_a_state(asked: list[str]) -> None:
    block = attention()
    state = State.of(block, 2, 4 * LONG, torch.bfloat16)
    for tokens in (LONG, 1, 8, LONG):
        state.run(block, words(tokens))
    end = LONG + 1
    assert asked == [
        f"4/2 heads {LONG}x{LONG} causal",
        f"2/2 heads 2x{end}",  # the heads of a group as the queries of one
        f"4/4 heads 8x{end + 8} mask",
        f"rules {LONG}x{end + 8 + LONG} seen",
    ]


def test_latent_attention(asked: list[str]) -> None:
    block = LatentAttention(D, heads=H, kv_rank=32, nope_dim=16, rope_dim=8, value_dim=16)
    block.to(torch.bfloat16)(words(LONG))
    positions = torch.arange(LONG)[None]
    block(words(LONG), Step(positions, segments=positions // 100))
    assert asked == [f"4/4 heads {LONG}x{LONG} causal", f"rules {LONG}x{LONG} seen"]


@pytest.mark.parametrize(
    ("dtype", "options", "repeated"),
    [
        (torch.bfloat16, {"causal": True}, False),
        (torch.float16, {}, False),
        (torch.float32, {"causal": True}, True),
        (torch.bfloat16, {"seen": torch.ones(SHORT, SHORT, dtype=torch.bool)}, True),
        (torch.bfloat16, {"bias": torch.ones(SHORT, SHORT)}, True),
        (torch.bfloat16, {"narrow": True}, True),
    ],
)
def test_grouped_heads_go_where_a_kernel_takes_them(
    dtype: torch.dtype, options: dict[str, Any], repeated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, dict[str, Any]]] = []

    def kernel(q: Tensor, k: Tensor, *args: Any, **how: Any) -> Tensor:
        asked.append((k.shape[1], how))
        return of_torch(q, k, *args, **how)

    of_torch = attend.F.scaled_dot_product_attention
    q, k, v = (torch.randn(2, n, SHORT, 16, dtype=dtype) for n in (H, K, K))
    v = v[..., :8] if options.pop("narrow", False) else v
    wanted = attend.attend(q, k, v, **options)
    monkeypatch.setattr(gpu, "on", lambda x: True)
    monkeypatch.setattr(attend.F, "scaled_dot_product_attention", kernel)
    found = attend.attend(q, k, v, **options)
    ((heads, how),) = asked
    assert (heads, how["enable_gqa"]) == ((H, False) if repeated else (K, True))
    torch.testing.assert_close(found, wanted, rtol=0.02, atol=0.02)
