"""Time and memory of models: `python -m stav2a bench`."""

from .cli import add_arguments, run

__all__ = ["add_arguments", "run"]
