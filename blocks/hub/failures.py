"""What the Hub client raises, said in our own errors: what happened and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import ENOSPC

from huggingface_hub import errors as hub

from blocks.errors import BlocksError, HubError, printable
from blocks.hub.missing import beside

ONLINE = "check the connection, HF_ENDPOINT and proxy settings"
OFFLINE = "unset HF_HUB_OFFLINE and local_files_only, and load it once while online"


@contextmanager
def explained(source: str, filename: str | None = None) -> Iterator[None]:
    """Turn every exception of the body into a HubError about `source`."""
    try:
        yield
    except BlocksError:
        raise
    except Exception as error:  # the client also lets those of its HTTP library through
        raise _explain(error, source, filename) from error


def unreachable(error: BaseException) -> bool:
    """Whether the Hub gave no answer, as against one we don't like."""
    if isinstance(error, hub.HfHubHTTPError):
        return error.response.status_code >= 500
    # The client has changed its HTTP library before; the name of this class has stayed.
    return isinstance(error, hub.OfflineModeIsEnabled) or any(
        kind.__name__ == "TransportError" for kind in type(error).__mro__
    )


def _explain(error: Exception, source: str, filename: str | None) -> HubError:
    what = printable(filename) if filename else "it"

    def told(reason: str, hint: str | None = None) -> HubError:
        return HubError(reason, file=source, hint=hint)

    if isinstance(error, hub.LocalEntryNotFoundError | hub.RevisionResolutionError):
        cause = error.__cause__
        if cause is None or isinstance(cause, hub.OfflineModeIsEnabled):
            return told(
                f"{what} is not in the local cache, and the Hub is switched off or out of reach",
                OFFLINE,
            )
        if isinstance(cause, hub.FileMetadataError):
            return told(f"the server's answer is not that of a Hub: {_line(cause)}", ONLINE)
        return told(f"{what} is not in the local cache, and the Hub gave no answer", ONLINE)
    if isinstance(error, hub.OfflineModeIsEnabled):
        return told(f"{what} needs the Hub, which is switched off", OFFLINE)
    if isinstance(error, hub.GatedRepoError):
        return told(
            "is gated: its owner lets in those who have accepted its terms",
            "accept them on the model's page, then give `token=` or run `hf auth login`",
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return told(
            "the repository has no such revision", "give a branch, tag, refs/pr/N or commit"
        )
    if isinstance(error, hub.EntryNotFoundError):
        return told(f"has no {what}")
    if isinstance(error, hub.RepositoryNotFoundError):
        return told(
            "there is no such repository or folder, or it is private",
            "check the spelling; for a private one give `token=` or run `hf auth login`"
            + beside(source),
        )
    if isinstance(error, hub.LocalTokenNotFoundError):
        return told("no token is saved on this machine", "run `hf auth login` or give `token=`")
    if unreachable(error):
        return told(f"the Hub gave no answer for {what}: {_line(error)}", ONLINE)
    if isinstance(error, hub.HfHubHTTPError):
        return _refused(error, told)
    if isinstance(error, OSError) and error.errno == ENOSPC:
        return told(f"no space is left for {what}", "free some, or give another cache_dir")
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return told(f"the download of {what} was cut short", "try again")
    return told(f"{what} failed: {type(error).__name__}: {_line(error)}")


def _refused(error: hub.HfHubHTTPError, told: Callable[..., HubError]) -> HubError:
    status = error.response.status_code
    if status == 401:
        return told(
            "the token is not accepted (401)", "give a valid `token=`, or run `hf auth login`"
        )
    if status == 403:
        return told("access is refused (403)", "the token lacks the permission for this")
    if status == 429:
        return told("too many requests (429)", "wait some minutes, or give a `token=`")
    return told(f"the Hub answered {status}: {_line(error)}")


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[0] if lines else type(error).__name__)
