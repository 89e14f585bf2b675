"""llama.cpp in a process of its own: a model of some shape with drawn weights, and its pace.

Run as a script by the Python that has llama-cpp-python and gguf, it writes the model and answers a
line with a round's figures. It computes the logits of the last token of each text alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from _served import Once, serve


def write(file: Path | str, shape: dict[str, Any], kind: str) -> None:
    """A GGUF file with drawn weights; equal matrices are drawn once."""
    import gguf
    import numpy as np

    def typed(name: str) -> Any:
        return gguf.GGMLQuantizationType[name]

    draw, drawn = np.random.default_rng(0), {}

    def add(name: str, rows: int, columns: int, kind: str, experts: tuple[int, ...] = ()) -> None:
        key = (*experts, rows, columns, kind)
        if key not in drawn:
            values = draw.standard_normal((*experts, rows, columns), dtype=np.float32) * 0.02
            drawn[key] = gguf.quants.quantize(values, typed(kind))
        writer.add_tensor(f"{name}.weight", drawn[key], raw_dtype=typed(kind))

    dim, hidden, vocab = shape["hidden_size"], shape["intermediate_size"], shape["vocab_size"]
    heads, kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
    kv = dim // heads * kv_heads
    experts = shape.get("num_local_experts", 0)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(shape.get("max_position_embeddings", 4096))
    writer.add_embedding_length(dim)
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(dim // heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(vocab)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(shape["num_experts_per_tok"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"<{i}>" for i in range(vocab)])
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types([gguf.TokenType.NORMAL] * vocab)
    one = np.ones(dim, dtype=np.float32)
    add("token_embd", vocab, dim, kind)
    for i in range(shape["num_hidden_layers"]):
        writer.add_tensor(f"blk.{i}.attn_norm.weight", one)
        writer.add_tensor(f"blk.{i}.ffn_norm.weight", one)
        for name, rows, columns in (
            ("attn_q", dim, dim),
            ("attn_k", kv, dim),
            ("attn_v", kv, dim),
            ("attn_output", dim, dim),
        ):
            add(f"blk.{i}.{name}", rows, columns, kind)
        if experts:
            add(f"blk.{i}.ffn_gate_inp", experts, dim, "F32")
        many, name = ((experts,), "_exps") if experts else ((), "")
        add(f"blk.{i}.ffn_gate{name}", hidden, dim, kind, many)
        add(f"blk.{i}.ffn_up{name}", hidden, dim, kind, many)
        add(f"blk.{i}.ffn_down{name}", dim, hidden, kind, many)
    writer.add_tensor("output_norm.weight", one)
    add("output", vocab, dim, "Q8_0" if kind == "Q4_0" else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Texts:
    """Some texts of one length that a model goes on with together.

    Args:
        model: of llama.cpp.
        batch: texts at once.
        room: tokens of each.
        threads: of the processor.
    """

    def __init__(self, model: Any, batch: int, room: int, threads: int):
        import llama_cpp

        self._library, self._count, self._next = llama_cpp, batch, 0
        asked = llama_cpp.llama_context_default_params()
        asked.n_seq_max = batch
        asked.n_ctx = batch * (-room // 256 * -256)  # of which each text gets its share
        asked.n_batch = asked.n_ctx
        asked.n_threads = asked.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(model, asked)
        self._tokens = llama_cpp.llama_batch_init(asked.n_batch, 0, 1)

    def read(self, tokens: list[int]) -> None:
        """Goes on with these tokens in every text."""
        batch, at = self._tokens, 0
        for text in range(self._count):
            for i, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, self._next + i
                batch.seq_id[at][0], batch.n_seq_id[at] = text, 1
                batch.logits[at] = i == len(tokens) - 1
                at += 1
        batch.n_tokens = at
        code = self._library.llama_decode(self._context, batch)
        if code:
            raise RuntimeError(f"llama_decode says {code}")
        self._library.llama_synchronize(self._context)
        self._next += len(tokens)

    def close(self) -> None:
        """Gives the memory back."""
        self._library.llama_batch_free(self._tokens)
        self._library.llama_free(self._context)


def make(shape: dict[str, Any], kind: str, threads: int) -> tuple[dict[str, Any], Once]:
    """A model and its rounds of writing."""
    import llama_cpp

    llama_cpp.llama_backend_init()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        write(file, shape, kind)
        asked = llama_cpp.llama_model_default_params()
        asked.use_mmap = False
        model = llama_cpp.llama_model_load_from_file(str(file).encode(), asked)
    words = shape["vocab_size"] - 3

    def once(context: int, tokens: int, batch: int) -> tuple[float, float]:
        texts = Texts(model, batch, context + tokens, threads)
        start = perf_counter()
        texts.read([3 + i % words for i in range(context)])
        middle = perf_counter()
        for i in range(tokens):
            texts.read([3 + i % words])
        end = perf_counter()
        texts.close()
        return batch * context / (middle - start), batch * tokens / (end - middle)

    return {"parameters": llama_cpp.llama_model_n_params(model)}, once


if __name__ == "__main__":
    if sys.argv[2:] == ["write"]:  # the file alone, which stays
        write(**json.loads(sys.argv[1]))
    else:
        serve(make)
