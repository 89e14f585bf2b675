"""A causal language model as one file: its `forward`, a cache, and generation."""

from __future__ import annotations

import ast
from typing import Any

from torch import nn

from blocks.surgery.ejecting.assembly import Assembly, lines
from blocks.surgery.ejecting.book import Book
from blocks.surgery.ejecting.values import calling, dotted, name, names
from blocks.surgery.ejecting.walking import line

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
    body = made.through(embedding, "tokens")
    stemmed = made.through(stem, "x")
    keys: list[Any] = []
    for _, found in made.kinds.values():
        keys += [key for key in found if key not in keys and key != "cache"]
    keys += [key for key in made.scope.needs if key not in keys]
    shared = made.shared(keys)
    normed = made.through(norm, "x")
    headed = made.through(head, "x")
    loop = layers_loop(made)
    result: Any = headed[-1]
    end: Any = line(ast.Return(result.value), "# B T V")
    rest = [*shared, *body, *stemmed, *loop, *normed, *headed[:-1], end]
    wanted = set().union(*(names(one) for one in rest))
    order = sorted(shared, key=lambda one: "x" in names(one))
    before = [one for one in order if "x" not in names(one)]
    after = [one for one in order if "x" in names(one)]
    head_lines = prologue(made, wanted, "cache" in wanted)
    made.info.methods["forward"] = forward(
        made, [*head_lines, *before, *body, *after, *stemmed, *loop, *normed, *headed[:-1], end]
    )
    made.info.init[at:at] = made.made_layers()
    if any(
        isinstance(part, ast.Attribute) and part.attr == "config"
        for part in ast.walk(made.info.methods["forward"])
    ):
        made.info.init[:0] = lines("self.config = config")
    return made


def prologue(made: Assembly, wanted: set[str], remembers: bool) -> list[ast.stmt]:
    """What comes before the embedding: where the tokens stand."""
    padded = not made.book.unpadded
    text = []
    if remembers:
        text.append("cache = [{} for _ in self.layers] if cache is None else cache")
    if padded:
        text.append("mask = None if mask is None or mask.all() else mask")
    looks = "q" in wanted or "k" in wanted or "keys" in wanted
    if looks or wanted & {"positions", "length"}:
        text.append("end = start + tokens.shape[1]")
        text.append("positions = torch.arange(start, end, device=tokens.device)[None]  # 1 T")
    if looks:
        text.append("keys = torch.arange(end, device=tokens.device)[None]  # 1 S")
    if padded and (looks or wanted & {"positions", "length"}):
        inner = "positions = keys = " if looks else "positions = "
        text.append(f"if mask is not None:\n    {inner}(mask.cumsum(1) - 1).clamp(min=0)  # B T")
    if wanted & {"q", "k"}:
        text.append("q, k = positions[:, :, None], keys[:, None]  # B T 1, B 1 S")
    if "plain" in wanted:
        first = "mask is None and " if padded else ""
        one = (
            "(start == 0 or tokens.shape[1] == 1)"
            if padded
            else "start == 0 or tokens.shape[1] == 1"
        )
        text.append(f"plain = {first}{one}")
    if "length" in wanted:
        text.append("length = positions.amax(1, keepdim=True) + 1  # B 1")
    return [one for part in text for one in lines(part)]


def layers_loop(made: Assembly) -> list[ast.stmt]:
    """The loop over the layers."""
    scope = made.scope
    found = []
    remembers = any("cache" in keys for _, keys in made.kinds.values())
    for label, (info, keys) in made.kinds.items():
        found.append((label, info, [scope.need(key) for key in keys if key != "cache"]))
    alike = len({tuple(ast.dump(part) for part in given) for _, _, given in found}) == 1
    alike = alike and len({"cache" in keys for _, keys in made.kinds.values()}) == 1
    last = [name("memory")] if remembers else []
    body: list[ast.stmt] = []
    over: list[ast.expr] = [dotted("self.layers")]
    target: list[ast.expr] = [name("layer")]
    if remembers:
        over.append(name("cache"))
        target.append(name("memory"))
    if alike:
        call = calling("layer", name("x"), *found[0][2], *last)
    else:
        items = [ast.Tuple(given) for _, _, given in found]
        keys_: list[Any] = [ast.Constant(label) for label, _, _ in found]
        body.append(line(ast.Assign([name("given")], ast.Dict(keys_, [*items]))))
        over.insert(0, dotted("self.config.layers"))
        target.insert(0, name("kind"))
        given: Any = ast.Starred(ast.Subscript(name("given"), name("kind")))
        call = calling("layer", name("x"), given, *last)
    step = line(ast.Assign([name("x")], call), "# B T D")
    source = over[0] if len(over) == 1 else calling("zip", *over, strict=ast.Constant(True))
    targets = target[0] if len(target) == 1 else ast.Tuple(target)
    return [*body, line(ast.For(targets, source, [step], []))]


def forward(made: Assembly, body: list[ast.stmt]) -> ast.FunctionDef:
    """The definition of `forward`."""
    used = set().union(*(names(one) for one in body))
    args = [ast.arg("self"), ast.arg("tokens", name("Tensor"))]
    defaults: list[ast.expr] = []
    told = "Logits [B T V] of the token after each of tokens [B T]"
    if "mask" in used:
        args.append(ast.arg("mask", ast.parse("Tensor | None", mode="eval").body))
        defaults.append(ast.Constant(None))
        told += "; mask is True where one is real"
    if "cache" in used:
        kind = "list[dict[str, Tensor]] | None"
        args.append(ast.arg("cache", ast.parse(kind, mode="eval").body))
        defaults.append(ast.Constant(None))
    if "start" in used:
        args.append(ast.arg("start", name("int")))
        defaults.append(ast.Constant(0))
        told += ".\n\nWith a cache, which keeps what was read, the first token is at place `start`"
    tree: Any = ast.FunctionDef(
        "forward", ast.arguments([], args, None, [], [], None, defaults), body, [], name("Tensor")
    )
    tree.doc = f"{told}."
    return tree
