"""Writes docs/causal_types.json: every causal language model of the installed reference, what keeps
those from being loaded that are not, and which types have a family, but not as such a model. Run by
hand when the reference changes, or when a family is added; tools/pages.py makes the page of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "docs" / "causal_types.json"

_REASONS = {
    "an encoder, run as a decoder": """
        bert bert-generation big_bird camembert data2vec-text electra ernie megatron-bert rembert
        roberta roberta-prelayernorm roc_bert roformer xlm xlm-roberta xlm-roberta-xl xmod""",
    "the decoder of an encoder–decoder": """
        bart bigbird_pegasus blenderbot blenderbot-small marian mbart mvp pegasus plbart prophetnet
        trocr whisper""",
    "state-space layers": """
        bamba falcon_h1 falcon_mamba granitemoehybrid jamba mamba mamba2 nemotron_h zamba zamba2""",
    "recurrent layers": "recurrent_gemma xlstm",
    "linear attention": """
        bailing_hybrid kimi_linear minimax qwen4_exp qwen4_exp_text""",
    "short convolutions": "inkling2_text inkling_text lfm2 lfm2_moe lfm3",
    "sparse attention by an indexer": """
        axk2 deepseek_v32 deepseek_v4 dots3_note dots3_note_text glm_moe_dsa hy_v4
        minimax_m3_vl_text""",
    "multimodal": """
        cohere_compass_text emu3 gemma3n gemma4 gemma4_assistant gemma4_unified
        gemma4_unified_assistant git got_ocr2 llama4 mllama moss_transcribe_diarize
        phi4_multimodal qwen3_5 qwen3_5_moe""",
    "audio in parallel codebooks": "moshi musicgen musicgen_melody",
    "needs embeddings for each layer and alternating updates": "gemma3n_text",
    "needs embeddings for each layer and shared keys": "gemma4_text gemma4_unified_text",
    "needs norms inside the branches and ternary weights": "bitnet",
    "needs bytes gathered into patches": "blt",
    "needs biases by distance and segment": "cpmant",
    "needs differential attention": "diffllama",
    "needs attention masked by the values": "doge",
    "needs a mixture of attention heads": "jetmoe",
    "needs attention to convolved latents": "zaya",
    "needs layers run in loops": "hrm_text",
    "needs two attentions and a shortcut in each layer": "longcat_flash",
    "needs experts whose input is weighed, not what they find": "llama4_text",
    "its files say gpt2": "gpt-sw3",
}
WHY = {name: reason for reason, names in _REASONS.items() for name in names.split()}
PLAIN = "a decoder of known parts, not written yet"


def otherwise(found: Mapping[str, str | Sequence[str]]) -> list[str]:
    """The types whose family serves other models than the causal one: BERT's, BART's."""
    from blocks.families import family_of, model_types

    both = sorted(set(found) & set(model_types()))
    theirs = {name: {it} if isinstance(it := found[name], str) else set(it) for name in both}
    return [name for name in both if theirs[name].isdisjoint(family_of(name).architectures)]


def main() -> int:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as found

    unknown = sorted(set(WHY) - set(found))
    if unknown:
        print(f"the reference has no {', '.join(unknown)}", file=sys.stderr)
        return 1
    rows = {name: WHY.get(name, PLAIN) for name in sorted(found)}
    data = {"transformers": version("transformers"), "unless_supported": rows}
    data |= {"supported_otherwise": otherwise(found)}
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    FILE.write_text(text, encoding="utf-8")
    print(f"{len(rows)} types written")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(FILE.parents[1]))  # the checkout, which need not be installed
    sys.exit(main())
