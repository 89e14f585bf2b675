"""Text to ids and back, as the checkpoint's own tokenizer files say."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from blocks.errors import CheckpointError, TokenizerError
from blocks.text.engines import engine_of, guarded
from blocks.text.template import choose, conversation, render, templates
from blocks.text.tokenfiles import (
    CONFIG,
    NAMES,
    TEMPLATES,
    Place,
    read_files,
    read_json,
    read_text,
    roles,
)

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Tokenizer"]


class Tokenizer:
    """A checkpoint's vocabulary, special tokens and chat template; made by `from_pretrained`.

    Reads tokenizer.json, else tokenizer.model (SentencePiece), else vocab.json with merges.txt; of
    a ByT5, whose tokens are bytes, and a CANINE, whose are characters, tokenizer_config.json alone.
    Truncation and padding that a tokenizer.json carries are switched off. In text, a string stands
    for a special token where tokenizer.json or a side file declares it.

    Attributes:
        name: the folder or repository.
        engine: the vocabulary with its rules, without checks.
        templates: chat templates by name.

    Example:
        >>> from tokenizers import Tokenizer as Trained, models, pre_tokenizers
        >>> trained = Trained(models.WordLevel({"<eos>": 0, "hello": 1, "world": 2}))
        >>> trained.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> tokenizer = Tokenizer.from_backend(trained, eos="<eos>")
        >>> tokenizer.encode("hello world"), tokenizer.decode([1, 2, 0]), tokenizer.eos
        ([1, 2], 'hello world', 0)
    """

    def __init__(self, files: Mapping[str, bytes], *, name: str = "tokenizer"):
        """Build from the files' contents by their names; `name` is for messages."""
        self.name = name
        self._files = dict(files)
        with guarded("reading the tokenizer", file=name):
            self._names = roles(files)
            self.engine = engine_of(self._files, self._names, name)
            texts = {n: read_text(files, file) for n, file in TEMPLATES.items() if file in files}
            self.templates = templates(read_json(files, CONFIG), texts)

    @classmethod
    def from_pretrained(
        cls,
        repo_or_dir: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> Tokenizer:
        """Read the tokenizer of a folder or Hub repository.

        Args:
            repo_or_dir: a folder, or a repository's id such as "org/name"; or a GGUF file.
            revision: a branch, tag, pull request or commit.
            token: for the Hub: a token, True for the saved one, False for none.
            cache_dir: where downloads are kept.
            local_files_only: take everything from the cache.
            force_download: fetch every file once more.

        Errors:
            HubError: there is no such folder or repository, or it can't be reached.
            TokenizerError: it holds no tokenizer, or one that is damaged.
        """
        from blocks.hub.source import resolve

        return cls.from_source(
            resolve(
                repo_or_dir,
                revision=revision,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                force_download=force_download,
            )
        )

    @classmethod
    def from_source(cls, source: Place) -> Tokenizer:
        """Read the tokenizer of a place that is already resolved."""
        return cls(read_files(source), name=source.name)

    @classmethod
    def from_backend(
        cls,
        backend: tokenizers.Tokenizer,
        *,
        bos: str | None = None,
        eos: str | None = None,
        pad: str | None = None,
        unk: str | None = None,
        mask: str | None = None,
        chat_template: str | None = None,
    ) -> Tokenizer:
        """Wrap a copy of a tokenizer made with the `tokenizers` library, to use and to save.

        Args:
            backend: the tokenizer.
            bos, eos, pad, unk, mask: tokens of its vocabulary that play these parts.
            chat_template: a Jinja text.

        Errors:
            TokenizerError: a token named is not in the vocabulary, or the backend can't be written.
        """
        named = {"bos": bos, "eos": eos, "pad": pad, "unk": unk, "mask": mask}
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
        config["clean_up_tokenization_spaces"] = False  # decode is what the backend says
        config |= {f"{role}_token": token for role, token in named.items() if token is not None}
        with guarded("copying the tokenizer"):
            for role, token in named.items():
                if token is not None and backend.token_to_id(token) is None:
                    raise TokenizerError(f"{token!r} is not in the vocabulary", field=role)
            files = {"tokenizer.json": backend.to_str().encode()}
            files[CONFIG] = json.dumps(config, ensure_ascii=False, indent=2).encode()
            if chat_template is not None:
                files[TEMPLATES["default"]] = chat_template.encode()
        return cls(files)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the tokenizer's files as they were read; older ones of the same names go away.

        Errors:
            TokenizerError: the folder can't be written.
        """
        from blocks.hub.folder import put_files  # only who writes needs it

        try:
            put_files(folder, self.files(), NAMES)
        except CheckpointError as error:
            raise TokenizerError(error.reason, file=error.file, hint=error.hint) from None

    def files(self) -> dict[str, bytes]:
        """What `save_pretrained` writes, by name; tokenizer.json says all of the older pair."""
        left_out = ("vocab.json", "merges.txt") if "tokenizer.json" in self._files else ()
        return {name: text for name, text in self._files.items() if name not in left_out}

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """The ids of a text.

        Args:
            text: what to encode; declared special tokens in it become their ids.
            special: add what the tokenizer puts around a text, such as bos.

        Errors:
            TokenizerError: `text` is no text.
        """
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TokenizerError(f"must be a text, not {kind}", field="text", hint="one at a time")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            reason = f"holds half a surrogate pair at position {error.start}"
            raise TokenizerError(reason, field="text") from None
        return self.engine.encode(text, special)

    def decode(self, ids: Any, *, skip_special: bool = True) -> str:
        """The text of ids.

        Args:
            ids: a list, tuple, or anything with `.tolist()`, such as a tensor of one dimension.
            skip_special: leave special tokens out.

        Errors:
            TokenizerError: an id is not in the vocabulary.
        """
        return self.engine.decode(self.check_ids(ids), skip_special)

    def check_ids(self, ids: Any) -> list[int]:
        """The ids as a list of ints, each in the vocabulary, else a TokenizerError."""
        ids = ids.tolist() if hasattr(ids, "tolist") else ids
        if isinstance(ids, (str, bytes, Mapping)) or not isinstance(ids, Iterable):
            raise TokenizerError(f"must be a list of ids, not {type(ids).__name__}", field="ids")
        checked = []
        for id in ids:
            try:
                checked.append(operator.index(id))
            except TypeError:
                reason = f"must be ints, not {type(id).__name__}"
                raise TokenizerError(reason, field="ids", hint="one row at a time") from None
            if not 0 <= checked[-1] < self.vocab or self.token(checked[-1]) is None:
                reason = f"{checked[-1]} is not in the vocabulary (ids 0 to {self.vocab - 1})"
                raise TokenizerError(reason, field="ids")
        return checked

    def render(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: list[dict[str, Any]] | None = None,
        template: str | None = None,
        **variables: Any,
    ) -> str:
        """The text that the chat template makes of a conversation.

        Args:
            messages: dicts with "role" and mostly "content".
            add_generation_prompt: end with what the assistant's answer begins with.
            tools: JSON schemas of functions the model may call.
            template: the name of one of the tokenizer's templates, or a Jinja text.
            variables: whatever else the template reads.

        Errors:
            TokenizerError: there is no template, it refuses the conversation, or it runs wild.
        """
        if tools is not None and not (
            isinstance(tools, (list, tuple)) and all(isinstance(t, Mapping) for t in tools)
        ):
            raise TokenizerError("must be a list of JSON schemas", field="tools")
        given = {**self._names, "documents": None, **variables}
        given |= {"tools": tools, "add_generation_prompt": add_generation_prompt}
        given["messages"] = conversation(messages)
        return render(choose(self.templates, template, tools is not None), given)

    def chat(
        self,
        messages: Iterable[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: list[dict[str, Any]] | None = None,
        template: str | None = None,
        **variables: Any,
    ) -> list[int]:
        """The ids of a conversation: `render`, encoded with no special tokens but those in it."""
        how: dict[str, Any] = {"tools": tools, "template": template, **variables}
        text = self.render(messages, add_generation_prompt=add_generation_prompt, **how)
        return self.encode(text, special=False)

    @property
    def vocab(self) -> int:
        """How many ids there are: the largest and one, added tokens included."""
        return self.engine.size

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids that `decode` leaves out."""
        return self.engine.special

    @property
    def bos(self) -> int | None:
        """Id of the token that begins a text."""
        return self._role("bos_token")

    @property
    def eos(self) -> int | None:
        """Id of the token that ends a text."""
        return self._role("eos_token")

    @property
    def pad(self) -> int | None:
        """Id of the token that fills up a batch."""
        return self._role("pad_token")

    @property
    def unk(self) -> int | None:
        """Id of the token for what the vocabulary lacks."""
        return self._role("unk_token")

    @property
    def mask(self) -> int | None:
        """Id of the token that hides another one."""
        return self._role("mask_token")

    def _role(self, role: str) -> int | None:
        token = self._names.get(role)
        return None if token is None else self.id(token)

    def id(self, token: str) -> int | None:
        """The id of a token, None if the vocabulary lacks it."""
        with guarded("looking up a token"):
            return self.engine.id(token)

    def token(self, id: int) -> str | None:
        """The token of an id, None if there is none."""
        return self.engine.token(id) if 0 <= id < self.vocab else None
