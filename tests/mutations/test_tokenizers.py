"""tokenizer.json, damaged at random: it reads and writes text, or is refused in our words."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from blocks import Tokenizer, TokenizerError
from tests.mutations.damage import bitten, edited
from tests.mutations.sound import said
from tests.text.trained import KINDS, TEXTS

PART = 50
TRIED = ("byte_level", "byte_fallback", "unigram", "word_piece", "suffixed", "words")


@pytest.mark.parametrize("kind", TRIED)
def test_text_or_a_refusal(kind: str, tmp_path: Path) -> None:
    whole, refused = KINDS[kind]().to_str(), 0
    for seed in range(PART):
        random = Random(f"{kind} {seed}")
        if random.random() < 0.2:
            data = bitten(whole.encode(), random)
        else:
            data = json.dumps(edited(json.loads(whole), random)).encode()
        (tmp_path / "tokenizer.json").write_bytes(data)
        try:
            tokenizer = Tokenizer.from_pretrained(tmp_path)
            for text in TEXTS:
                assert isinstance(tokenizer.decode(tokenizer.encode(text)), str)
        except TokenizerError as error:
            said(error)
            refused += 1
        except BaseException as error:  # a panic is no Exception
            raise AssertionError(f"seed {seed}: {error!r}") from error
    assert 0 < refused < PART
