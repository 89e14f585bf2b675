"""What blocks cost, as formulas; tools/gallery.py holds them against what `explain` counts.

D width, F hidden width, H heads, K kv heads, E head_dim, V vocabulary, S tokens seen, k kernel,
N state, X experts. Biases and gains are counted. State is in numbers: four bytes each in float32.
"""

from __future__ import annotations

import ast
import operator
import re
from typing import NamedTuple


class Cost(NamedTuple):
    """Formulas, and the sizes of the example that the gallery shows."""

    letters: dict[str, int]
    parameters: str
    flops: str = ""
    state: str = ""  # for each token
    fixed: str = ""  # however long the text


HEADS = {"H": 16, "K": 4, "E": 64}
ROUTED = Cost({"X": 8}, "X D", "2 X D")

COSTS: dict[str, Cost] = {
    "BatchNorm": Cost({}, "2 D"),
    "CausalConv": Cost({"k": 4}, "(k + 1) D", "2 k D", "", "(k − 1) D"),
    "ChunkAttention": Cost(
        {"H": 16, "E": 64, "c": 64}, "4 D H E", "8 D H E + 8 c H E", "", "4 c H E"
    ),
    "ClampedGLU": Cost({"F": 2816}, "3 D F", "6 D F"),
    "ConvModule": Cost({"k": 31}, "3 D² + k D + 2 D"),
    "CrossAttention": Cost({"H": 16, "E": 64}, "4 D H E", "4 D H E + 4 S H E"),
    "GQAttention": Cost(HEADS, "2 D E (H + K) + 2 E", "4 D E (H + K) + 4 S H E", "2 K E"),
    "GRU": Cost({"F": 1024}, "3 (D F + F² + 2 F)", "6 D F + 6 F²", "", "F"),
    "GatedDeltaNet": Cost(
        {"H": 8, "M": 16, "E": 128, "k": 4},
        "2 D H E + 3 D M E + 2 D M + k E (2 H + M) + 2 M + E",
        "4 D H E + 6 D M E + 4 D M + 2 k E (2 H + M) + 7 M E²",
        "",
        "M E² + (k − 1) E (2 H + M)",
    ),
    "GatedMLP": Cost({"F": 2816}, "3 D F", "6 D F"),
    "GatedRMSNorm": Cost({}, "D"),
    "LMHead": Cost({"V": 32_000}, "V D", "2 V D"),
    "LSHAttention": Cost({"H": 16, "E": 64}, "3 D H E"),
    "LSTM": Cost({"F": 1024}, "4 (D F + F² + 2 F)", "8 D F + 8 F²", "", "2 F"),
    "LatentAttention": Cost(
        {"H": 16, "C": 256, "Q": 512, "n": 64, "r": 32, "v": 64},
        "D Q + Q H (n + r) + D (C + r) + C H (n + v) + D H v + Q + C",
        "2 D Q + 2 Q H (n + r) + 2 D (C + r) + 2 C H (n + v) + 2 D H v + 2 S H (2 C + r)",
        "C + r",
    ),
    "LayerNorm": Cost({}, "2 D"),
    "LearnedPositions": Cost({"R": 2048}, "R D"),
    "Linear": Cost({"F": 4096}, "D F", "2 D F"),
    "LinearAttention": Cost(
        {"H": 16, "E": 64}, "4 D H E", "8 D H E + 5 H E (E + 1)", "", "H E (E + 1)"
    ),
    "LongformerAttention": Cost({"H": 16, "E": 64, "r": 256}, "7 D H E", "8 D H E + 12 r H E"),
    "MLP": Cost({"F": 4096}, "2 D F + F + D", "4 D F"),
    "Mamba": Cost(
        {"I": 2048, "N": 16, "k": 4, "R": 64},
        "3 D I + (k + 1) I + 2 R I + 3 N I + 2 I",
        "6 D I + 2 k I + 4 R I + 10 N I",
        "",
        "N I + (k − 1) I",
    ),
    "Mamba2": Cost(
        {"I": 2048, "H": 32, "N": 128, "k": 4},
        "3 D I + D (2 N + H) + (k + 1) (I + 2 N) + 3 H + I",
        "6 D I + 2 D (2 N + H) + 2 k (I + 2 N) + 5 N I",
        "",
        "N I + (k − 1) (I + 2 N)",
    ),
    "MaskedHead": Cost({"V": 32_000}, "D² + D V + 3 D + V", "2 D² + 2 D V"),
    "Maxout": Cost({"F": 4096, "p": 2}, "p (D F + F)", "2 p D F"),
    "MoE": Cost({"X": 8, "k": 2, "F": 2816}, "X D + 3 X D F", "2 X D + 6 k D F"),
    "Pooler": Cost({}, "D² + D"),
    "QKNorm": Cost({"E": 64}, "2 E"),
    "RGLRU": Cost({"H": 8}, "2 D² / H + 3 D", "4 D² / H", "", "D"),
    "RMSNorm": Cost({}, "D"),
    "RNN": Cost({"F": 1024}, "D F + F² + 2 F", "2 D F + 2 F²", "", "F"),
    "RWKV": Cost({}, "4 D² + 5 D", "8 D²", "", "4 D"),
    "RWKVChannelMix": Cost({"F": 4096}, "2 D F + D² + 2 D", "4 D F + 2 D²", "", "D"),
    "SigmoidRouter": ROUTED,
    "SoftmaxRouter": ROUTED,
    "SparseMixerRouter": ROUTED,
    "TokenEmbedding": Cost({"V": 32_000}, "V D"),
    "TokenShift": Cost({}, "0", "0", "", "D / 2"),
    "TopKRouter": ROUTED,
    "TypeEmbedding": Cost({"n": 2}, "n D"),
}


def value(formula: str, letters: dict[str, int]) -> float:
    """What a formula comes to.

    Example:
        >>> value("2 D (H + 1) + D²", {"D": 3, "H": 4})
        39
    """
    text = formula.replace("−", "-").replace("²", "**2")
    text = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", text)
    return _worked(ast.parse(text, mode="eval").body, letters)


_WORK = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _worked(node: ast.expr, letters: dict[str, int]) -> float:
    if isinstance(node, ast.BinOp):
        return _WORK[type(node.op)](_worked(node.left, letters), _worked(node.right, letters))
    if isinstance(node, ast.Name):
        return letters[node.id]
    return ast.literal_eval(node)
