"""HyperCLOVA X SEED."""

from __future__ import annotations

from transformers import HyperCLOVAXConfig, HyperCLOVAXForCausalLM

from blocks import rewrite
from tests.families.cases import granite
from tests.families.reference import Case, Variant


def without_norms(spec):
    """A mutation: no norms of what each branch finds."""
    spec = rewrite(spec, "layers.*.attention.norm_out", None)
    return rewrite(spec, "layers.*.mlp.norm_out", None)


CASE = Case(
    config=HyperCLOVAXConfig,
    model=HyperCLOVAXForCausalLM,
    base=granite.BASE,
    variants=granite.VARIANTS
    | {
        "no norms after": Variant({"use_post_norm": False}),
        "the usual scale": Variant({"attention_multiplier": None}),
    },
    mutations=granite.MUTATIONS | {"no norms after": ("plain", without_norms)},
    published={},
)
