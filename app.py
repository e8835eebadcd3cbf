"""The page as a Space or `python app.py` starts it; `python -m stav2a serve` is the same."""

from __future__ import annotations

import argparse
import sys

from stav2a.__main__ import run
from stav2a.commands import serve
from stav2a.ui.page import create_demo

__all__ = ["create_demo"]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    serve.add_arguments(parser)
    sys.exit(run(serve, parser.parse_args()))
