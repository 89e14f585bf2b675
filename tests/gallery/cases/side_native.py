"""Our own format, whose config.json spells the composition out: names, values and sizes in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blocks import BlocksError, CheckpointError, ConfigError, from_pretrained, save_pretrained
from tests.gallery.harness import Case
from tests.gallery.sound import MODEL, edit, write

CODE = "import os\nos.system('touch canary')\n"


NORM = {"block": "RMSNorm", "options": {}}


@cache
def saved() -> dict[str, bytes]:
    """The files of the sound checkpoint in our own format."""
    with TemporaryDirectory() as place:
        folder = write(Path(place) / "model")
        save_pretrained(from_pretrained(folder, copy=True), folder)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def native(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], object]:
    """Saved in our own format, with a change of config.json."""

    def damage(folder: Path) -> None:
        for name, data in saved().items():
            (folder / name).write_bytes(data)
        (folder / "os.py").write_text(CODE)
        edit(folder / "config.json", change)

    return damage


def spec(value: Any) -> Callable[[Path], object]:
    """Something else for the whole Spec."""
    return native(lambda config: config | {"spec": value})


def root(**options: Any) -> Callable[[Path], object]:
    """Other options of the model."""
    return native(lambda config: config["spec"]["options"].update(options))


def everywhere(name: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Another form of every block or value of a name."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(one) for one in value]
        if not isinstance(value, dict):
            return value
        if name in (value.get("block"), value.get("value")):
            return change(value)
        return {key: walk(one) for key, one in value.items()}

    return native(lambda config: config | {"spec": walk(config["spec"])})


def part(name: str, **fields: Any) -> Callable[[Path], object]:
    return everywhere(name, lambda value: value | fields)


def options(name: str, **new: Any) -> Callable[[Path], object]:
    return everywhere(name, lambda value: value | {"options": value["options"] | new})


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"map": {"a": found}}
    return found


def many(config: dict[str, Any]) -> None:
    """As many layers as a megabyte of JSON holds."""
    config["spec"]["options"]["layers"] = [{"block": "RMSNorm", "options": {}}] * 10_000


def billion(config: dict[str, Any]) -> None:
    """A billion experts in the first layer."""
    expert = {"block": "GatedMLP", "options": {"hidden": 24}}
    moe = {"block": "MoE", "options": {"experts": 10**9, "top_k": 1, "expert": expert}}
    config["spec"]["options"]["layers"][0] = moe


def thousands(config: dict[str, Any]) -> None:
    """Fewer than any limit, and more than the file has."""
    billion(config)
    config["spec"]["options"]["layers"][0]["options"]["experts"] = 100_000


def russian(config: dict[str, Any]) -> None:
    """A hundred experts of a hundred experts, and so on."""
    billion(config)
    moe = config["spec"]["options"]["layers"][0]
    for _ in range(5):
        inner = {"experts": 100, "top_k": 1, "expert": moe}
        moe["options"]["experts"], moe = 100, {"block": "MoE", "options": inner}
    config["spec"]["options"]["layers"][0] = moe


def headed(config: dict[str, Any]) -> None:
    """A norm of its own for each of a billion heads."""
    norms = {"block": "QKNorm", "options": {"norm": NORM, "over": "each"}}
    options = {"heads": 10**9, "kv_heads": 1, "head_dim": 2, "qk": [norms]}
    config["spec"]["options"]["layers"][0] = {"block": "GQAttention", "options": options}


def case(
    name: str,
    damage: Callable[[Path], object],
    reason: str,
    field: str | None = "block",
    kind: type[BlocksError] = ConfigError,
) -> Case:
    file = "config.json" if kind is ConfigError else MODEL
    return Case(name, damage, kind, reason, file=file, field=field)


FORM = "is no Spec$"
ACT, LAYERS = "GatedMLP.act", "CausalLM.layers"
IMPORTED = {"block": "os:system", "options": {"command": "touch canary"}}

CASES = [
    case("no Spec", spec(None), FORM, "spec"),
    case("a field too many", native(lambda c: c | {"specs": 1}), "not known to the f", "specs"),
    case("a Spec of words", spec("CausalLM"), "is not the JSON form of a Spec", "spec"),
    case(
        "a part for a whole", spec({"block": "RMSNorm", "options": {}}), "a part of a model", "spec"
    ),
    case("an unknown block", part("GatedMLP", block="GatedMPL"), "no block named 'GatedMPL'"),
    case("a block by its path", part("GatedMLP", block="blocks.mlp:GatedMLP"), "no block named"),
    case("a function for a block", spec(IMPORTED), "no block named 'os:system'"),
    case("a module for a block", part("RMSNorm", block="os"), "no block named 'os'"),
    case("a class of torch", part("RMSNorm", block="torch.nn:Linear"), "no block named"),
    case("a public function", part("RMSNorm", block="from_pretrained"), "no block named 'from_pre"),
    case("a private name", part("RMSNorm", block="__class__"), "no block named '__class__'"),
    case("a number for a block", part("RMSNorm", block=7), "a block's name is a string, not 7"),
    case("a list for a block", part("RMSNorm", block=["RMSNorm"]), "a block's name is a string"),
    case("a name of 100,000 letters", part("RMSNorm", block="x" * 100_000), "no block named 'xxx"),
    case("a value that is a block", part("Causal", value="RMSNorm"), "no block named 'RMSNorm'"),
    case("a value that is a module", part("Causal", value="os:environ"), "no block named 'os:env"),
    case("a class for a block", part("RMSNorm", __class__="os.system"), FORM, "spec"),
    case("a key of pickles", part("RMSNorm", **{"py/object": "os.system"}), FORM, "spec"),
    case("no options", part("RMSNorm", options=None), FORM, "spec"),
    case("an unknown option", options("GatedMLP", heads=4), "has no option 'heads'", "heads"),
    case(
        "an option in Python's own name",
        options("GatedMLP", __init__=4),
        "has no option",
        "__init__",
    ),
    case("an activation that is a number", options("GatedMLP", act=7), "7 is not one of", ACT),
    case("an activation of Python's", options("GatedMLP", act="exec"), "'exec' is not one of", ACT),
    case("an activation by its path", options("GatedMLP", act="os:system"), "is not one of", ACT),
    case("NaN for eps", options("RMSNorm", eps={"float": "nan"}), FORM, "spec"),
    case("words for eps", options("RMSNorm", eps="small"), "'small' is not float", "RMSNorm.eps"),
    case("no layers", root(layers=[]), "needs at least one layer", LAYERS),
    case("layers of a number", root(layers=2), "2 is not tuple", LAYERS),
    case("layers of words", root(layers=["Chain"]), "'Chain' is not a block", LAYERS),
    case("half a token", root(vocab=32.5), "32.5 is not int", "CausalLM.vocab"),
    case("a negative width", root(dim=-16), "-16", ".*dim"),
    case("ties of a number", root(ties=7), "7 is not tuple", "CausalLM.ties"),
    case("ties of nothing", root(ties=[["a", "b"]]), "no block there", "a"),
    case("10,000 layers", native(many), "asks for 10000 layers, the weights are 21 tensors", None),
    case("a billion experts", native(billion), "orders \\d+ parts, more than can be built", "spec"),
    case("a billion heads with norms", native(headed), "orders \\d+ parts, more than", "spec"),
    case("experts of experts of experts", native(russian), "orders \\d+ parts, more than", "spec"),
    case("100,000 experts", native(thousands), "asks for \\d+ parts, the weights are 21", None),
    case("a width of 2^60", root(dim=2**60), "more values than can be counted", None),
    case("a vocabulary of 2^62", root(vocab=2**62), "more values than can be counted", None),
    case(
        "a vocabulary of 2^40",
        root(vocab=2**40),
        "wrong shape: .* not \\[1099511627776",
        None,
        CheckpointError,
    ),
    case("parts nested 80 deep", spec(nested(80)), "nested deeper than 64", "spec"),
    case("parts nested 150 deep", spec(nested(150)), "nested more than 200 deep", None),
]
