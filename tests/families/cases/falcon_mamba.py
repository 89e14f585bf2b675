"""Falcon Mamba."""

from __future__ import annotations

from transformers import FalconMambaConfig, FalconMambaForCausalLM

from blocks import Mamba, RMSNorm, Spec
from tests.families.cases import mamba
from tests.families.reference import Case, Variant, change

VARIANTS = mamba.VARIANTS | {"eps inside": Variant({"mixer_rms_eps": 0.04})}

MUTATIONS = {name: how for name, how in mamba.MUTATIONS.items() if name != "norms inside"} | {
    "no norms inside": ("plain", change(Mamba, norm=None)),
    "eps of the norms inside": ("eps inside", change(Mamba, norm=Spec(RMSNorm, weight=False))),
}

CASE = Case(
    config=FalconMambaConfig,
    model=FalconMambaForCausalLM,
    base=mamba.BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={},
    fields=mamba.FIELDS,
    untried=mamba.CASE.untried,
    extra=(),
    tied=True,
    tolerance=5e-5,
)
