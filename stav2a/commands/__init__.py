"""Subcommands of `python -m stav2a`, one module each: add_arguments(parser), run(args) -> exit status."""
