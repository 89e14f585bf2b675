"""RoBERTa: BERT, trained longer.

Liu et al., 2019, arXiv:1907.11692.
"""

from __future__ import annotations

from blocks.families._roberta import family

FAMILY = family("roberta", "Roberta")
