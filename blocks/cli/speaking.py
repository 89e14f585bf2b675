"""What `generate` and `chat` share: loading a model with its tokenizer, and text as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from blocks.cli.options import DRAWING, LOAD, SAMPLING, pick, place
from blocks.errors import BlocksError

_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def load_tokenizer(model: str, given: dict[str, Any]) -> Any:
    """The tokenizer of MODEL."""
    import blocks

    return blocks.Tokenizer.from_pretrained(place(model), **pick(given, LOAD))


def load_model(model: str, given: dict[str, Any]) -> Any:
    """MODEL with the dtype and on the device that are asked for."""
    import blocks

    device = device_of(given["device"])
    where = pick(given, LOAD)
    return blocks.from_pretrained(
        place(model), dtype=dtype_of(given["dtype"]), device=device, **where
    )


def packed_model(model: str, given: dict[str, Any]) -> Any:
    """The same, its matrices packed where that is asked for, and quick where they are packed."""
    import blocks
    from blocks.models.packing import packed_matrices

    loaded = load_model(model, given)
    if given.get("adapter"):
        hub = pick({**given, "revision": None}, LOAD)
        loaded = blocks.merge_adapter(blocks.load_adapter(loaded, given["adapter"], **hub))
    if given["quantize"] is None and not packed_matrices(loaded):
        return loaded
    # A step that had to be compiled first would come too late for one text.
    return blocks.optimize(loaded, quantize=given["quantize"], compile=False)


def dtype_of(name: str | None) -> Any:
    """The dtype of that name; None keeps what there is."""
    import torch

    kinds = {
        "float32": torch.float32,
        "bfloat16": torch.bfloat16,
        "float16": torch.float16,
        "float64": torch.float64,
        None: None,
    }
    return kinds[name]


def device_of(name: str) -> Any:
    """The device of that name, if it can be used here."""
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BlocksError(f"can't be used here: {reason}", field=f"device {name}") from None
    if device.type == "meta":
        raise BlocksError("holds no numbers", field="device meta")
    return device


class Voice:
    """Writes continuations of one model, or its answers to sources, as text.

    Args:
        model: a live model.
        tokenizer: its own.
        given: the options of the command.
        most: how many tokens to add where the options don't say.
        follow: each text begins with the one before: that is not read again.

    Attributes:
        count: how many tokens came in all.
        answers: the model reads one text and writes another.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        given: dict[str, Any],
        most: int,
        *,
        follow: bool = False,
    ):
        self.model, self.tokenizer, self.most = model, tokenizer, most
        self.answers = hasattr(model, "given")
        self.options: dict[str, Any] = pick(given, SAMPLING)
        self.options["stop"] = self._stop(given["stop"])
        self.asked = given["max_new_tokens"]
        self.beams = self._beams(given.get("beams"))
        self.count = 0
        self.assistant = self._assistant(given)
        self.cache = self._cache() if follow and not self.answers and self.beams == 1 else None

    def _cache(self) -> Any:
        import blocks

        return blocks.PromptCache(self.model, follow=True)

    def _assistant(self, given: dict[str, Any]) -> Any:
        """What drafts, if anything shall."""
        name, lookup = given.get("assistant"), given.get("lookup")
        if name and lookup:
            raise click.UsageError("--assistant and --lookup both draft: choose one.")
        if (name or lookup) and self.beams > 1:
            raise click.UsageError("Nothing is drafted for several beams: try --beams 1.")
        import blocks

        if name:
            return blocks.DraftModel(load_model(name, {**given, "revision": None}))
        return blocks.PromptLookup() if lookup else None

    def drafts(self) -> str:
        """What came of the drafts, as the end of a line."""
        if self.assistant is None:
            return ""
        return f", {self.assistant.accepted} of {self.assistant.drafted} drafted tokens accepted"

    def _stop(self, texts: Sequence[str]) -> tuple[int | str, ...] | None:
        """Strings to stop at join the tokens that end a text; they don't replace them."""
        ends = getattr(getattr(self.model, "generation", None), "eos", ())
        return (*ends, *texts) if texts else None

    def _beams(self, asked: int | None) -> int:
        """What is asked for; else what the checkpoint of a model that answers was made for."""
        if asked is None and self.answers and not self.options["temperature"]:
            return getattr(getattr(self.model, "generation", None), "beams", 1)
        return asked or 1

    def continued(self, ids: Sequence[int], *, whole: bool) -> Iterator[str]:
        """The text of what follows `ids`, piece by piece; with `whole`, their own text first."""
        import torch

        import blocks

        detokenizer = blocks.Detokenizer(self.tokenizer)
        begun = 1 if self.answers else len(ids)
        if not self.answers:
            before = [detokenizer.push(id) for id in ids]
            yield from before if whole else ()
        new = self.asked or self.most
        context = getattr(self.model, "context", None)
        if self.asked is None and context is not None:
            new = max(1, min(new, context - begun))
        device = next(self.model.parameters()).device
        prompt = torch.tensor([list(ids)], dtype=torch.int64, device=device)
        options = {"max_new_tokens": new, "tokenizer": self.tokenizer, **self.options}
        if self.beams > 1:
            blocks.Sampler(**{name: options.pop(name) for name in DRAWING})  # refuses what is idle
            _, found = blocks.beam_search(self.model, prompt, beams=self.beams, **options)
            said = found[0, begun:].tolist()
        else:
            helpers = {"cache": self.cache, "assistant": self.assistant}
            said = blocks.stream(self.model, prompt, **options, **helpers)
        for id in said:
            self.count += 1
            yield detokenizer.push(id)
        yield detokenizer.flush()


def printed(text: str) -> str:
    """A model's text without what a terminal would take for a command."""
    return text.translate(_CONTROL)


def say(pieces: Iterator[str]) -> str:
    """Prints text as it comes, and gives all of it."""
    said = []
    for piece in pieces:
        said.append(printed(piece))
        click.echo(said[-1], nl=False)
    return "".join(said)
