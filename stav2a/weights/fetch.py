"""Getting files from the hub: huggingface_hub's cache, so that HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT and tokens
work as they do everywhere, downloads resume, and progress shows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .errors import WeightsError, listed
from .sources import PAPER, Source

log = logging.getLogger(__name__)
SMALL = (".json", ".jsonl")
CHECKPOINT_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


@dataclass(frozen=True)
class RemoteFile:
    path: str
    size: int | None
    sha256: str | None


def home() -> Path:
    """Where converted checkpoints lie: `stav2a` in Hugging Face's folder (HF_HOME)."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "stav2a"


def fetch(name: str) -> Path:
    """Fetch a source's files that are not in the cache yet; return the snapshot folder they lie in."""
    from huggingface_hub import hf_hub_download

    source = source_of(name)
    cached = in_cache(source)
    if cached is not None:
        return cached
    files = remote_files(source)
    log.info("%s: %d files, %s from %s", name, len(files), human(sum(f.size or 0 for f in files)), source.repo)
    folder = Path()
    for file in files:
        with hub_errors(source.repo, file.path, source.revision):
            path = Path(hf_hub_download(source.repo, file.path, revision=source.revision))
        wanted = (source.sha256 if file.path in source.files else None) or file.sha256
        if wanted:
            verify(path, wanted)
        folder = path.parents[file.path.count("/")]
    return folder


def fetch_checkpoint(repo: str, **options: Any) -> Path:
    """A whole checkpoint repository; `options` are `snapshot_download`'s: revision, token, cache_dir, …."""
    from huggingface_hub import snapshot_download

    with hub_errors(repo, revision=options.get("revision")):
        folder = Path(snapshot_download(repo, allow_patterns=CHECKPOINT_FILES, **options))
    if not (folder / "model_index.json").is_file():
        raise WeightsError(f"The repository {repo} is no checkpoint of this project: model_index.json is missing.")
    return folder


def remote_files(source: Source) -> list[RemoteFile]:
    """What of the source's repository would be fetched, with sizes and checksums as the hub tells them.

    Weights come last, so that a folder that has them has all the rest, however often the download was interrupted.
    """
    from huggingface_hub import HfApi

    with hub_errors(source.repo, revision=source.revision):
        info = HfApi().model_info(source.repo, revision=source.revision, files_metadata=True)
    files = [
        RemoteFile(item.rfilename, item.size, item.lfs.sha256 if item.lfs else None) for item in info.siblings or ()
    ]
    chosen = choose(source, [f.path for f in files])
    if not chosen:
        raise WeightsError(
            f"The repository {source.repo} holds none of {listed(source.files)} (needed for {source.name}); "
            f"it has {listed(f.path for f in files) or 'no files'}."
        )
    return sorted((f for f in files if f.path in chosen), key=lambda f: (not f.path.endswith(SMALL), f.path))


def choose(source: Source, paths: list[str]) -> set[str]:
    """The paths that match the source's patterns; of alternative weights in a folder the first pattern's."""
    chosen: set[str] = set()
    weighty: set[str] = set()
    for pattern in source.files:
        for path in sorted(p for p in paths if fnmatch(p, pattern)):
            folder = path.rpartition("/")[0]
            if not path.endswith(SMALL):
                if folder in weighty:
                    continue
                weighty.add(folder)
            chosen.add(path)
    return chosen


def in_cache(source: Source) -> Path | None:
    """The snapshot folder if the hub's cache holds what the source needs, without asking the network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(source.repo, revision=source.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    alternatives: dict[str, list[str]] = {}  # weight files by folder, each of which needs one
    for pattern in source.files:
        if not pattern.endswith(SMALL):
            place = "anywhere" if "*" in pattern else pattern.rpartition("/")[0]
            alternatives.setdefault(place, []).append(pattern)
    complete = all(any(fnmatch(path, p) for path in paths for p in patterns) for patterns in alternatives.values())
    return folder if complete else None


def repository_cached(repo: str) -> bool:
    """Whether the hub's cache holds weights of a repository in transformers' form."""
    from huggingface_hub import try_to_load_from_cache

    names = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(try_to_load_from_cache(repo, name), str) for name in names)


def verify(path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise WeightsError(
            f"{path} has the checksum {digest.hexdigest()[:12]}… instead of {sha256[:12]}…: it is damaged or another "
            "version; delete it and fetch it again."
        )


def human(size: int | None) -> str:
    if not size:
        return "size unknown"
    unit, scale = next(((u, n) for u, n in (("GB", 1e9), ("MB", 1e6)) if size >= n), ("kB", 1e3))
    return f"{size / scale:.2f} {unit}"


def source_of(name: str) -> Source:
    if name not in PAPER:
        raise WeightsError(f"There is no source {name!r}; there are {', '.join(PAPER)}.")
    return PAPER[name]


@contextmanager
def hub_errors(repo: str, file: str = "", revision: str | None = None) -> Iterator[None]:
    """huggingface_hub's errors as one sentence that says what to do."""
    from huggingface_hub import errors

    what = f"{file} of {repo}" if file else f"The repository {repo}"
    ours = repo in {source.repo for source in PAPER.values()}
    later = "then run `python -m stav2a weights fetch`" if ours else "then try again"
    try:
        yield
    except errors.GatedRepoError as error:
        raise WeightsError(
            f"{what} needs its conditions accepted: open https://huggingface.co/{repo} and log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{what} has no revision {revision}; give another one.") from error
    except errors.RepositoryNotFoundError as error:
        sentence = f"{what} does not exist or is private; if you have access to it, log in with `hf auth login`."
        raise WeightsError(sentence) from error
    except errors.OfflineModeIsEnabled as error:
        raise WeightsError(f"{what} is not in the cache and HF_HUB_OFFLINE is set; unset it, {later}.") from error
    except errors.LocalEntryNotFoundError as error:
        sentence = f"{what} is not in the cache and the hub is out of reach; check the network, {later}."
        raise WeightsError(sentence) from error
    except errors.EntryNotFoundError as error:
        raise WeightsError(f"{what} no longer exists; the repository has changed.") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        raise WeightsError(f"{what} cannot be fetched: the hub answers {status}; try again later.") from error
    except (errors.HTTPError, ConnectionError, TimeoutError) as error:
        raise WeightsError(f"{what} cannot be had: the hub is out of reach; check the network, {later}.") from error
    except OSError as error:
        raise WeightsError(f"{what} cannot be stored: {error.strerror or error}.") from error
