"""diff of public models says what their papers say, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blocks import diff
from blocks.hub.config import Config
from blocks.hub.outline import outline_of
from tests.families.reference import case_of
from tests.surgery.differences import told

HUB = Path(__file__).parents[2].parent / "shared" / "data" / "hub"


def published(family: str, repo: str, **fields: Any) -> Any:
    """The Spec of a public config.json."""
    data = dict(case_of(family).published[repo][0])
    return outline_of(Config(data | fields)).spec


LLAMA_2 = "meta-llama/Llama-2-7b-hf"
# Touvron et al. 2023, table 1 and section 2.2, and the numbers of its 7B model; Grattafiori et
# al. 2024, table 3 and section 3.2: grouped queries with 8 key/value heads, a vocabulary of
# 128 K tokens, θ of 500,000, a wider MLP; the first release reads 8 K tokens.
THREE = {
    "vocab_size": 128256,
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
    "bos_token_id": 128000,
    "eos_token_id": 128001,
}
PAPERS: dict[tuple[str, str], tuple[Any, Any, dict[tuple[str, str], tuple[Any, Any]]]] = {
    ("LLaMA 2", "LLaMA 3"): (
        ("llama", LLAMA_2, {}),
        ("llama", LLAMA_2, THREE),
        {
            ("", "vocab"): (32000, 128256),
            ("", "context"): (4096, 8192),
            ("layers.0-31.attention", "kv_heads"): (32, 8),
            ("layers.0-31.attention.qk.0", "theta"): (10000.0, 500000.0),
            ("layers.0-31.mlp", "hidden"): (11008, 14336),
        },
    ),
    ("LLaMA 2", "Mistral"): (  # Jiang et al. 2023, table 1
        ("llama", LLAMA_2, {}),
        ("mistral", "mistralai/Mistral-7B-v0.1", {}),
        {
            ("", "context"): (4096, 32768),
            ("layers.0-31.attention", "kv_heads"): (32, 8),
            ("layers.0-31.attention", "mask"): ("Causal()", "Window(size=4096)"),
            ("layers.0-31.mlp", "hidden"): (11008, 14336),
        },
    ),
    ("Qwen2.5", "Qwen3"): (  # Yang et al. 2025, section 2: no biases, QK norms
        ("qwen2", "Qwen/Qwen2.5-0.5B", {}),
        ("qwen3", "Qwen/Qwen3-0.6B", {}),
        {
            ("", "dim"): (896, 1024),
            ("", "context"): (32768, 40960),
            ("", "layers"): (24, 28),
            ("layers.0-23.attention", "heads"): (14, 16),
            ("layers.0-23.attention", "kv_heads"): (2, 8),
            ("layers.0-23.attention", "head_dim"): (64, 128),
            ("layers.0-23.attention", "bias"): (True, False),
            ("layers.0-23.attention.qk.0", "part"): (None, "QKNorm(norm=RMSNorm)"),
            ("layers.0-23.mlp", "hidden"): (4864, 3072),
        },
    ),
    ("GPT-2", "GPT-J"): (  # Wang and Komatsuzaki 2021: parallel, rotary on 64 of 256
        ("gpt2", "openai-community/gpt2", {}),
        ("gptj", "EleutherAI/gpt-j-6b", {}),
        {
            ("", "vocab"): (50257, 50400),
            ("", "dim"): (768, 4096),
            ("", "context"): (1024, 2048),
            ("", "layers"): (12, 28),
            ("stem", "part"): ("LearnedPositions(rows=1024, dropout=0.1)", None),
            ("layers.0-11", "block"): ("Chain", "Residual(Parallel, norm_in=LayerNorm)"),
            ("layers.0-11.attention", "block"): (
                "Residual(GQAttention, norm_in=LayerNorm, dropout=0.1)",
                "GQAttention",
            ),
            ("layers.0-11.attention", "heads"): (12, 16),
            ("layers.0-11.attention", "kv_heads"): (12, 16),
            ("layers.0-11.attention", "head_dim"): (64, 256),
            ("layers.0-11.attention", "bias"): (True, False),
            ("layers.0-11.attention", "out_bias"): (True, False),
            ("layers.0-11.attention", "dropout"): (0.1, 0.0),
            ("layers.0-11.attention.qk.0", "part"): (
                None,
                "RoPE(rotated=0.25, pairing='adjacent')",
            ),
            ("layers.0-11.mlp", "block"): (
                "Residual(MLP, norm_in=LayerNorm, dropout=0.1)",
                "MLP",
            ),
            ("layers.0-11.mlp", "hidden"): (3072, 16384),
            ("head", "bias"): (False, True),
        },
    ),
    ("Gemma", "Gemma 2"): (  # Gemma Team 2024, section 2: every other layer local, capped, normed
        ("gemma", "google/gemma-2b", {}),
        ("gemma2", "google/gemma-2-2b", {}),
        {
            ("", "dim"): (2048, 2304),
            ("", "layers"): (18, 26),
            ("embedding", "scale"): (2048**0.5, 48.0),
            ("layers.0-17.attention", "kv_heads"): (1, 4),
            ("layers.0,2…16.attention", "mask"): ("Causal()", "Window(size=4096)"),
            ("layers.0-17.attention.scores.0", "part"): (None, "SoftCap(cap=50.0)"),
            ("layers.0-17.attention.norm_out", "part"): (
                None,
                "RMSNorm(offset=1.0, cast='after')",
            ),
            ("layers.0-17.mlp", "hidden"): (16384, 9216),
            ("layers.0-17.mlp.norm_out", "part"): (None, "RMSNorm(offset=1.0, cast='after')"),
            ("head", "cap"): (None, 30.0),
        },
    ),
}


@pytest.mark.parametrize("names", PAPERS, ids=" and ".join)
def test_what_differs_is_what_the_papers_say(names: tuple[str, str]) -> None:
    (one, repo, more), (other, another, fields), expected = PAPERS[names]
    a, b = published(one, repo, **more), published(other, another, **fields)
    assert told(diff(a, b)) == expected
    assert told(diff(b, a)) == {
        (part, what): (there, here) for (part, what), (here, there) in told(diff(a, b)).items()
    }
    assert diff(a, a).equal and diff(b, b).equal


def test_totals_of_both() -> None:
    (one, repo, _), (other, another, fields), _ = PAPERS["LLaMA 2", "LLaMA 3"]
    found = diff(published(one, repo), published(other, another, **fields))
    assert (found.a.parameters, found.b.parameters) == (6_738_415_616, 8_030_261_248)
    assert found.a.state_per_token == 4 * found.b.state_per_token == 2 * 32 * 32 * 128 * 4
    assert found.a.dtype is None and found.a.nbytes is None
    text = str(found)
    assert "8,030,261,248" in text and "same: layers.0-31.attention.norm_in" in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_a_config_alone_says_its_dtype(tmp_path: Path) -> None:
    data = dict(case_of("llama").published[LLAMA_2][0])
    (tmp_path / "two.json").write_text(json.dumps(data | {"torch_dtype": "float16"}))
    (tmp_path / "three.json").write_text(json.dumps(data | {"torch_dtype": "bfloat16"} | THREE))
    found = diff(tmp_path / "two.json", str(tmp_path / "three.json"))
    assert (found.a.dtype, found.b.dtype) == ("float16", "bfloat16")
    assert (found.a.state_per_token, found.b.state_per_token) == (524_288, 131_072)
    assert len(told(found)) == 5
    (tmp_path / "config.json").write_text((tmp_path / "two.json").read_text())
    assert diff(tmp_path, tmp_path / "two.json").equal
    assert diff(tmp_path, published("llama", LLAMA_2)).equal


def test_published_indexes() -> None:
    if not HUB.is_dir():
        pytest.skip("the published files are not beside the repository")
    found = diff(HUB / "mixtral-8x22b", HUB / "llama-3.1-70b")
    assert told(found)["layers.0-55.mlp", "block"] == (
        "Residual(MoE(experts=8, top_k=2, expert=GatedMLP(hidden=16384), router=SoftmaxRouter))",
        "Residual(GatedMLP(hidden=28672))",
    )
    assert told(found)["", "layers"] == (56, 80)
