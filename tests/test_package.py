"""What a wheel is made of: requirements, files that ship beside the code, and the command."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="part of Python from 3.11 on")
from packaging.requirements import Requirement  # noqa: E402

from stav2a.assets import ASSETS, PACKAGE, ROOT, shipped  # noqa: E402

CHECKOUT = Path(__file__).parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
HATCH = PROJECT["tool"]["hatch"]


def requirements(file: str) -> list[str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in (CHECKOUT / file).read_text().splitlines())
    return [line for line in lines if line]


def test_the_package_asks_for_what_a_space_installs():
    (file,) = HATCH["metadata"]["hooks"]["requirements_txt"]["files"]
    names = {Requirement(line).name for line in requirements(file)}
    assert file == "requirements.txt" and {"torch", "torchaudio", "gradio", "diffusers", "moviepy"} <= names
    assert requirements("requirements-test.txt") == ["-e .[dev]"]


def test_extras_are_requirements():
    extras = PROJECT["project"]["optional-dependencies"]
    assert {"train", "eval", "dev"} <= set(extras)
    assert all(Requirement(line).name for lines in extras.values() for line in lines)


def test_files_that_ship_are_found_where_the_wheel_puts_them():
    included = HATCH["build"]["targets"]["wheel"]["force-include"]
    for source, target in included.items():
        assert (CHECKOUT / source).is_dir()
        assert Path(target).parts[:2] == ("stav2a", "_files") and Path(target).name == source
    assert ROOT == CHECKOUT and ASSETS == CHECKOUT / "assets" and PACKAGE == CHECKOUT / "stav2a"
    assert shipped("configs/tiny/vae.yaml") == Path("configs/tiny/vae.yaml") or (ROOT / "configs").is_dir()


def test_every_file_of_the_page_is_in_the_package():
    """hatch takes all files of the package's folders; what the page reads must lie in them."""
    named = re.compile(r'"([\w./]+\.(?:css|js|html|csv))"')
    for module in PACKAGE.rglob("*.py"):
        for name in named.findall(module.read_text(encoding="utf-8")):
            if "/" not in name and name.endswith((".css", ".js", ".html")):
                assert list(PACKAGE.rglob(Path(name).name)), f"{module.name} reads {name}"


def test_the_command_is_a_function():
    module, _, name = PROJECT["project"]["scripts"]["stav2a"].partition(":")
    assert callable(getattr(import_module(module), name))


def test_rooms_under_type_checks_exist():
    checked = PROJECT["tool"]["mypy"]["files"]
    assert len(checked) >= 10 and all((CHECKOUT / path).exists() for path in checked)
