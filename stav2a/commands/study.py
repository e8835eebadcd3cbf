"""`python -m stav2a study DIR`: a blind listening test on given files of several systems.

Repeats the paper's Table II on anyone's outputs: DIR holds one folder a system, as `collection.py` describes.
Everyone who opens the page is a listener with a random id; answers go to one SQLite file as they are given, and
a test that was left is taken up again in the same browser.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stav2a.listening.collection import Collection, left_out, read_folder
from stav2a.listening.design import ANCHORS, RATED, TESTS, Design
from stav2a.listening.store import RatingError, RatingStore
from stav2a.media.limits import InputError

MOST_SOUNDS = 12  # side by side, anchors included


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="one folder a system in it, equal file names are one clip")
    parser.add_argument("--test", choices=TESTS, default="rating", help="four scales to 100, to 5 (mos), AB, ABX")
    parser.add_argument("--original", metavar="NAME", help="folder of the clips' own sounds, the reference")
    parser.add_argument(
        "--hidden-reference", action=argparse.BooleanOptionalAction, default=True,
        help="the original among the systems (default: yes, where there is one)",
    )  # fmt: skip
    parser.add_argument("--open-reference", action="store_true", help="show the original by name as well")
    parser.add_argument(
        "--anchor", choices=ANCHORS, action="append", default=[],
        help="degraded original among the systems: 3.5 kHz low-pass, shifted by 1.3 s (may be given twice)",
    )  # fmt: skip
    parser.add_argument("--repeats", type=float, default=0.1, help="share of trials that come twice (default: 0.1)")
    parser.add_argument("--trials-per-pair", type=int, default=1, help="of AB and ABX, per clip (default: 1)")
    parser.add_argument("--name", help="name the answers are filed under (default: the folder's)")
    parser.add_argument("--ratings", type=Path, help="SQLite file (default: DIR/ratings.sqlite)")
    parser.add_argument("--show-results", action="store_true", help="show results to who has finished")
    parser.add_argument("--host", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, help="port to listen on (default: the first free from 7860)")
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's relay")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--results", action="store_true", help="print the results and end")
    group.add_argument("--export", type=Path, metavar="CSV", help="write all answers and end")
    group.add_argument("--import", type=Path, metavar="CSV", dest="import_", help="add answers and end")
    group.add_argument("--delete-rater", metavar="ID", help="remove the answers that go by this id and end")
    group.add_argument("--sync", metavar="REPO", help="write the answers to this dataset on the hub and end")


def run(given: argparse.Namespace) -> int:
    try:
        if not given.folder.is_dir():
            raise InputError(f"There is no folder {given.folder}.")
        store = RatingStore(given.ratings or given.folder / "ratings.sqlite")
        if _maintenance(given, store):
            return 0
        collection = read_folder(given.folder, given.name, given.original)
        design = design_of(given)
        check_size(collection, design)
    except (InputError, RatingError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for name in left_out(given.folder, collection):
        print(f"left out, since a system lacks it: {name}", file=sys.stderr)
    from stav2a.listening.hub import sync_from_environment
    from stav2a.ui.serve import machine
    from stav2a.ui.serve.launch import served
    from stav2a.ui.study_page import create_study, launch_options

    machine.prepare()
    sync = sync_from_environment(store.path)
    demo = create_study(collection, store, design, given.show_results, sync)
    host = given.host or "127.0.0.1"
    options = {"server_name": host, "server_port": given.port, "share": given.share, **launch_options()}
    served(demo, options, sync)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV UTF-8.") from error


def design_of(given: argparse.Namespace) -> Design:
    anchors = tuple(dict.fromkeys(given.anchor))
    return Design(
        given.test, given.hidden_reference, given.open_reference, anchors, given.repeats, given.trials_per_pair
    )


def check_size(collection: Collection, design: Design) -> None:
    """Refuse a screen with too many sounds to rate, and pairs without sounds."""
    sounds = max(len(trial.presented) for trial in collection.plan(design)) if _pairs(collection, design) else 0
    if sounds == 0:
        raise InputError("AB and ABX compare pairs: at least two systems, or one and an original, are needed.")
    if sounds > MOST_SOUNDS:
        raise InputError(f"One trial would hold {sounds} sounds; at most {MOST_SOUNDS} can be rated at once.")


def _maintenance(given: argparse.Namespace, store: RatingStore) -> bool:
    """What needs the ratings alone; whether that was asked for."""
    from stav2a.listening.export import from_csv, to_csv

    name = given.name or given.folder.resolve().name
    if given.results:
        print(_printed(store, name))
    elif given.export:
        given.export.write_text(to_csv(store, name), encoding="utf-8")
    elif given.import_:
        print(f"{from_csv(store, _read(given.import_))} new trials")
    elif given.delete_rater:
        print("deleted" if store.delete_public(given.delete_rater) else "no such rater")
    elif given.sync:
        from stav2a.listening.hub import upload

        print(upload(store, given.sync, name))
    else:
        return False
    return True


def _printed(store: RatingStore, study: str) -> str:
    from stav2a.listening import statistics

    ratings, choices = store.ratings(study), store.choices(study)
    tables = {}
    for test, best in RATED.items():
        own = ratings[ratings.test == test]
        tables |= {
            f"Mean ± 95 % confidence interval, 1 to {best}": statistics.score_table(own),
            f"Paired tests, 1 to {best}": statistics.paired_tests(own),
            f"Listeners, 1 to {best}": statistics.consistency(own),
        }
    tables |= {
        "ABX": statistics.abx_table(choices),
        "AB": statistics.ab_table(choices),
    }
    parts = [
        f"{title}\n{table.to_string(index=False, float_format='%.3f')}"
        for title, table in tables.items()
        if not table.empty
    ]
    return "\n\n".join(parts) or "No answers yet."


def _pairs(collection: Collection, design: Design) -> bool:
    clip = collection.clips[0]
    return design.test in RATED or len(clip.systems) + (clip.original is not None) * design.hidden_reference > 1
