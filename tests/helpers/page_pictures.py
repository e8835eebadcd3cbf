"""The pictures of docs/page.md: the page with a shipped example, on a desktop and on a phone.

python tests/helpers/page_pictures.py docs
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]

from browsing import chromium  # noqa: E402
from page_server import served  # noqa: E402
from PIL import Image  # noqa: E402

from stav2a.generation.engine import Engine  # noqa: E402

DEVICES = {
    "page.png": {"viewport": {"width": 1280, "height": 720}},
    "page_phone.png": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
LOWEST = {"page.png": "#figure", "page_phone.png": "#onset-editor"}  # what the picture ends with
MARGIN, COLOURS = 16, 128


def take(page, lowest: str) -> Image.Image:
    page.locator("#examples button").nth(1).click()
    page.wait_for_selector("#result-video video")
    page.wait_for_function("document.querySelector('.fv img')?.naturalWidth > 0")
    page.evaluate("document.querySelectorAll('video').forEach((video) => { video.pause(); video.currentTime = 1.2; })")
    page.wait_for_timeout(1500)
    page.evaluate("scrollTo(0, 0)")
    box = page.locator(lowest).bounding_box()
    height = round(box["y"] + box["height"] + MARGIN)
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    page.wait_for_timeout(500)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder) / "runs", Engine("compact")) as (url, _),
        chromium() as browser,
    ):
        for name, device in DEVICES.items():
            page = browser.new_context(color_scheme="light", **device).new_page()
            page.set_default_timeout(180_000)
            page.goto(url)
            page.wait_for_selector("#generate:not([disabled])")
            picture = take(page, LOWEST[name]).quantize(COLOURS, dither=Image.Dither.NONE)
            picture.save(out / name, optimize=True)


if __name__ == "__main__":
    main()
