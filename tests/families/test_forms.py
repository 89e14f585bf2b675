"""Names and fields go both ways, and every form in which a checkpoint was ever written loads."""

from __future__ import annotations

import copy
import json
import warnings

import pytest
import torch
from safetensors.torch import load_file

import blocks
from blocks import CheckpointError, Keys
from blocks.edit import layers_of
from blocks.families import family_of
from blocks.hub.config import Config, with_infinity
from blocks.hub.outline import outline_of
from blocks.models.places import spread
from tests.families import ageing
from tests.families.reference import (
    case_of,
    change,
    families,
    first,
    other_pairing,
    pairs,
    plain_first,
)

every = pytest.mark.parametrize(("family", "variant"), pairs())
costly = pytest.mark.parametrize(("family", "variant"), plain_first())
plain = pytest.mark.parametrize(("family", "variant"), [(name, first(name)) for name in families()])
tied = pytest.mark.parametrize(
    ("family", "variant"),
    [(name, "tied") for name in families() if "tied" in case_of(name).variants],
)


def same_logits(it, folder):
    ours = blocks.from_pretrained(folder)
    assert it.close(it.answer(ours, it.tokens), it.logits) <= it.case.tolerance
    return ours


@every
def test_names_and_values_go_both_ways(loaded, family, variant):
    it = loaded(family, variant)
    table, ours = family_of(family).table(it.ours.spec), blocks.addresses(it.ours)
    file = load_file(it.folder / "model.safetensors")
    file = it.read(file)
    mapped = table.chosen(list(ours), file)
    written = {}
    for one in mapped:
        parts = [ours[address].detach() for address in one.ours]
        written[one.theirs] = one.rule.save(parts)
        again = one.rule.load(written[one.theirs], [part.shape for part in parts])
        assert all(torch.equal(a, b) for a, b in zip(again, parts, strict=True))
    tied = {place for pair in it.ours.spec.keywords["ties"] for place, _ in spread(pair, ours)}
    tied_names = {one.theirs for one in mapped if tied.issuperset(one.ours)}
    assert set(written) - tied_names == set(file)
    assert all(torch.equal(written[name], tensor) for name, tensor in file.items())


@every
def test_fields_go_both_ways(loaded, family, variant):
    spec = loaded(family, variant).ours.spec
    chosen = family_of(family)
    reader = Config(chosen.config(spec))
    again = chosen.spec(reader)
    reader.finish()
    assert again == blocks.replace(spec, ties=())


@every
@pytest.mark.parametrize("kind", ["rope_type", "type"])
def test_the_older_config_means_the_same(loaded, family, variant, kind):
    it = loaded(family, variant)
    new = ageing.read_config(it.folder)
    old = it.case.older(new, kind)
    assert outline_of(Config(old)).spec == outline_of(Config(new)).spec


@plain
@pytest.mark.parametrize("shards", [0, 3])
def test_extra_tables_and_shards(loaded, tmp_path, family, variant, shards):
    it = loaded(family, variant)
    extra = ageing.with_extra(it.case.extra, len(layers_of(it.ours.spec)))
    options = {"tensors": extra, "config": it.case.older}
    same_logits(it, ageing.aged(it.folder, tmp_path / "aged", shards=shards, **options))


@pytest.mark.parametrize(
    ("family", "variant"),
    [(name, first(name)) for name in families() if case_of(name).missing_prefix],
)
def test_names_without_their_prefix(loaded, tmp_path, family, variant):
    it = loaded(family, variant)
    short = ageing.without_prefix(it.case.missing_prefix)
    extra = ageing.with_extra(it.case.extra, len(layers_of(it.ours.spec)))
    folder = ageing.aged(it.folder, tmp_path / "aged", tensors=lambda all: short(extra(all)))
    assert set(load_file(folder / "model.safetensors")).isdisjoint(it.theirs(it.case.table))
    same_logits(it, folder)


@plain
def test_half_the_precision_stays(loaded, tmp_path, family, variant):
    it = loaded(family, variant)
    halves = {"tensors": lambda all: {name: tensor.half() for name, tensor in all.items()}}
    folder = ageing.aged(it.folder, tmp_path / "aged", **halves)
    assert {t.dtype for t in blocks.from_pretrained(folder).parameters()} == {torch.float16}
    ours = blocks.from_pretrained(folder, dtype=torch.float32)
    rounded = copy.deepcopy(it.reference)
    state = rounded.state_dict()
    for tensor in it.read(state).values():  # tables of waves stay as they are
        tensor.copy_(tensor.half())
    assert it.close(it.answer(ours, it.tokens), it.ask(it.tokens, rounded)) <= it.case.tolerance


@tied
@pytest.mark.parametrize("form", [None, ageing.with_tied_copy, ageing.without_table])
def test_a_tied_head_in_every_form(loaded, tmp_path, family, variant, form):
    it = loaded(family, variant)
    older = form(*it.theirs(it.case.table, "head.weight")) if form else dict
    ours = same_logits(it, ageing.aged(it.folder, tmp_path / "aged", tensors=older))
    assert ours.head.weight is blocks.addresses(ours)[it.case.table]


@tied
def test_a_head_of_its_own_wins_over_the_flag(loaded, tmp_path, family, variant):
    it = loaded(family, variant)
    table, head = it.theirs(it.case.table, "head.weight")

    apart = {"tensors": lambda tensors: tensors | {head: tensors[table] * 2}}
    folder = ageing.aged(it.folder, tmp_path / "aged", **apart)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "tie_word_embeddings is true, but .* both are kept")
        ours = blocks.from_pretrained(folder)
    assert ours.spec.keywords["ties"] == ()
    assert ours.head.weight.equal(blocks.addresses(ours)[it.case.table] * 2)


@pytest.mark.parametrize(
    ("family", "variant"),
    [
        (family, name)
        for family, name in pairs()
        if case_of(family).fused and case_of(family).variants[name].options.get("num_experts") != 1
    ],
)
def test_experts_in_one_tensor(loaded, tmp_path, family, variant):
    it = loaded(family, variant)
    if not any(part.func is blocks.MoE for _, part in blocks.walk(it.ours.spec)):
        pytest.skip("this variant has none")
    it.reference.save_pretrained(tmp_path, save_original_format=False)
    names = load_file(tmp_path / "model.safetensors")
    assert any(name.endswith("experts.gate_up_proj") for name in names)
    same_logits(it, tmp_path)


@costly
def test_exported_files_are_read_by_the_reference(loaded, tmp_path, family, variant):
    it = loaded(family, variant)
    blocks.export(it.ours, tmp_path)
    theirs = (
        (it.case.exported or it.variant.model or it.case.model)
        .from_pretrained(tmp_path, attn_implementation=it.case.attention, dtype=torch.float32)
        .eval()
    )
    assert it.close(it.ask(it.tokens, theirs), it.logits) <= it.case.tolerance
    folders = (it.folder, tmp_path)
    if it.case.exported:  # under other names
        before, after = (blocks.addresses(blocks.from_pretrained(at)) for at in folders)
    else:
        before, after = (load_file(at / "model.safetensors") for at in folders)
    before = before if it.case.exported else it.read(before)
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@plain
def test_what_a_family_cannot_say_is_not_exported(loaded, tmp_path, family, variant):
    it = loaded(family, variant)
    said = family_of(family).config(it.ours.spec)
    turns = any(part.func is blocks.RoPE for _, part in blocks.walk(it.ours.spec))
    turns = turns and "rope_interleave" not in said  # which has a word for the pairing
    louder = change(blocks.LMHead, scale=1.1)
    mutation, word = (other_pairing, "pairing") if turns else (louder, "head.scale")
    grouped = any(part.func is blocks.GQAttention for _, part in blocks.walk(it.ours.spec))
    if it.kind != "decoder" and grouped:
        mutation, word = change(blocks.GQAttention, sinks=True), "sinks"
    elif not any(part.func is blocks.LMHead for _, part in blocks.walk(it.ours.spec)):
        mutation, word = change(blocks.TokenEmbedding, scale=1.1), "embedding.scale"
    rewritten = blocks.from_pretrained(it.folder, rewrite=mutation)
    with pytest.raises(CheckpointError, match=word):
        blocks.export(rewritten, tmp_path)


def test_a_number_in_a_template_is_that_place_alone():
    keys = Keys(("norm.{w}", "layers.{i}.qk.0.{w}"))
    assert keys.candidates(["layers.3.qk.1.weight"]) == []


def lost(data, name, gone):
    """Fields without one of them, or with null in its place."""
    rest = {key: value for key, value in data.items() if key != name}
    return rest | ({name: None} if gone == "null" else {})


@plain
@pytest.mark.parametrize("dialect", ["new", "old"])
@pytest.mark.parametrize("gone", ["absent", "null"])
def test_a_field_that_is_gone_means_what_it_means_to_the_reference(
    loaded, family, variant, dialect, gone
):
    it = loaded(family, variant)
    data = ageing.read_config(it.folder)
    data = it.case.older(data) if dialect == "old" else data
    read = 0
    outer = [(name, lost(data, name, gone)) for name in data if name != it.case.inside]
    body = it.case.body(data) if it.case.inside else {}
    inner = [(name, it.case.with_body(data, lost(body, name, gone))) for name in body]
    for name, less in outer + inner:
        less["model_type"] = family
        try:
            ours = outline_of(Config(less)).spec
            full = it.case.config.from_dict(with_infinity(copy.deepcopy(less)))
        except Exception:  # either may insist on a field, each with its own error
            continue
        read += 1
        whole = json.loads(full.to_json_string(use_diff=False))
        assert ours == outline_of(Config(whole)).spec, name
    assert read > 5


@pytest.mark.parametrize("name", ["su", "yarn"])
def test_the_first_names_of_longrope(loaded, name):
    data = ageing.old_config(ageing.read_config(loaded("phi3", "longrope").folder), "type")
    scaling = {key: data["rope_scaling"][key] for key in ("short_factor", "long_factor")}
    first_form = data | {"rope_scaling": {"type": name, **scaling}}
    assert data["original_max_position_embeddings"] == 16
    assert outline_of(Config(first_form)).spec == outline_of(Config(data)).spec


@pytest.mark.parametrize(("said", "size"), [({}, 4096), ({"sliding_window": None}, None)])
def test_mistral_has_a_window_unless_it_says_null(loaded, said, size):
    data = ageing.read_config(loaded("mistral", "window").folder)
    del data["sliding_window"]
    attention = blocks.at(outline_of(Config(data | said)).spec, "layers.0.attention")
    assert attention.keywords["mask"] == (blocks.Causal() if size is None else blocks.Window(size))


@pytest.mark.parametrize(
    ("variant", "name"),
    [("plain", "RefinedWebModel"), ("RW", "RefinedWebModel"), ("40B", "RefinedWeb")],
)
def test_falcon_before_transformers_had_it(loaded, tmp_path, variant, name):
    it = loaded("falcon", variant)

    def before(data):
        kept = ("vocab_size", "hidden_size", "alibi", "bias", "multi_query", "parallel_attn")
        old = {field: data[field] for field in (*kept, "layer_norm_epsilon", "rope_theta")}
        old |= {"n_head": data["num_attention_heads"], "n_layer": data["num_hidden_layers"]}
        old |= {"n_head_kv": data["num_kv_heads"]} if data["new_decoder_architecture"] else {}
        old |= {
            "apply_residual_connection_post_layernorm": False,
            "architectures": ["RWForCausalLM"],
        }
        return old | {"model_type": name, "ffn_hidden_size": data["ffn_hidden_size"]}

    dated = {"config": lambda data: before(it.case.older(data))}
    ours = same_logits(it, ageing.aged(it.folder, tmp_path / "old", **dated))
    assert ours.provenance.family == "falcon" and ours.spec.keywords["context"] == 2048
    assert blocks.replace(ours.spec, context=64) == it.ours.spec
    blocks.export(ours, tmp_path / "new")
    assert ageing.read_config(tmp_path / "new")["model_type"] == "falcon"
    assert blocks.inspect(tmp_path / "old").model_type == "falcon"


@pytest.mark.parametrize("first", [True, False])
def test_both_dialects_of_nomic_bert(loaded, tmp_path, first):
    it = loaded("nomic_bert", "plain")
    names = {
        "hidden_size": "n_embd",
        "intermediate_size": "n_inner",
        "num_hidden_layers": "n_layer",
    }
    names |= {"num_attention_heads": "n_head", "layer_norm_eps": "layer_norm_epsilon"}
    names |= {"max_position_embeddings": "n_positions"}

    def before(data):
        old = {names.get(name, name): value for name, value in data.items()}
        del old["rope_parameters"], old["hidden_act"]
        return old | {"activation_function": "swiglu", "rotary_emb_base": 1000, "prenorm": False}

    it.reference.save_pretrained(tmp_path, save_original_format=first)
    held = load_file(tmp_path / "model.safetensors")
    assert any(name.endswith("attn.Wqkv.weight") for name in held) == first
    same_logits(it, ageing.aged(tmp_path, tmp_path / "aged", config=before if first else dict))
