"""The model card, and uploads: what a repository holds afterwards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from blocks.errors import HubError
from blocks.hub.card import front_matter, model_card
from blocks.hub.checkpoint import open_checkpoint
from blocks.hub.provenance import Provenance
from blocks.hub.publish import card_of, push_to_hub, upload_folder
from blocks.hub.source import resolve
from tests.hub.craft import index, weights
from tests.hub.loopback import HubServer
from tests.hub.uploads import TOKEN

REPO = "org/model"


@pytest.fixture(params=[True, False], ids=["http", "xet"])
def hub(request: pytest.FixtureRequest, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch):
    """The two ways the Hub client uploads: it takes the second where hf_xet is installed."""
    from huggingface_hub import constants

    if not request.param:
        pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", request.param)
    return hub_server


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights("a"))
    return folder


def head(text: str) -> dict[str, object]:
    """The front matter, as another reader of YAML sees it."""
    return yaml.safe_load(text.split("---\n")[1])


def test_card() -> None:
    text = model_card(
        "me/tiny-model",
        architecture="CausalLM",
        parameters=1_234_567,
        base_model="org/base",
        licence="apache-2.0",
        pipeline_tag="text-generation",
        tags=["llama", "blocks"],
        datasets=["org/data"],
        provenance=["Weights from org/base."],
        swaps=["layers.*.attention: GQAttention to\nLinearAttention"],
    )
    assert head(text) == {
        "library_name": "blocks",
        "license": "apache-2.0",
        "base_model": "org/base",
        "pipeline_tag": "text-generation",
        "datasets": ["org/data"],
        "tags": ["blocks", "llama"],
    }
    assert "# tiny-model\n" in text
    assert "1,234,567 parameters" in text
    assert 'blocks.from_pretrained("me/tiny-model")' in text
    assert "- Weights from org/base.\n" in text
    assert "- layers.*.attention: GQAttention to LinearAttention\n" in text


def test_card_without_anything_known() -> None:
    text = model_card("tiny", architecture="CausalLM")
    assert head(text) == {"library_name": "blocks", "tags": ["blocks"]}
    assert "##" not in text


@pytest.mark.parametrize(
    "value",
    ["true", "No", "null", "1.0", "a: b", "- x", "# x", '"', "'", "\\", "a\nb: c", "---", "", " x"]
    + [
        "{a}",
        "[a]",
        "é",
        "*a",
        "&a",
        "!a",
        "a b",
        "\x1b",
        "1e3",
        "2026-01-01",
        "org/name",
        "\u2028",
    ],
)
def test_front_matter_keeps_any_text(value: str) -> None:
    assert head(front_matter({"a": value, "b": [value]}) + "\n") == {"a": value, "b": [value]}


def test_card_of_a_model_says_where_it_comes_from(tmp_path: Path) -> None:
    origin = Provenance(
        "org/base@dev", "c" * 40, "llama", tuple(map(str, range(12))), ("x",), ("swapped a",)
    )
    model = SimpleNamespace(provenance=origin, parameters=list, modules=list)
    text = card_of(model, REPO)
    assert head(text)["base_model"] == "org/base"
    assert head(text)["tags"] == ["blocks", "llama"]
    assert f"org/base@dev at commit {'c' * 40}, read as llama" in text
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more." in text
    assert "- swapped a" in text
    model.provenance = Provenance(str(tmp_path / "secret"), None, "llama")
    text = card_of(model, REPO)
    assert "secret" not in text
    assert "base_model" not in head(text)


def test_upload_makes_the_repository_and_its_card(hub: HubServer, saved: Path) -> None:
    url = upload_folder(saved, REPO, card="# card\n", token=TOKEN, private=True)
    repository = hub.repositories[REPO]
    sha = repository.refs["main"]
    assert url == f"{hub.url}/{REPO}/commit/{sha}"
    assert repository.access == "hidden"
    assert len(repository.commits) == 2  # the first is the empty repository's
    files = repository.commits[sha]
    assert files["README.md"] == b"# card\n"
    assert files["model.safetensors"] == weights("a")
    assert hub.messages == ["Upload with blocks"]
    assert list(open_checkpoint(resolve(REPO, token=TOKEN)).entries) == ["a"]


def test_upload_replaces_weights_and_keeps_the_rest(hub: HubServer, saved: Path) -> None:
    hub.add(
        REPO,
        {
            "README.md": b"mine",
            "notes.txt": b"mine",
            "model.safetensors.index.json": index({"b": "model-00001-of-00001.safetensors"}),
            "model-00001-of-00001.safetensors": weights("b"),
        },
    )
    upload_folder(saved, REPO, card="new", token=TOKEN, commit_message="Again")
    files = hub.repositories[REPO].commits[hub.repositories[REPO].refs["main"]]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors", "notes.txt"]
    assert files["README.md"] == b"mine"
    assert hub.messages == ["Again"]
    assert list(open_checkpoint(resolve(REPO)).entries) == ["a"]


def test_upload_as_pull_request_and_to_a_branch(hub: HubServer, saved: Path) -> None:
    first = hub.add(REPO, {"config.json": b"old"})
    url = upload_folder(saved, REPO, card="", token=TOKEN, create_pr=True)
    assert url == f"{hub.url}/{REPO}/discussions/1"
    refs = hub.repositories[REPO].refs
    assert refs["main"] == first
    assert open_checkpoint(resolve(REPO, revision="refs/pr/1")).entries
    for _ in range(2):
        upload_folder(saved, REPO, card="", token=TOKEN, revision="dev")
    assert refs["main"] == first
    assert open_checkpoint(resolve(REPO, revision="dev")).entries


def test_name_alone_is_ones_own_repository(hub: HubServer, saved: Path) -> None:
    upload_folder(saved, "tiny", card="", token=TOKEN)
    assert "me/tiny" in hub.repositories


def test_upload_that_is_not_allowed(hub: HubServer, saved: Path) -> None:
    with pytest.raises(HubError, match="org/model: .*hf auth login"):
        upload_folder(saved, REPO, card="", token="hf_bad")
    with pytest.raises(HubError, match="is no repository's id"):
        upload_folder(saved, "a/b/c", card="")
    with pytest.raises(HubError, match="create_pr: goes to the main branch"):
        push_to_hub(None, REPO, create_pr=True, revision="dev")
    hub.stop()
    with pytest.raises(HubError, match="the Hub gave no answer"):
        upload_folder(saved, REPO, card="", token=TOKEN)


def test_model_goes_up_and_comes_back(hub: HubServer) -> None:
    torch = pytest.importorskip("torch")
    from blocks import CausalLM, GatedMLP, Residual, RMSNorm, Spec, from_pretrained

    layer = Spec(Residual, inner=Spec(GatedMLP, hidden=8), norm_in=RMSNorm)
    model = CausalLM(vocab=10, dim=4, layers=(layer,), norm=RMSNorm)
    push_to_hub(model, REPO, token=TOKEN)
    again = from_pretrained(REPO)
    tokens = torch.tensor([[1, 2, 3]])
    assert again.spec == model.spec
    assert torch.equal(again(tokens), model(tokens))
    assert again.provenance.commit == hub.repositories[REPO].refs["main"]
    card = hub.repositories[REPO].commits[again.provenance.commit]["README.md"].decode()
    assert f"CausalLM with {sum(p.numel() for p in model.parameters()):,} parameters" in card
    push_to_hub(again, "org/child", token=TOKEN)
    files = hub.repositories["org/child"].commits[hub.repositories["org/child"].refs["main"]]
    assert head(files["README.md"].decode())["base_model"] == REPO
