"""XLM-RoBERTa: RoBERTa for 100 languages.

Conneau et al., 2019, arXiv:1911.02116.
"""

from __future__ import annotations

from blocks.families._roberta import family

FAMILY = family("xlm-roberta", "XLMRoberta")
