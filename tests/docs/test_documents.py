"""The documents: links and paths lead somewhere, and a number of the README stands on the page it links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import stav2a

ROOT = Path(__file__).parents[2]
CARD = ROOT / "assets" / "compact" / "README.md"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", CARD, *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
PATH = re.compile(r"(?<![\w/])((?:stav2a|tests|configs|assets|docs)/[\w./-]*\w)")
# the example of docs/systems.md
TO_BE_MADE = {"stav2a/systems/mean_frame.py", "stav2a/systems/mean_frame.yaml", "configs/compact/mean-frame.yaml"}
NUMBER = re.compile(r"[+−-]?\d+\.\d+")


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def anchors(document: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and the hub make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def section(document: Path, anchor: str) -> str:
    """The text under the heading of that anchor, up to the next heading of its level or above."""
    lines = text_of(document).splitlines()
    heads = [(i, line) for i, line in enumerate(lines) if re.match(r"#+ ", line)]
    for number, (i, line) in enumerate(heads):
        if re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") == anchor:
            level = len(line) - len(line.lstrip("#"))
            ends = [j for j, other in heads[number + 1 :] if len(other) - len(other.lstrip("#")) <= level]
            return "\n".join(lines[i : ends[0] if ends else None])
    raise AssertionError(f"{document.name} has no heading #{anchor}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document):
    lost = []
    for target in LINK.findall(FENCE.sub("", text_of(document))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (document.parent / place).resolve() if place else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            lost.append(target)
    assert not lost


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_named_files_exist(document):
    text = re.sub(r"https?://\S+", "", text_of(document))
    named = {name for name in PATH.findall(text) if "." in Path(name).name or (ROOT / name).suffix} - TO_BE_MADE
    missing = [name for name in named if not (ROOT / name).exists() and not re.search(r"[A-Z]{4}|my_", name)]
    assert not missing


def test_numbers_of_the_readme_stand_where_it_links_to():
    text = section(ROOT / "README.md", "three-numbers")
    rows = [line for line in text.splitlines() if line.startswith("|") and LINK.search(line)]
    assert len(rows) == 3
    for row in rows:
        place, _, anchor = LINK.findall(row)[-1].partition("#")
        there = {number.lstrip("+") for number in NUMBER.findall(section(ROOT / place, anchor))}
        claimed = {number.lstrip("+") for number in NUMBER.findall(LINK.sub("", row))}
        assert claimed and claimed <= there, row


def test_speeds_of_the_readme_stand_where_it_links_to():
    table = section(ROOT / "README.md", "models")
    links = re.findall(r"\[([^\]]+)\]\((docs/\w+\.md)#([\w-]+)\)", table)
    assert len(links) >= 3
    for words, place, anchor in links:
        there = section(ROOT / place, anchor)
        for number in re.findall(r"\d+\.\d+", words):
            found = [float(n) for n in re.findall(r"\d+\.\d+", there)]
            assert any(abs(float(number) - n) < 0.05 for n in found), (
                f"{number} of {words!r} is not in {place}#{anchor}"
            )


def test_commands_that_train_compact_are_the_same_in_the_card_and_on_the_page():
    blocks = re.findall(r"```\n(.*?)```", section(CARD, "train-it"), re.DOTALL)
    assert len(blocks) == 1 and blocks[0].count("stav2a train") == 7
    assert blocks[0] in section(ROOT / "docs" / "training.md", "compact-from-scratch")


def test_a_figure_of_compact_stands_once():
    """The card has the main figures of `report`, docs/results.md the others of the same run."""
    rows = {line for line in text_of(CARD).splitlines() if re.match(r"\| .+ \| -?\d", line)}
    assert len(rows) >= 10
    assert not rows & set(text_of(ROOT / "docs" / "results.md").splitlines())


def test_release_files_tell_the_version_of_the_package():
    citation = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert citation["version"] == stav2a.__version__
    assert len(citation["references"]) == 4
    assert f"## {stav2a.__version__}" in text_of(ROOT / "CHANGELOG.md")


def test_every_room_is_in_the_table_of_rooms():
    table = section(ROOT / "CONTRIBUTING.md", "where-things-live")
    rooms = [path.name + "/" for path in (ROOT / "stav2a").iterdir() if (path / "__init__.py").is_file()]
    rooms += [path.name for path in (ROOT / "stav2a").glob("[!_]*.py")]
    assert not [room for room in rooms if f"`{room}`" not in table]
