"""RecurrentGemma: Griffin. Of three layers two remember by a gated recurrence, one sees a window.

Botev et al., "RecurrentGemma", 2024, arXiv:2404.07839; De et al., "Griffin", 2024, arXiv:2402.19427.
"""

from __future__ import annotations

from typing import Any

from blocks import CausalConv, GatedMixer, LMHead, RGLRU, RMSNorm, Spec, TokenEmbedding, Window
from blocks.families import _decoder as common
from blocks.families import _griffin as griffin
from blocks.families._dialects import read_activation
from blocks.hub.config import Config
from blocks.hub.family import Family
from blocks.hub.keys import Keys
