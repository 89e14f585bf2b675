"""Uses an installed `blocks` as a user would: import, load, generate, save, export.

Runs in an environment with the wheel alone, warnings as errors, in an empty folder.
"""

from __future__ import annotations

import sys

import blocks

if "torch" in sys.modules:
    sys.exit("import blocks imported torch")
if "site-packages" not in blocks.__file__:
    sys.exit(f"not the installed package: {blocks.__file__}")

import torch  # only now: the check above is that blocks doesn't need it

repo = blocks.packaged()
model = blocks.from_pretrained(repo)
tok = blocks.Tokenizer.from_pretrained(repo)
prompt = tok.encode("ROMEO:")
ids = blocks.generate(model, prompt, max_new_tokens=8, temperature=0)
print(tok.decode(ids[0]))

tokens = torch.as_tensor(prompt).reshape(1, -1)
logits = model(tokens)
blocks.save_pretrained(model, "native")
blocks.export(model, "reference")
for folder in ("native", "reference"):
    again = blocks.from_pretrained(folder)
    if not torch.equal(again(tokens), logits):
        sys.exit(f"the model read back from {folder} gives other logits")

for name in blocks.__all__:
    getattr(blocks, name)
print(f"all {len(blocks.__all__)} public names import")
