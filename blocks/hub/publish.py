"""push_to_hub: a model, with its card, as one commit of a repository on the Hub."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blocks._version import __version__
from blocks.arguments import check_text
from blocks.errors import HubError
from blocks.hub.card import model_card
from blocks.hub.provenance import Provenance
from blocks.hub.source import is_repo_id

__all__ = ["push_to_hub"]

# A repository that had more shards before would otherwise hold two checkpoints afterwards.
OLD_WEIGHTS = ["model*.safetensors", "model.safetensors.index.json"]


def push_to_hub(
    model: Any,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    revision: str | None = None,
) -> str:
    """Saves a model and uploads it to a Hub repository, which is made if there is none.

    A README.md is written where the repository has none yet. Weights of an earlier upload that
    this one doesn't overwrite are removed, so that the repository never holds two checkpoints.

    Args:
        model: any model of ours.
        repo_id: "org/name", or "name" for a repository of one's own.
        private: who may see a new repository; None leaves it to the account's setting.
        token: as in `from_pretrained`; it must be allowed to write.
        commit_message: the title of the commit or pull request.
        create_pr: offer the upload as a pull request instead of committing it.
        revision: the branch to commit to, made if there is none.

    Returns:
        The address of the pull request or commit.

    Errors:
        HubError: no permission, no connection, or an id that can't be.

    Example:
        >>> import blocks
        >>> blocks.push_to_hub(None, "not an id")
        Traceback (most recent call last):
            ...
        blocks.errors.HubError: not an id: is no repository's id. Hint: ...
    """
    check_text(repo_id, "repo_id", HubError)
    _check(repo_id, create_pr, revision)
    from blocks.hub.save import save_pretrained

    with TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save_pretrained(model, folder)
        return upload_folder(
            folder,
            repo_id,
            card=card_of(model, repo_id),
            private=private,
            token=token,
            commit_message=commit_message,
            create_pr=create_pr,
            revision=revision,
        )


def card_of(model: Any, repo_id: str) -> str:
    """The card of a model, from its Spec and provenance."""
    origin = getattr(model, "provenance", Provenance())  # a model just built has none
    lines = []
    if origin.source:
        # A folder's path says nothing to others, and may say too much.
        place = origin.source if origin.commit else "a local folder"
        commit = f" at commit {origin.commit}" if origin.commit else ""
        lines.append(f"Weights from {place}{commit}, read as {origin.family}.")
    for what, names in (
        ("Initialised afresh", origin.initialised),
        ("Left out", origin.left_out),
    ):
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            lines.append(f"{what}: {', '.join(names[:10])}{more}.")
    from blocks.models.packing import count_weights

    base = origin.source.partition("@")[0] if origin.source and origin.commit else None
    return model_card(
        repo_id,
        architecture=type(model).__name__,
        parameters=count_weights(model),
        base_model=base,
        tags=[origin.family] if origin.family else [],
        provenance=lines,
        swaps=origin.changes,
    )


def upload_folder(
    folder: Path,
    repo_id: str,
    *,
    card: str,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str | None = None,
    create_pr: bool = False,
    revision: str | None = None,
) -> str:
    """Upload a saved model, with `card` as README.md where there is none: see `push_to_hub`."""
    _check(repo_id, create_pr, revision)
    from huggingface_hub import HfApi

    from blocks.hub.failures import explained

    api = HfApi(token=token, library_name="blocks", library_version=__version__)
    with explained(repo_id):
        repo = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision and not revision.startswith("refs/"):
            api.create_branch(repo, branch=revision, exist_ok=True)
        if not api.file_exists(repo, "README.md", revision=revision):
            (folder / "README.md").write_text(card, encoding="utf-8")
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message=commit_message or "Upload with blocks",
            create_pr=create_pr,
            revision=revision,
            delete_patterns=OLD_WEIGHTS,
        )
    return done.pr_url or done.commit_url


def _check(repo_id: str, create_pr: bool, revision: str | None) -> None:
    if not is_repo_id(repo_id):
        raise HubError("is no repository's id", file=repo_id, hint='give "org/name" or "name"')
    if create_pr and revision:
        raise HubError(
            "goes to the main branch, so a revision can't be given with it", field="create_pr"
        )
