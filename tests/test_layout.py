"""The rooms of the package and their floors: imports go down only, so that each room is understood from below."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stav2a"
FLOORS = (  # from the ground to the street; a room imports rooms of lower floors only
    {"assets", "timeline", "output", "dials", "condition"},
    {"presets", "media", "denoise"},
    {"sound", "systems", "listening"},
    {"weights", "recordings"},
    {"metrics", "models"},
    {"pipeline", "data"},
    {"generation"},
    {"evaluation", "train", "bench", "ui"},
    {"commands", "__main__"},
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}
MOST_FILES = 16  # of Python in one folder, `__init__.py` not counted


def modules() -> dict[str, Path]:
    files = {path.relative_to(ROOT).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in files.items()}


def imported(module: str, path: Path, known: set[str]) -> set[str]:
    """Modules of the package that a module imports, at its top or within a function."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & known
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= names & known or {base} & known
    return found - {"stav2a"}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def arrows() -> list[tuple[str, str]]:
    known = modules()
    return [(name, other) for name, path in known.items() for other in imported(name, path, set(known))]


def test_every_room_has_a_floor():
    rooms = {room(name) for name in modules()} - {"__init__"}
    assert rooms == set(FLOOR)
    assert len(rooms) <= 24 and len(FLOORS) <= 9


def test_imports_go_down_only():
    upward = [
        f"{one} imports {other}"
        for one, other in arrows()
        if room(one) not in (room(other), "__init__") and FLOOR[room(one)] <= FLOOR[room(other)]
    ]
    assert not upward, "\n".join(upward)


def test_files_import_each_other_without_a_circle():
    graph: dict[str, set[str]] = {}
    for one, other in arrows():
        graph.setdefault(one, set()).add(other)
    TopologicalSorter(graph).prepare()  # CycleError names the files


def test_every_command_line_is_in_commands():
    """One place and one form for all entry points, `python -m stav2a COMMAND`."""
    parsers = {name for name, path in modules().items() if "import argparse" in path.read_text(encoding="utf-8")}
    assert {room(name) for name in parsers} <= {"commands", "__main__"}, sorted(parsers)


@pytest.mark.parametrize("name", ["Job", "Stage", "Plan", "Clip", "Run", "Settings", "Source", "Take", "Request"])
def test_one_class_has_the_name(name):
    owners = [
        module
        for module, path in modules().items()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    assert len(owners) == 1, owners


def test_an_upward_import_would_be_seen(tmp_path):
    """The reading of imports itself: absolute, relative, late, and of names rather than modules."""
    known = {"stav2a.media", "stav2a.media.audio", "stav2a.ui.page", "stav2a.pipeline"}
    path = tmp_path / "mux.py"
    path.write_text("from .audio import read\nfrom stav2a import pipeline\ndef f():\n    import stav2a.ui.page\n")
    assert imported("stav2a.media.mux", path, known) == {"stav2a.media.audio", "stav2a.pipeline", "stav2a.ui.page"}


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in PACKAGE.rglob("*.py")}),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_folders_are_not_heaps(folder):
    files = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= MOST_FILES, f"{len(files)} files"
