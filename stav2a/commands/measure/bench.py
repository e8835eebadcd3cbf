"""`python -m stav2a bench`: tables of time and memory, or one JSON object."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from dataclasses import replace
from pathlib import Path

from stav2a.models import precision

TRAINED_S = 2.56  # seconds of a stretch in the training table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="compact", help="compact, paper, tiny, a folder or a repository")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip (default: 10)")
    parser.add_argument("--steps", type=int, help="denoising steps (default: the checkpoint's)")
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="batch sizes of the network table")
    parser.add_argument(
        "--dtype", choices=precision.CHOICES, default="auto", help="of the networks (default: what `generate` takes)"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile the networks of the loop and the VAE")
    parser.add_argument("--device", help="cpu or cuda (default: cuda where there is one)")
    parser.add_argument("--lengths", type=float, nargs="*", default=[], help="more clip lengths: how cost grows")
    parser.add_argument("--step-counts", type=int, nargs="*", default=[], help="more step counts: how cost grows")
    parser.add_argument("--train", type=int, nargs="*", default=[], help="batch sizes of a training step, 2.56 s each")
    parser.add_argument("--command-line", action="store_true", help="also time a whole process of `generate`")
    parser.add_argument("--served", action="store_true", help="also start the page and time requests to its API")
    parser.add_argument("--visitors", type=int, default=8, help="with --served: requests at once (default: 8)")
    parser.add_argument("--runs", type=int, default=3, help="timed runs, of which the median counts (default: 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    import torch

    from stav2a.bench.measure import matrix_rate, peak_memory, resident_mb
    from stav2a.bench.networks import CAPTION, part_costs
    from stav2a.bench.served import served
    from stav2a.bench.training import training_cost
    from stav2a.bench.waits import command_line, waits
    from stav2a.generation.settings import Settings
    from stav2a.media.limits import DEFAULT_LIMITS, InputError

    longest = DEFAULT_LIMITS.duration_s
    if any(not 0.5 <= s <= longest for s in (args.seconds, *args.lengths)):
        raise InputError(f"A clip of the benchmark lasts 0.5 to {longest:g} s.")
    if any(not 1 <= b <= 256 for b in (*args.batch, *args.train)):
        raise InputError("A batch of the benchmark holds 1 to 256 clips.")
    if any(n is not None and not 1 <= n <= 1000 for n in (args.steps, *args.step_counts)):
        raise InputError("The benchmark takes 1 to 1000 steps.")
    if not 1 <= args.visitors <= 64:
        raise InputError("The benchmark takes 1 to 64 visitors at once.")
    if not 1 <= args.runs <= 100:
        raise InputError("The benchmark takes 1 to 100 runs.")
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    before = resident_mb()
    began = time.perf_counter()
    dtype = precision.dtype_for(device, args.dtype)
    pipe, note = load(args.model, dtype, device)
    if args.compile:
        pipe.compile()
    loading = time.perf_counter() - began
    settings = Settings(model=args.model, prompt=CAPTION, steps=args.steps)
    steps = 0 if pipe.unet is None else args.steps or pipe.defaults["steps"]
    rate = matrix_rate(device, dtype)

    result = {
        "model": args.model,
        "weights": note,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "dtype": next(name for name, kind in precision.DTYPES.items() if kind in str(dtype)),
        "compiled": args.compile,
        "clip_seconds": args.seconds,
        "steps": steps,
        "load_seconds": loading,
        "waits": waits(pipe, settings, args.seconds, args.runs),
        "command_line_seconds": command_line(args.model, args.seconds) if args.command_line else None,
        "served": served(args.model, args.seconds, args.runs, args.visitors) if args.served else None,
        "visitors": args.visitors,
        "interpreter_memory_mb": before,  # torch is imported, no model is loaded
        "matrix_gflop_per_s": rate,
        "networks": {},
        "memory_mb": {},
        "training": {},
    }
    generates = pipe.unet is not None  # `recorded` has no networks of its own to time
    if args.train and not generates:
        raise InputError(f"The model {args.model} is not trained; it plays recordings.")
    for batch in args.batch if generates else ():
        with peak_memory(device) as memory:
            costs = part_costs(pipe, args.seconds, batch, runs=args.runs)
        result["networks"][str(batch)] = {name: row(c, rate) for name, c in costs.items()}
        result["memory_mb"][str(batch)] = memory["mb"]
    result["rivals"] = rivals(pipe, args.seconds, args.runs) if generates else {}
    result["lengths"] = {f"{s:g}": waits(pipe, settings, s, 1) for s in args.lengths}
    result["step_counts"] = {str(n): waits(pipe, replace(settings, steps=n), args.seconds, 1) for n in args.step_counts}
    for batch in args.train:
        with peak_memory(device) as memory:
            step = training_cost(pipe, batch, TRAINED_S, dtype)
        result["training"][str(batch)] = {
            **row(step, rate),
            "clips_per_second": batch / step.seconds,
            "peak_memory_mb": memory["mb"],
        }
    print(json.dumps(result) if args.json else table(result))
    return 0


def row(cost, rate: float) -> dict[str, float]:
    """Columns of a network's cost; `rate` is the machine's matrix rate, GFLOP/s."""
    return {
        "seconds": cost.seconds,
        "gflop": cost.gflop,
        "gflop_per_s": cost.gflop_per_s,
        "share_of_matrix_rate": cost.gflop_per_s / rate,
    }


def load(name: str, dtype, device: str):
    """-> (pipeline, what its weights are); "paper" has random weights of the right shapes where none are there."""
    from stav2a.pipeline import STAV2APipeline

    try:
        pipe, note = STAV2APipeline.from_pretrained(name, dtype=dtype), "random" if name == "tiny" else "trained"
    except (ValueError, OSError):
        if name != "paper":
            raise
        from stav2a.bench.paper import random_paper

        pipe, note = random_paper(device, dtype), "random, of the paper's shapes"
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device), note


def rivals(pipe, seconds: float, runs: int) -> dict[str, float]:
    from stav2a.bench.networks import inputs
    from stav2a.bench.rivals import denoising_rivals

    frames, conditions, latents = inputs(pipe, seconds)
    return {name: c.seconds for name, c in denoising_rivals(pipe, conditions, latents, frames, runs).items()}


def device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    described = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", described.read_text(), re.MULTILINE) if described.is_file() else None
    return f"{found[1].strip() if found else platform.machine()}, {os.cpu_count()} cores"


def table(result: dict) -> str:
    found, clip = result["waits"], f"{result['clip_seconds']:g} s"
    lines = [
        f"{result['model']} ({result['weights']}), {result['dtype']}{', compiled' if result['compiled'] else ''}, "
        f"{result['device']}, {result['threads']} threads",
        f"{clip} clip, {result['steps']} steps; loading {result['load_seconds']:.1f} s; peak memory "
        f"{found['peak_memory_mb']:.0f} MB, {result['interpreter_memory_mb']:.0f} MB of it before loading",
        "",
        f"{'seconds since the click':24s} {'playable':>8s} {'whole':>8s}",
    ]
    names = {"first": "first clip", "following": "another clip", "edited": "onsets moved"}
    for name, said in names.items():
        lines.append(f"{said:24s} {found[name]['playable_s']:8.2f} {found[name]['whole_s']:8.2f}")
    if (whole := result["command_line_seconds"]) is not None:
        lines.append(f"{'command line':24s} {'':8s} {whole:8.2f}")
    if (page := result["served"]) is not None:
        lines += ["", f"page started: answers after {page['answers']:.2f} s; requests to its API, upload included:"]
        for name, said in names.items():
            asked = {"first": "first", "following": "another", "edited": "moved"}[name]
            lines.append(f"{said:24s} {'':8s} {page[asked]:8.2f}")
        lines.append(
            f"short clips: {page['alone']:.2f} s one after another, {page['at_once']:.2f} s each for "
            f"{result['visitors']} at once"
        )
    lines += ["", f"{'stage':22s} {'another':>8s} {'moved':>8s}"]
    for name, seconds in found["following"]["stages"].items():
        lines.append(f"{name:22s} {seconds:8.3f} {found['edited']['stages'].get(name, 0.0):8.3f}")
    lines += ["", f"matrix products: {result['matrix_gflop_per_s']:.0f} GFLOP/s at best"]
    if not result["networks"]:
        return "\n".join(lines)
    lines.append(network_head("network"))
    for batch, costs in result["networks"].items():
        lines += [network_line(name, batch, c) for name, c in costs.items()]
    lines += [f"batch {batch}: peak memory {mb:.0f} MB" for batch, mb in result["memory_mb"].items()]
    lines += ["", f"{'one guided step':30s} {'seconds':>8s} {'× ours':>7s}"]
    ours = result["rivals"]["ours"]
    for name, seconds in result["rivals"].items():
        lines.append(f"{name:30s} {seconds:8.3f} {seconds / ours:7.2f}")
    for title, unit, ways in (("clip", "s", result["lengths"]), ("steps", "", result["step_counts"])):
        if ways:
            lines += ["", f"{title:>6s} {'playable':>8s} {'whole':>8s} {'moved':>8s} {'MB':>7s}"]
        for key, one in ways.items():
            moved = one["edited"]["playable_s"]
            one, mb = one["following"], one["peak_memory_mb"]
            lines.append(f"{key + unit:>6s} {one['playable_s']:8.2f} {one['whole_s']:8.2f} {moved:8.2f} {mb:7.0f}")
        if len(ways) > 1:
            lines.append(grows(title, {float(key): one["following"]["playable_s"] for key, one in ways.items()}))
    if result["training"]:
        lines += ["", network_head("training step")]
        for batch, c in result["training"].items():
            more = f"  {c['clips_per_second']:.2f} clips/s, peak {c['peak_memory_mb']:.0f} MB"
            lines.append(network_line(f"v2a, {TRAINED_S:g} s", batch, c) + more)
    return "\n".join(lines)


def grows(title: str, points: dict[float, float]) -> str:
    from stav2a.bench.waits import slope

    at_zero, per_unit = slope(points)
    return (
        f"playable after {at_zero:.2f} s and {per_unit:.3f} s more for each {'step' if title == 'steps' else 'second'}"
    )


def network_head(title: str) -> str:
    return f"{title:22s} {'batch':>5s} {'seconds':>8s} {'GFLOP':>8s} {'GFLOP/s':>8s} {'of best':>7s}"


def network_line(name: str, batch: str, c: dict[str, float]) -> str:
    return (
        f"{name:22s} {batch:>5s} {c['seconds']:8.3f} {c['gflop']:8.1f} {c['gflop_per_s']:8.1f} "
        f"{c['share_of_matrix_rate']:7.1%}"
    )
