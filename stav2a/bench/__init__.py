"""What time and memory go into: `python -m stav2a bench`."""

from .cli import add_arguments, run

__all__ = ["add_arguments", "run"]
