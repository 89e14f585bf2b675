"""A causal language model as one file: its `forward`, a cache, and generation."""

from __future__ import annotations

import ast
from typing import Any

from torch import nn

from blocks.surgery.ejecting.assembly import Assembly, lines
from blocks.surgery.ejecting.book import Book
from blocks.surgery.ejecting.code import (
    calling,
    defining,
    dotted,
    line,
    name,
    names,
    of_self,
    parsed,
    setting,
)

__all__: list[str] = []

GENERATE = '''\
@torch.no_grad()
def generate(
    model: CausalLM, tokens: Tensor, max_new_tokens: int, temperature: float = 0.0
) -> Tensor:
    """Tokens [B T] and those that follow: the likeliest, or drawn where temperature is above 0."""
    cache, start = [{} for _ in model.layers], 0
    for _ in range(max_new_tokens):
        logits = model(tokens[:, start:], cache=cache, start=start)[:, -1]  # B V
        start = tokens.shape[1]
        if temperature > 0:
            new = torch.multinomial((logits / temperature).softmax(-1), 1)  # B 1
        else:
            new = logits.argmax(-1, keepdim=True)  # B 1
        tokens = torch.cat([tokens, new], 1)
    return tokens
'''


def decoder(book: Book, module: nn.Module, spec: Any) -> Assembly:
    """The assembly of a `CausalLM`."""
    made = Assembly(book, module, spec, causal=True)
    vocab, dim = made.size("vocab"), made.size("dim")
    embedding = made.part("embedding", vocab, dim)
    stem = made.part("stem", dim)
    made.stack()
    at = len(made.info.init)
    norm = made.part("norm", dim)
    head = made.part("head", dim, vocab)
    body, stemmed = made.through(embedding, "tokens"), made.through(stem, "x")
    keys = [key for _, found in made.kinds.values() for key in found if key != "cache"]
    shared = made.shared([*dict.fromkeys([*keys, *made.scope.needs])])
    normed, headed = made.through(norm, "x"), made.through(head, "x")
    headed[-1] = line(ast.Return(headed[-1].value), "# B T V")
    rest = [*stemmed, *layers_loop(made), *normed, *headed]
    early = [one for one in shared if "x" not in names(one)]
    late = [one for one in shared if "x" in names(one)]
    passed = [*early, *body, *late, *rest]
    tree = forward([*prologue(made, names(*passed)), *passed])
    made.info.methods["forward"] = tree
    made.info.init[at:at] = made.made_layers()
    if "config" in of_self(tree):
        made.info.init[:0] = lines("self.config = config")
    return made


def prologue(made: Assembly, wanted: set[str]) -> list[Any]:
    """What comes before the embedding: where the tokens stand."""
    padded = not made.book.unpadded
    looks = bool(wanted & {"q", "k", "keys"})
    placed = looks or bool(wanted & {"positions", "length"})
    places = "positions = keys" if looks else "positions"
    real = f"if mask is not None:\n    {places} = (mask.cumsum(1) - 1).clamp(min=0)  # B T"
    one = "start == 0 or tokens.shape[1] == 1"
    rows = {
        "cache = [{} for _ in self.layers] if cache is None else cache": "cache" in wanted,
        "mask = None if mask is None or mask.all() else mask": padded,
        "end = start + tokens.shape[1]": placed,
        "positions = torch.arange(start, end, device=tokens.device)[None]  # 1 T": placed,
        "keys = torch.arange(end, device=tokens.device)[None]  # 1 S": looks,
        real: padded and placed,
        "q, k = positions[:, :, None], keys[:, None]  # B T 1, B 1 S": wanted & {"q", "k"},
        f"plain = mask is None and ({one})" if padded else f"plain = {one}": "plain" in wanted,
        "length = positions.amax(1, keepdim=True) + 1  # B 1": "length" in wanted,
    }
    return [one for row, needed in rows.items() if needed for one in lines(row)]


def layers_loop(made: Assembly) -> list[Any]:
    """The loop over the layers."""
    needs = {
        label: [made.scope.need(key) for key in keys if key != "cache"]
        for label, (_, keys) in made.kinds.items()
    }
    remembers = ["cache" in keys for _, keys in made.kinds.values()]
    alike = len({ast.dump(ast.Tuple(given)) for given in needs.values()}) == 1
    body: list[Any] = []
    loop = {"layer": dotted("self.layers")}
    given = next(iter(needs.values()))
    if not alike or len(set(remembers)) > 1:
        keys: list[Any] = [ast.Constant(label) for label in needs]
        table = ast.Dict(keys, [ast.Tuple(given) for given in needs.values()])
        body = [setting(name("given"), table)]
        given = [ast.Starred(parsed("given[kind]"))]
        loop = {"kind": dotted("self.config.layers"), **loop}
    if any(remembers):
        loop["memory"] = name("cache")
    last = [name("memory")] if any(remembers) else []
    step = setting(name("x"), calling("layer", name("x"), *given, *last), "# B T D")
    over, targets = [*loop.values()], [*map(name, loop)]
    source = over[0] if len(over) == 1 else calling("zip", *over, strict=ast.Constant(True))
    target = targets[0] if len(targets) == 1 else ast.Tuple(targets)
    return [*body, line(ast.For(target, source, [step], []))]


def forward(body: list[Any]) -> Any:
    """The definition of `forward`."""
    used = names(*body)
    options: dict[str, tuple[str, int | None]] = {
        "mask": ("Tensor | None", None),
        "cache": ("list[dict[str, Tensor]] | None", None),
        "start": ("int", 0),
    }
    options = {key: one for key, one in options.items() if key in used}
    args = [ast.arg("self"), ast.arg("tokens", name("Tensor"))]
    args += [ast.arg(key, parsed(kind)) for key, (kind, _) in options.items()]
    tree = defining("forward", args, body, name("Tensor"))
    tree.args.defaults = [ast.Constant(default) for _, default in options.values()]
    tree.doc = "Logits [B T V] of the token after each of tokens [B T]"
    if "mask" in used:
        tree.doc += "; mask is True where one is real"
    if "start" in used:
        kept = "With a cache, which keeps what was read, the first token is at place `start`"
        tree.doc += f".\n\n{kept}"
    tree.doc += "."
    return tree
