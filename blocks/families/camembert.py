"""CamemBERT: RoBERTa for French.

Martin et al., 2019, arXiv:1911.03894.
"""

from __future__ import annotations

from blocks.families._roberta import family

FAMILY = family("camembert", "Camembert")
