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

PUBLISHED = {
    "_name_or_path": "./",
    "architectures": ["FalconMambaForCausalLM"],
    "bos_token_id": 0,
    "conv_kernel": 4,
    "eos_token_id": 11,
    "expand": 16,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.1,
    "intermediate_size": 8192,
    "layer_norm_epsilon": 1e-05,
    "model_type": "falcon_mamba",
    "num_hidden_layers": 64,
    "pad_token_id": 11,
    "rescale_prenorm_residual": False,
    "residual_in_fp32": True,
    "state_size": 16,
    "tie_word_embeddings": False,
    "time_step_floor": 0.0001,
    "time_step_init_scheme": "random",
    "time_step_max": 0.1,
    "time_step_min": 0.001,
    "time_step_rank": 256,
    "time_step_scale": 1.0,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.43.0.dev0",
    "use_bias": False,
    "use_cache": True,
    "use_conv_bias": True,
    "vocab_size": 65024,
}

CASE = Case(
    config=FalconMambaConfig,
    model=FalconMambaForCausalLM,
    base=mamba.BASE,
    variants=VARIANTS,
    mutations=MUTATIONS,
    published={"tiiuae/falcon-mamba-7b": (PUBLISHED, 7_272_665_088)},
    fields=mamba.FIELDS,
    untried=mamba.CASE.untried,
    extra=(),
    tied=True,
    tolerance=5e-5,
)
