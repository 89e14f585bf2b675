"""Puts every mixer into every decoder family and writes docs/swaps.json: minutes.

A cell is the share of the new mixer's parameters that the old one had part in. It is written only
where the model then ran, learnt, generated, was saved and loaded; else the tool ends with an error.
`--resume` keeps the families that are there already.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

from index import ROOT

sys.path.insert(0, str(ROOT))


def main(file: Path, resume: bool) -> None:
    import torch

    from blocks import find
    from tests.surgery.exchange import MIXERS, first_mixer, run
    from tests.surgery.families import DECODERS, model_of

    warnings.simplefilter("ignore")
    known = json.loads(file.read_text(encoding="utf-8")) if resume else {"mixers": [], "rows": []}
    rows = known["rows"] if known["mixers"] == list(MIXERS) else []
    for family in DECODERS:
        if any(row["family"] == family for row in rows):
            continue
        torch.manual_seed(0)
        place = first_mixer(model_of(family).spec)
        carried = []
        for mixer in MIXERS:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    carried.append(round(run(family, mixer, Path(folder)), 3))
                except Exception:
                    print(f"{mixer} at {place} of {family}:", file=sys.stderr)
                    raise
        old = type(find(model_of(family), place)).__name__
        rows.append({"family": family, "place": place, "mixer": old, "carried": carried})
        rows.sort(key=lambda row: DECODERS.index(row["family"]))
        write(file, list(MIXERS), rows)
        print(family, flush=True)


def write(file: Path, mixers: list[str], rows: list[dict[str, object]]) -> None:
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    text = f'{{\n  "mixers": {json.dumps(mixers)},\n  "rows": [\n{lines}\n  ]\n}}\n'
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(ROOT / "docs" / "swaps.json", "--resume" in sys.argv[1:])
