"""Tokenizer files that are damaged, hostile, or at odds with each other or with the model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blocks import GenerationError, HubError, Tokenizer, TokenizerError, from_pretrained, generate
from tests.gallery.harness import Case, tokenize
from tests.gallery.sound import LETTERS, edit, put

JSON, CONFIG, ADDED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
PIECES, VOCAB, MERGES = "tokenizer.model", "vocab.json", "merges.txt"

Damage = Callable[[Path], object]


def mumble(folder: Path) -> Any:
    """Encodes a text that makes some patterns go back and forth."""
    return Tokenizer.from_pretrained(folder).encode("a" * 40 + "!")


def speak(folder: Path) -> Any:
    """Text to ids, and what the model says to them."""
    ids = Tokenizer.from_pretrained(folder).encode("the zebra")
    return generate(from_pretrained(folder), ids, max_new_tokens=2).tolist()


def holds(name: str, data: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(data)


def sparse(name: str) -> Damage:
    def write(folder: Path) -> None:
        (folder / JSON).unlink()
        with (folder / name).open("wb") as file:
            file.truncate(200 << 20)

    return write


def changed(change: Callable[[Any], Any], name: str = JSON) -> Damage:
    return lambda folder: edit(folder / name, change)


def part(name: str, value: Any) -> Damage:
    return changed(lambda data: {**data, name: value})


def model(**fields: Any) -> Damage:
    return changed(lambda data: {**data, "model": {**data["model"], **fields}})


def vocabulary(**ids: int) -> Damage:
    return changed(lambda data: data["model"]["vocab"].update(ids))


def split(pattern: str) -> Damage:
    step = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return part("pre_tokenizer", step)


def grows(name: str, *lengths: int) -> Damage:
    """A step for each length, which puts so many letters in the place of each."""
    steps = [
        {"type": "Replace", "pattern": {"Regex": "."}, "content": "x" * length}
        for length in lengths
    ]
    return part(name, {"type": "Sequence", f"{name}s": steps})


def grows_in_front(folder: Path) -> None:
    """Steps that put so many letters before each text."""
    steps = [{"type": "Prepend", "prepend": "x" * 600}] * 2
    part("normalizer", {"type": "Sequence", "normalizers": steps})(folder)


def around(known: dict[str, Any]) -> Damage:
    """A token <q> before each text."""
    one, other = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    single = [{"SpecialToken": {"id": "<q>", "type_id": 0}}, one]
    step = {"type": "TemplateProcessing", "single": single, "pair": [one, other]}
    return part("post_processor", {**step, "special_tokens": known})


def crowd(folder: Path) -> None:
    """Forty tokens before each text, each of which is forty."""
    pieces = [{"SpecialToken": {"id": "<s>", "type_id": 0}}] * 40
    known = {"<s>": {"id": "<s>", "ids": [0] * 40, "tokens": ["<s>"] * 40}}
    around(known)(folder)
    edit(folder / JSON, lambda data: data["post_processor"].update(single=pieces))


def token(id: int) -> Damage:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    entry = {"id": id, "content": "<x>", "special": True, **flags}
    return changed(lambda data: data["added_tokens"].append(entry))


def token_beside_its_name(folder: Path) -> None:
    """The same, where a token of the vocabulary is called as the table is."""
    vocabulary(added_tokens=32)(folder)
    token(50)(folder)


def config(**fields: Any) -> Damage:
    return changed(lambda data: {**data, **fields}, CONFIG)


def added(**ids: Any) -> Damage:
    return lambda folder: put(folder / ADDED, ids)


def pieces(data: bytes) -> Damage:
    """SentencePiece instead."""

    def write(folder: Path) -> None:
        (folder / JSON).unlink()
        (folder / PIECES).write_bytes(data)

    return write


def older(vocab: bytes | None = None, merges: bytes | None = b"t h\nth e\n") -> Damage:
    """GPT-2's two files instead."""

    def write(folder: Path) -> None:
        (folder / JSON).unlink()
        put(folder / VOCAB, {text: at for at, text in enumerate([*LETTERS, "th", "the"])})
        if vocab is not None:
            (folder / VOCAB).write_bytes(vocab)
        if merges is not None:
            (folder / MERGES).write_bytes(merges)

    return write


def python_alone(folder: Path) -> None:
    (folder / JSON).unlink()
    (folder / "evil.py").write_text("raise SystemExit")
    config(tokenizer_class="Evil", auto_map={"AutoTokenizer": ["evil.Evil", None]})(folder)


def pipe(folder: Path) -> None:
    (folder / JSON).unlink()
    os.mkfifo(folder / JSON)


def link(folder: Path) -> None:
    outside = folder.parent / JSON
    outside.write_bytes((folder / JSON).read_bytes())
    (folder / JSON).unlink()
    (folder / JSON).symlink_to(outside)


def more_tokens(folder: Path) -> None:
    def change(data: Any) -> None:
        data["model"]["vocab"]["ze"] = 60
        data["model"]["merges"].append("z e")

    edit(folder / JSON, change)


def bad(name: str, damage: Damage, reason: str, file: str = JSON, **more: Any) -> Case:
    given: dict[str, Any] = {"act": tokenize, "error": TokenizerError, **more}
    return Case(name, damage, reason=reason, file=file, **given)


def wrong(field: str, name: str, damage: Damage, reason: str, **more: Any) -> Case:
    return bad(name, damage, reason, field=field, **more)


DEEP = b'{"type":"Sequence","pretokenizers":[' * 20_000 + b"]}" * 20_000
CHARACTERS = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}  # the library panics
FAR = {"<q>": {"id": "<q>", "ids": [4_000_000], "tokens": ["<q>"]}}
PAIR = {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 90]}
PAIR |= {"trim_offsets": True, "add_prefix_space": True}
NOTHING = {"type": "Replace", "pattern": {"String": ""}, "content": "x"}
UNIGRAM = {"type": "Unigram", "unk_id": None, "vocab": [["<s>", 0.0], ["</s>", 0.0], ["q", -1.0]]}

UNREAD = [
    bad("tokenizer.json is no JSON", holds(JSON, b"{"), "is no JSON"),
    bad("tokenizer.json is empty", holds(JSON, b""), "is no JSON"),
    bad("tokenizer.json is an array", holds(JSON, b"[]"), "must hold an object, not list"),
    bad("tokenizer.json is no UTF-8", holds(JSON, b'{"\xff": 1}'), "is no JSON: .*utf-8"),
    bad("tokenizer.json of 200 MiB", sparse(JSON), "is larger than 134217728 bytes"),
    bad("100,000 deep", holds(JSON, b'{"model":' + b"[" * 100_000), "nested too deeply"),
    bad("20,000 steps in each other", holds(JSON, b'{"model":' + DEEP + b"}"), "too deeply"),
    wrong("model", "no model", part("model", None), "must hold an object, not NoneType"),
    wrong("model", "unknown model", model(type="Telepathy"), "'Telepathy', which is none of BPE"),
    wrong("model", "a stranger is merged", model(merges=["q q"]), "`qq` out of vocabulary"),
    wrong("model", "merge of three", model(merges=[["a", "b", "c"]]), "is no pair of tokens"),
    wrong("model", "merge of numbers", model(merges=[[1, 2]]), "is no pair of tokens"),
    wrong("model", "a long merge", model(merges=[["a" * 10**6, "b"]]), "`a+[.]{3}a+` out of"),
    wrong("model", "merges are an object", model(merges={"a": "b"}), "can't be read"),
    wrong("model", "vocabulary is a list", model(vocab=["a"]), "expected a map"),
    wrong("model", "negative id", vocabulary(zz=-1), "`-1`"),
    wrong("model", "id of 33 bits", vocabulary(zz=1 << 32), "`4294967296`"),
    wrong("model", "dropout of 2", model(dropout=2.0), "between 0 and 1"),
    wrong("pre_tokenizer", "broken pattern", split("(a"), "unmatched parenthesis"),
    wrong("pre_tokenizer", "deep pattern", split("(" * 5000 + ")" * 5000), "depth limit"),
    wrong("normalizer", "unknown normalizer", part("normalizer", {"type": "Magic"}), "'Magic'"),
    wrong("normalizer", "broken characters", part("normalizer", CHARACTERS), "'Precompiled' can't"),
    wrong("decoder", "decoder is a list", part("decoder", [1]), "must hold an object, not list"),
]
READ = [
    wrong("model.vocab", "no vocabulary", model(vocab={}, merges=[]), "holds no token"),
    wrong("model.vocab", "id of 32 bits", vocabulary(zz=1 << 31), "'zz' the id 2147483648"),
    wrong("model.vocab", "an id far away", vocabulary(zz=1 << 30), "too large for one of 33"),
    wrong("model.vocab", "an id twice", vocabulary(zz=3), "'(zz|b)' the same id 3"),
    wrong("added_tokens", "added token after a gap", token(50), "id 50, where only 32 can be"),
    wrong("added_tokens", "added token in a place taken", token(3), "id 3, where only 32 can be"),
    wrong("added_tokens", "a name in two places", token_beside_its_name, "id 50, where only 33"),
    wrong("post_processor", "unknown token around a text", around({}), "'<q>', which is not in"),
    wrong("post_processor", "far token around a text", around(FAR), "'<q>', which is not in"),
    wrong("post_processor", "far token of a pair", part("post_processor", PAIR), "'<s>', which is"),
    wrong("normalizer", "texts grow", grows("normalizer", 9, 9, 9, 9), "1024 times longer"),
    wrong("normalizer", "texts grow in front", grows_in_front, "1024 times longer"),
    wrong("post_processor", "tokens of tokens around a text", crowd, "adds over 1024 tokens"),
    wrong("decoder", "texts grow at the end", grows("decoder", 1025), "1024 times longer"),
    wrong("normalizer", "looks for nothing", part("normalizer", NOTHING), "looks for nothing"),
    wrong(
        *("pre_tokenizer", "pieces of no length"),
        part("pre_tokenizer", {"type": "FixedLength", "length": 0}),
        "pieces of no length",
    ),
    bad("pattern that goes back and forth", split("(a+)+$"), "retry-limit", act=mumble),
    bad("nothing stands for a stranger", part("model", UNIGRAM), "`unk_id` is missing"),
]
BESIDE = [
    bad("config is an array", holds(CONFIG, b"[]"), "must hold an object", CONFIG),
    bad("config is no JSON", holds(CONFIG, b"{"), "is no JSON", CONFIG),
    bad("a key twice", holds(CONFIG, b'{"a": 1, "a": 2}'), "'a' is there twice", CONFIG),
    wrong("eos_token", "token is a number", config(eos_token=3), "must be a token", file=CONFIG),
    wrong("chat_template", "template is a number", config(chat_template=5), "text", file=CONFIG),
    wrong("chat_template", "templates of nothing", config(chat_template=[5]), "list", file=CONFIG),
    wrong(
        *("added_tokens_decoder", "id is a word"),
        config(added_tokens_decoder={"x": {"content": "a"}}),
        "'x' is no token id",
        file=CONFIG,
    ),
    bad("side file contradicts", added(the=3), "'the' as 30, .*added_tokens.json as 3"),
    bad("side file leaves a gap", added(zzz=99), "has no token 'zzz'"),
    wrong("zzz", "negative id beside", added(zzz=-1), "'-1' is no token id", file=ADDED),
    bad("Python alone", python_alone, "has no tokenizer.json", "model"),
]
OTHERS = [
    bad("SentencePiece cut short", pieces(b"\n\x0e\n\x05<unk>\x15\0\0"), "as a Sent", PIECES),
    bad("SentencePiece is text", pieces(b"hello\n"), "as a SentencePiece model failed", PIECES),
    bad("SentencePiece is empty", pieces(b""), "is empty", PIECES),
    bad("SentencePiece says 4 GiB", pieces(b"\n\xff\xff\xff\xff\x0f"), "as a Sent", PIECES),
    bad("SentencePiece of 200 MiB", sparse(PIECES), "is larger than", PIECES),
    bad("vocab.json is no JSON", older(b"{"), "is no JSON", VOCAB),
    bad("vocab.json with a negative id", older(b'{"a": -1}'), "must map tokens to ids", VOCAB),
    bad("vocab.json with a far id", older(b'{"a": 2147483647}', b""), "too large", "model"),
    bad("vocab.json with an id twice", older(b'{"a": 1, "b": 1}', b""), "the same id", VOCAB),
    bad("merges.txt of three", older(None, b"t h e\n"), "must hold two tokens", MERGES),
    bad("merges.txt of strangers", older(None, b"qq q\n"), "'qq', which is not in", MERGES),
    bad("merges.txt is no UTF-8", older(None, b"\xff\xfe"), "is no UTF-8", MERGES),
    bad("vocab.json alone", older(None, None), "not both vocab.json and merges.txt", "model"),
    bad("tokenizer.json is a pipe", pipe, "is no regular file", error=HubError),
    bad("tokenizer.json leads out", link, "leads out of its folder", error=HubError),
    Case(
        *("more tokens than the model knows", more_tokens, GenerationError),
        "token 60 is not in the vocabulary 0 … 31",
        field="tokens",
        hint="another model's tokenizer",
        act=speak,
    ),
]
CASES = [*UNREAD, *READ, *BESIDE, *OTHERS]
