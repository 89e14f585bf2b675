"""What transformers makes of a chat template, and what we do: a text, or None where it refuses."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from blocks.errors import TokenizerError
from blocks.text.template import conversation, render
from tests.text.corpus import VARIABLES

REFERENCE = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))

Messages = list[dict[str, Any]]


def theirs(template: str, messages: Messages, **extra: Any) -> str | None:
    given = {"tools": None, **VARIABLES, **extra}
    try:
        return REFERENCE.apply_chat_template(
            messages, chat_template=template, tokenize=False, **given
        )  # type: ignore[return-value]  # a text, when it is not tokenized
    except Exception:
        return None


def ours(template: str, messages: Messages, **extra: Any) -> str | None:
    given = {"tools": None, "documents": None, **VARIABLES, **extra}
    try:
        return render(template, {"messages": conversation(messages), **given})
    except TokenizerError as error:
        assert error.field == "chat template"
        return None


def both(template: str, messages: Messages, **extra: Any) -> tuple[str | None, str | None]:
    return theirs(template, messages, **extra), ours(template, messages, **extra)
