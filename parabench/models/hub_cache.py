"""One file at a time of a hub's repository: in the cache, or downloaded into it.

The transport, the cache and the log-in are huggingface_hub's; it is imported by the functions that
need it, so that importing this module costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from parabench.contracts import UserError


def hub_file(name: str, commit: str, file: str, again: bool = False) -> Path:
    """One file of a commit in the cache, downloaded if it is not there, or if ``again``.

    ``name`` is the repository. Raises UserError where the hub does not deliver it.
    """
    from huggingface_hub import hf_hub_download

    # asking the cache first keeps the hub out of every run after the first
    cached = None if again else cached_file(name, commit, file)
    if cached is not None:
        return cached
    with hub_errors_as_user_errors(name):
        downloaded = hf_hub_download(
            name,
            file,
            revision=commit,
            force_download=again,
        )
    return Path(downloaded)


def cached_file(name: str, commit: str, file: str) -> Path | None:
    """One file of a commit, where it is in the cache; asks no hub."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file, revision=commit)
    # no string is a file that the hub said not to exist, or one never asked for
    return Path(found) if isinstance(found, str) else None


def config_file(name: str, commit: str) -> Path:
    """The configuration of one commit, fetched if it is not in the cache; no weights."""
    return hub_file(name, commit, "config.json")


def records_folder(name: str) -> Path:
    """Where this program keeps its records of a repository, beside its blobs in the hub cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "parabench"


def resolved_record(name: str, revision: str | None) -> Path:
    """The file that keeps the commit which a revision was resolved to."""
    # a branch may have a slash in its name, a file may not
    return records_folder(name) / "refs" / quote(revision or "main", safe="")


def git_id(path: Path) -> str:
    """The id that git, and so a hub, gives to the content of a file."""
    data = path.read_bytes()
    # git hashes a header with the length first (git-hash-object); no secret depends on SHA-1 here
    header = b"blob %d\0" % len(data)
    return hashlib.sha1(header + data, usedforsecurity=False).hexdigest()


@contextmanager
def hub_errors_as_user_errors(name: str) -> Iterator[None]:
    """Turn whatever the hub client raises into what was found and what to do.

    ``name`` is the repository. Raises UserError in place of it; no header and no token is
    repeated.
    """
    from huggingface_hub import constants, errors

    kept = "run the same command again once the hub can be reached; what has arrived whole is kept"
    try:
        yield
    except errors.GatedRepoError:
        found = "its owner asks for consent first"
        mend = f"accept at {constants.ENDPOINT}/{name}, then: hf auth login"
    except errors.RevisionNotFoundError:
        found = "no such revision there (any more)"
        mend = "parabench models lock --update takes the present one"
    except errors.RepositoryNotFoundError:
        # for one that may not be seen, the hub says the same as for none
        found = "no such repository, or a private one"
        mend = "check the name; for a private one: hf auth login"
    except errors.OfflineModeIsEnabled:
        found = "offline mode, and it is not in the cache"
        mend = "unset HF_HUB_OFFLINE, then: parabench models fetch"
    except Exception as error:
        # httpx's, OSError and its kin: each means that the hub did not deliver
        reason = str(error).strip() or "no reason given"
        # the first line alone: what follows may be a page of HTML
        found = f"{type(error).__name__}: {reason.splitlines()[0]}"
        mend = kept
    else:
        return
    raise UserError(f"get the model {name!r} from {constants.ENDPOINT}", found, mend=mend)
