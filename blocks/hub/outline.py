"""The outline of a model: its Spec and table of names, from config.json alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from blocks.edit import layers_of, walk
from blocks.edit import replace as edited
from blocks.errors import BlocksError, ConfigError, nearest
from blocks.heads.sentence import SentenceHead
from blocks.hub.amount import MOST, ordered
from blocks.hub.blame import as_config_error
from blocks.hub.config import Config, read_json
from blocks.hub.family import Family
from blocks.hub.foreign import Foreign
from blocks.hub.keys import Keys, Mapped, Rule, Shape
from blocks.hub.packing import check_packing, put_packed, read_packing
from blocks.hub.quantised.modelopt import FILE, as_config
from blocks.hub.quantised.reading import read_storage
from blocks.hub.quantised.storage import FIELD, Storage, StoredKeys
from blocks.hub.sentence import read_sentence_head
from blocks.hub.source import Source
from blocks.models.packing import Packed
from blocks.models.places import addresses
from blocks.spec import Spec
from blocks.written import from_json

NATIVE = "blocks"  # the model_type of our own format
_OURS = tuple(
    "model_type architectures library_name blocks_version provenance spec packed trains".split()
)
_MOST_EXPERTS = 200_000  # ten times what the largest public models have


# Types of tensors that no float can stand for, as torch and as headers name them.
_WHOLE = {"uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64"}
_WHOLE |= {"bool": "BOOL"}


@dataclass(frozen=True)
class Whole(Rule):
    """A tensor of whole numbers, such as the bytes of packed weights: no dtype changes it."""

    kind: str = ""

    def forms(self, ours: Sequence[Shape]) -> tuple[tuple[Shape, tuple[str, ...]], ...]:
        return ((ours[0], (self.kind,)),)


class SameNames(Keys):
    """The table of our own format: names are addresses.

    Args:
        whole: the types of tensors that hold whole numbers, by address.
    """

    def __init__(self, whole: Mapping[str, str] | None = None):
        super().__init__()
        self.whole = whole or {}

    def candidates(
        self, ours: Sequence[str], file: Mapping[str, Any] | None = None
    ) -> list[Mapped]:
        return [Mapped(self._rule(address), address, (address,)) for address in ours]

    def _rule(self, address: str) -> Rule:
        if address in self.whole:
            return Whole(address, (address,), self.whole[address])
        return Rule(address, (address,))


@dataclass(frozen=True)
class Outline:
    """What config.json says.

    Attributes:
        model_type: the family's name, or "blocks" for our own format.
        spec: the model.
        keys: the table of tensor names.
        ties: places that may share a tensor with another.
        config: the reader, with what was read and what was assumed.
        family: None for our own format.
        packed: the matrices that our own format holds packed, by address.
        storage: how the file stores its matrices; None where it holds floats.
    """

    model_type: str
    spec: Spec[Any]
    keys: Keys
    ties: tuple[tuple[str, str], ...]
    config: Config
    family: Family | None
    packed: Mapping[str, Packed] = field(default_factory=dict)
    storage: Storage | None = None

    def fitted(self, names: Collection[str]) -> Outline:
        """Without those optional parts of which a file with these tensors holds nothing."""
        spec, keys = self.spec, self.keys
        for part in () if self.family is None else self.family.optional:
            theirs = {r.theirs for r in keys.rules if r.ours[0].startswith(f"{part}.")}
            if self.storage is not None:  # a matrix may have another name
                theirs |= {name for name in names if f"{name.rpartition('.')[0]}.weight" in theirs}
            if spec.keywords.get(part) is not None and not any(name in names for name in theirs):
                spec = edited(spec, **{part: None})
        if spec is self.spec or self.family is None:
            return self
        return replace(self, spec=spec, keys=_table(self.family, spec, self.storage))

    @property
    def tied(self) -> bool | None:
        """Whether the head shares the table of tokens; None where the config doesn't say.

        Of two models in one file the inner says one thing and the outer another in public files:
        then the weights tell.
        """
        places = (self.config.data, self.config.body.data)
        said = {data.get("tie_word_embeddings") for data in places} - {None}
        return said.pop() if len(said) == 1 else None

    def sharable(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Those of which a file may hold one tensor alone: no head that the config unties."""
        return [pair for pair in pairs if self.tied is not False or not is_of_head(pair)]

    def table(self, model: Any) -> Keys:
        """The table of tensor names, of a model that was built from this."""
        if self.family is not None:
            return self.keys
        kinds = {address: whole_kind(tensor) for address, tensor in addresses(model).items()}
        return SameNames({address: kind for address, kind in kinds.items() if kind})

    def build(self) -> Any:
        """The model; sizes that don't fit each other are the config's mistake."""
        model = self._built()
        check_packing(model, self.packed, self.config)
        put_packed(model, self.packed)
        return model

    def _built(self) -> Any:
        try:
            return self.spec()
        except BlocksError as error:
            raise as_config_error(error, self.config) from None
        except (RuntimeError, TypeError) as error:
            if "verflow" not in str(error):
                raise
            raise ConfigError(
                "asks for more values than can be counted", file=self.config.file
            ) from None


def whole_kind(tensor: Any) -> str | None:
    """The type of a tensor of whole numbers, as headers name it; None for any other."""
    return _WHOLE.get(str(tensor.dtype).removeprefix("torch."))


def is_of_head(tie: tuple[str, str]) -> bool:
    """Whether a tie is of the head's matrix."""
    return tie[0].startswith("head.")


def read_outline(source: Source, blocks: Iterable[type] = ()) -> Outline:
    """Reads config.json through its family, or through our own format.

    Errors:
        HubError: there is no config.json.
        ConfigError: it can't be read, or holds a field that the family doesn't know.
    """
    if source.foreign:
        return _foreign(source.foreign)
    path = source.need("config.json", hint="a model's folder holds config.json and safetensors")
    data = read_json(path)
    if not {FIELD, "spec"} & data.keys() and (apart := source.find(FILE, assume_absent=True)):
        data[FIELD] = as_config(read_json(apart), apart)
    outline = _outline(Config(data, path), blocks)
    if outline.family is None:
        return outline
    if outline.spec.keywords.get("head", path) is not None:
        return outline
    head = read_sentence_head(source, outline.spec.keywords["dim"])
    return replace(outline, spec=edited(outline.spec, head=head))


def _foreign(place: Foreign) -> Outline:
    """What a file of another format says; of an encoder of texts, with the head that makes one
    vector of a text."""
    outline, pool = outline_of(place.reader()), place.pool()
    if pool is None or outline.spec.keywords.get("head", pool) is not None:
        return outline
    return replace(outline, spec=edited(outline.spec, head=Spec(SentenceHead, pool=pool)))


def read_config(path: Path, blocks: Iterable[type] = ()) -> Outline:
    """Reads a file in the form of config.json, wherever it is and whatever is beside it.

    Errors:
        ConfigError: it can't be read, or holds a field that the family doesn't know.
    """
    return _outline(Config(read_json(path), path), blocks)


def _outline(config: Config, blocks: Iterable[type]) -> Outline:
    ours = config.data.get("model_type") == NATIVE
    return _native(config, blocks) if ours else outline_of(config)


def outline_of(config: Config) -> Outline:
    """The outline of a family's config.json."""
    from blocks.families import family_of, type_of

    family = family_of(type_of(config.data), str(config.file))
    served = config.take("architectures", tuple[str, ...], family.architectures[:1])
    if served and not set(served) & set(family.architectures):
        raise config.error(
            "architectures",
            f"{served[0]} is not served",
            f"served: {', '.join(family.architectures)}",
        )
    try:
        spec = family.spec(config)
    except BlocksError as error:
        raise as_config_error(error, config) from None
    storage = read_storage(config)
    config.finish()
    _check_count(spec, config)
    keys, ties = _table(family, spec, storage), family.shared(spec)
    return Outline(family.model_type, spec, keys, ties, config, family, storage=storage)


def _table(family: Family, spec: Spec[Any], storage: Storage | None) -> Keys:
    keys = family.table(spec)
    return keys if storage is None else StoredKeys(keys, storage)


def _check_count(spec: Spec[Any], config: Config) -> None:
    """Refuses an order for more experts than any model has, before they are built one by one."""
    of_layer: dict[Spec[Any], int] = {}
    for layer in layers_of(spec):
        if layer not in of_layer:
            found = [part.keywords.get("experts", 1) for _, part in walk(layer)]
            of_layer[layer] = max(found)
    count = sum(of_layer[layer] for layer in layers_of(spec))
    if count > _MOST_EXPERTS:
        raise config.error(
            "num_local_experts", f"{count} experts in all are more than can be built"
        )


def _native(config: Config, blocks: Iterable[type]) -> Outline:
    for name in config.data:
        if name not in _OURS:
            near = nearest(name, _OURS)
            hint = f"did you mean {near[0]!r}?" if near else "a later version may have written it"
            raise config.error(name, "this field is not known to the format", hint)
    try:
        spec = from_json(config.data.get("spec") or {}, blocks)
    except BlocksError as error:
        raise ConfigError(
            error.reason, file=config.file, field=error.field or "spec", hint=error.hint
        ) from None
    if "ties" not in spec.keywords:
        raise config.error("spec", f"a {spec.func.__name__} is a part of a model, not a whole one")
    if (count := ordered(spec, ("heads",))) > MOST:
        raise config.error("spec", f"orders {count} parts, more than can be built")
    packed = read_packing(config)
    return Outline(NATIVE, spec, SameNames(), spec.keywords["ties"], config, None, packed)
