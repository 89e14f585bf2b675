"""llama.cpp in a Python of its own: a model of some shape with drawn weights, and its pace.

Run as a script by that Python, it writes the model and answers a line with a round's figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Llama:
    """One model of llama.cpp that waits for its turn.

    Args:
        python: the one that has llama-cpp-python and gguf.
        shape: as transformers calls its sizes.
        kind: BF16, Q8_0 or Q4_0.
        context: tokens that are read.
        tokens: that are written after them.
        threads: of the processor.
    """

    def __init__(
        self,
        python: str,
        shape: dict[str, Any],
        kind: str,
        context: int,
        tokens: int,
        threads: int,
    ):
        self.kind = kind
        asked = {"shape": shape, "kind": kind, "context": context}
        asked |= {"tokens": tokens, "threads": threads}
        self._process: Any = subprocess.Popen(
            [python, __file__, json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()  # once it is ready, so that nobody measures while it draws weights

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"llama.cpp ended with code {self._process.wait()}")
        return json.loads(line)

    def paces(self) -> Iterator[tuple[float, ...]]:
        """Tokens a second while it reads and while it writes, round by round."""
        while True:
            print("go", file=self._process.stdin, flush=True)
            yield tuple(self._answer())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def write(file: Path, shape: dict[str, Any], kind: str) -> None:
    """A GGUF file with drawn weights; equal matrices are drawn once."""
    import gguf
    import numpy as np

    def typed(name: str) -> Any:
        return gguf.GGMLQuantizationType[name]

    draw, drawn = np.random.default_rng(0), {}

    def add(name: str, rows: int, columns: int, kind: str) -> None:
        key = (rows, columns, kind)
        if key not in drawn:
            values = draw.standard_normal((rows, columns), dtype=np.float32) * 0.02
            drawn[key] = gguf.quants.quantize(values, typed(kind))
        writer.add_tensor(f"{name}.weight", drawn[key], raw_dtype=typed(kind))

    dim, hidden, vocab = shape["hidden_size"], shape["intermediate_size"], shape["vocab_size"]
    heads, kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
    kv = dim // heads * kv_heads
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(dim)
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_dimension_count(dim // heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(vocab)
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
            ("ffn_gate", hidden, dim),
            ("ffn_up", hidden, dim),
            ("ffn_down", dim, hidden),
        ):
            add(f"blk.{i}.{name}", rows, columns, kind)
    writer.add_tensor("output_norm.weight", one)
    add("output", vocab, dim, "Q8_0" if kind == "Q4_0" else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(asked: dict[str, Any]) -> None:
    """Answers each line of the input with the figures of a round."""
    import llama_cpp

    context, tokens, threads = asked["context"], asked["tokens"], asked["threads"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.gguf"
        write(file, asked["shape"], asked["kind"])
        room = context + tokens
        more = {"n_threads": threads, "n_threads_batch": threads, "verbose": False}
        model = llama_cpp.Llama(str(file), n_ctx=room, n_batch=context, n_ubatch=context, **more)
        text = [3 + i % (asked["shape"]["vocab_size"] - 3) for i in range(context)]
        print(json.dumps(once(model, text, 2)), flush=True)
        for _ in sys.stdin:
            print(json.dumps(once(model, text, tokens)), flush=True)


def once(model: Any, text: list[int], tokens: int) -> tuple[float, float]:
    """Tokens a second of one round."""
    model.reset()
    start = time.perf_counter()
    model.eval(text)
    middle = time.perf_counter()
    for i in range(tokens):
        model.eval([3 + i])
    end = time.perf_counter()
    return len(text) / (middle - start), tokens / (end - middle)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
