"""The command line: `python -m stav2a COMMAND`. Exit status 0, or 2 with one sentence for unusable input."""

from __future__ import annotations

import argparse
import getpass
import os
import signal
import sys
from importlib import import_module

COMMANDS = {  # name: (module in `commands/` with add_arguments and run, what it does)
    "generate": ("generate", "generate sound for video clips"),
    "onsets": ("onsets", "find when things happen in clips"),
    "serve": ("serve", "open the page in a browser"),
    "evaluate": ("measure.evaluate", "score generated against reference audio"),
    "report": ("measure.report", "measure a model's onsets, sound and editing on test clips"),
    "describer": ("measure.describer", "measure what the built-in describer names, and what captions bring"),
    "real-clips": ("measure.real_clips", "measure onsets on real clips by kind of event, beside chance"),
    "dials": ("measure.dials", "measure what steps and guidance cost and bring"),
    "systems": ("measure.systems", "compare all systems that are here on the same clips"),
    "retrieval": ("measure.retrieval", "measure whether picture, sound and caption find each other (TA-V2A)"),
    "steering": ("measure.steering", "measure what each scale of TA-V2A's guidance steers"),
    "bench": ("measure.bench", "measure time and memory"),
    "train": ("train", "train one stage of a model"),
    "data": ("data", "make or prepare training data"),
    "weights": ("weights", "fetch, check and convert the authors' weights"),
    "publish": ("publish", "send the page to the Hugging Face hub as a Space of your own"),
    "example": ("example", "store a clip with its sound as an example of the page"),
    "reel": ("reel", "put several results into one video, each under its title"),
    "study": ("study", "run a listening test and report its ratings"),
}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of a page of usage."""

    def error(self, message: str):
        self.exit(2, f"{message[:1].upper()}{message[1:]}; see {self.prog} --help.\n")


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    parser = Parser(prog="python -m stav2a", description="Sound for silent clips, aligned in meaning and in time.")
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    chosen = next((word for word in argv if not word.startswith("-")), None)
    module = None
    for name, (path, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if name == chosen:  # only the chosen one is imported: --help stays quick
            module = import_module(f"stav2a.commands.{path}")
            module.add_arguments(command)
    args, rest = parser.parse_known_args(argv)
    if rest and hasattr(args, "settings") and not any(word.startswith("-") for word in rest):
        args.settings += rest  # key=value words after an option, which argparse leaves over
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if args.version:
        from stav2a import __version__

        print(__version__)
        return 0
    if module is None:
        parser.print_help(sys.stderr)
        return 2
    return run(module, args)


def run(module, args: argparse.Namespace) -> int:
    from stav2a.media.limits import InputError, check_output, disk_trouble

    name_the_user()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped from outside: clean up as for Ctrl-C
    try:
        if getattr(args, "out", None):
            check_output(args.out)  # before anything is computed
        return module.run(args)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone, as in `... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if (sentence := disk_trouble(error)) is None:
            raise
        print(sentence, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def name_the_user() -> None:
    """Give a user whom the machine does not know a name: torch asks for one, and containers run as any number."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # the second from Python 3.13 on
        os.environ["USER"] = f"user{os.getuid()}"


if __name__ == "__main__":
    sys.exit(main())
