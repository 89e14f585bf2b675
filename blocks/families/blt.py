"""Byte Latent Transformer: bytes in patches that begin where the next byte is hard to guess.

Pagnoni et al., 2024, arXiv:2412.09871.
"""

from __future__ import annotations

from typing import Any

from blocks import ByteLatentLM, LayerStack, NGramEmbedding, Spec, at
from blocks.families import _blt as own
from blocks.families._dialects import read_or_null
from blocks.hub.config import Config
from blocks.hub.family import Family


def spec(c: Config) -> Spec:
    vocab, places = c.take("vocab_size", int, 260), c.take("cross_attn_k", int, 2)
    mask = own.mask(read_or_null(c, "local_attention_window_len", 512))
    encoder, decoder = own.encoder(c, vocab, places, mask), own.decoder(c, vocab, places, mask)
    deep = own.deep(c)
    for part in (c, encoder.part):
        part.only("pm_size", 0)  # what the first files say
    for name in ("max_position_embeddings", "rope_parameters", "rope_scaling", "rope_theta"):
        c.take(name, Any, None)  # those of each stack count
    grams = Spec(
        NGramEmbedding,
        sizes=c.take("encoder_hash_byte_group_size", tuple[int, ...], (3, 4, 5, 6, 7, 8)),
        hashes=c.take("encoder_hash_byte_group_nb_functions", int, 1),
        buckets=c.take("encoder_hash_byte_group_vocab", int, 500_002),
    )
    layers = {"layers": decoder.layers, "norm": decoder.norm, "embedding": None}
    return Spec(
        ByteLatentLM,
        vocab=vocab,
        dim=deep.dim,
        width=encoder.dim,
        encoder=Spec(LayerStack, layers=encoder.layers, embedding=grams),
        layers=deep.layers,
        decoder=Spec(LayerStack, **layers),
        patches=own.patches(c, vocab),
        reader=encoder.cross,
        places=places,
        context=encoder.context,
    )


def config(s: Spec) -> dict[str, Any]:
    grams = at(s, "encoder.embedding").keywords
    hashed = {"nb_functions": "hashes", "size": "sizes", "vocab": "buckets"}
    fields = {f"encoder_hash_byte_group_{name}": grams[ours] for name, ours in hashed.items()}
    fields |= {"vocab_size": s.keywords["vocab"], "tie_word_embeddings": bool(s.keywords["ties"])}
    return fields | own.write(s)


TIES = (("head.weight", "encoder.embedding.weight"),)
FAMILY = Family("blt", ("BltForCausalLM",), spec, config, own.KEYS, ties=TIES)
