"""`python -m stav2a publish OWNER/NAME`: the page as a Space of the Hugging Face hub."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stav2a.assets import ROOT
from stav2a.media.limits import InputError
from stav2a.weights.fetch import human
from stav2a.weights.reach import hub_name, hub_reachable

SENT = ("app.py", "README.md", "LICENSE", "requirements.txt", "packages.txt", "assets/*", "stav2a/*")
LEFT_OUT = ("*/__pycache__/*", "*.pyi", "*/.*")  # what Python, Gradio and systems leave in folders


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("space", metavar="OWNER/NAME", help="the Space: an account or organization, and a name")
    parser.add_argument("--update", action="store_true", help="replace all files of a Space that is already there")
    parser.add_argument("--private", action="store_true", help="make a Space that only its owner sees")
    parser.add_argument("--hardware", help="of a new Space, such as cpu-basic or zero-a10g (default: the hub's)")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and ask no network")


def run(args: argparse.Namespace) -> int:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(args.space)
    except HFValidationError as error:
        raise InputError(
            f"{args.space!r} is no name of a Space: only letters, digits, -, _ and . are allowed."
        ) from error
    if "/" not in args.space:
        raise InputError(f"{args.space!r} names no owner: write OWNER/NAME, with your account or organization first.")
    files = list(sent(ROOT))
    if Path("app.py") not in files:
        raise InputError(
            "Run this in a checkout of the repository: a Space needs its app.py, which pip does not install."
        )
    size = sum((ROOT / file).stat().st_size for file in files)
    if args.dry_run:
        for top in dict.fromkeys(file.parts[0] for file in files):
            inside = [file for file in files if file.parts[0] == top]
            print(f"{top:18} {len(inside):5} {human(sum((ROOT / file).stat().st_size for file in inside)):>12}")
        print(f"{'together':18} {len(files):5} {human(size):>12}")
        return 0
    if get_token() is None:
        raise InputError("No account is logged in: run `hf auth login`, or set HF_TOKEN to a token that may write.")
    if not hub_reachable():
        raise InputError(f"{hub_name()} is out of reach: check the network, the proxy and HF_HUB_OFFLINE.")
    api = HfApi()
    with hub_errors(args.space):
        address = api.create_repo(
            args.space, repo_type="space", space_sdk="gradio", space_hardware=args.hardware,
            private=args.private or None, exist_ok=args.update,
        )  # fmt: skip
        print(f"{len(files)} files, {human(size)}, to {address}", flush=True)
        # the hub's .gitattributes stays, whatever is deleted: it says which files are stored as large ones
        api.upload_folder(
            repo_id=args.space, repo_type="space", folder_path=ROOT, commit_message="Publish STA-V2A",
            allow_patterns=list(SENT), ignore_patterns=list(LEFT_OUT), delete_patterns="*",
        )  # fmt: skip
    print(f"Sent. The Space is built now, which takes some minutes: {address}")
    return 0


def sent(root: Path) -> Iterator[Path]:
    """The files of a checkout that a Space needs, relative to `root`, as `upload_folder` picks them."""
    from huggingface_hub.utils import filter_repo_objects

    here = (root / pattern for pattern in SENT)
    found = (file for at in here for file in (sorted(at.parent.rglob("*")) if at.name == "*" else [at]))
    names = (file.relative_to(root).as_posix() for file in found if file.is_file())
    return (Path(name) for name in filter_repo_objects(names, allow_patterns=SENT, ignore_patterns=LEFT_OUT))


@contextmanager
def hub_errors(space: str) -> Iterator[None]:
    """What the hub refuses, as one sentence that says what to do."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        yield
    except HfHubHTTPError as error:
        reason = one_line(error.server_message or "")
        because = f" ({reason})" if reason else ""
        status = error.response.status_code
        raise InputError(REFUSED.get(status, OTHERWISE).format(space=space, because=because, status=status)) from error
    except ValueError as error:
        if "metadata in README.md" not in str(error):
            raise
        raise InputError(f"The hub does not take the front matter: {one_line(str(error))}.") from error
    except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: of the transfer of large files
        raise InputError(f"The upload to {space} broke off; run it again with --update to send the rest.") from error


def one_line(message: str) -> str:
    return " ".join(message.split()).rstrip(".")


REFUSED = {  # by the hub's status
    400: "The hub refuses {space}{because}.",
    401: "The hub does not accept the token{because}: run `hf auth login` with a token that may write.",
    402: "The hub makes no Space of that hardware without a paid plan{because}: try --hardware zero-a10g.",
    403: "This account may not write to {space}{because}: use your own name, or a token that may write there.",
    409: "{space} is already a Space: choose another name, or replace all its files with --update.",
}
OTHERWISE = (
    "The hub answers {status} for {space}{because}: try again later, with --update if the Space is there by then."
)
