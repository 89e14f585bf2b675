"""Transformer-XL of transformers 4.35.2, asked in an environment of its own.

python transfo_xl_reference.py FOLDER    FOLDER/options.json says the config; the model is made of
it, every parameter drawn anew, and saved there, unless FOLDER holds one already. Its answers to
FOLDER/segments.safetensors, one call after another, are left in FOLDER/answers.safetensors.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")


def made(options: dict, folder: Path):  # a class that only that environment has
    from transformers import TransfoXLConfig, TransfoXLLMHeadModel

    if (folder / "config.json").exists():
        return TransfoXLLMHeadModel.from_pretrained(folder).eval()
    model = TransfoXLLMHeadModel(TransfoXLConfig(**options)).eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            values = torch.randn(tensor.shape, generator=draw)
            if "emb_layers" in name:
                tensor.copy_(values / tensor.shape[1] ** 0.5)
            elif tensor.dim() > 1 and not name.endswith(("r_w_bias", "r_r_bias")):
                tensor.copy_(values * 1.2 / tensor.shape[1] ** 0.5)
            else:
                tensor.copy_(values * 0.3 + ("norm.weight" in name))
    model.save_pretrained(folder)
    return model


def main(folder: Path) -> None:
    model = made(json.loads((folder / "options.json").read_text()), folder)
    segments = load_file(folder / "segments.safetensors")
    answers, mems = {}, None
    with torch.no_grad():
        for name in sorted(segments):
            out = model(segments[name], mems=mems)
            answers[name], mems = out.prediction_scores.contiguous(), out.mems
        greedy = segments[min(segments)]
        mems, token = None, greedy
        for _ in range(6):
            out = model(token, mems=mems)
            token, mems = out.prediction_scores[:, -1:].argmax(-1), out.mems
            greedy = torch.cat([greedy, token], 1)
    save_file(answers | {"greedy": greedy.contiguous()}, folder / "answers.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
