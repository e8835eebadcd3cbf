"""What a dry run found, and as a person reads it: tensors, cost at full size, and how the batch is shared."""

from __future__ import annotations

from dataclasses import dataclass, field

from stav2a.media.limits import InputError
from stav2a.train.runtime.config import TrainConfig
from stav2a.train.runtime.machine import shares

from .cost import BYTES_A_PARAMETER, DEVICES, REACHED, Cost

CHECKS = ("shapes", "step", "validation", "resume", "export", "sample")
PROCESSES = (1, 2, 4, 8, 16)


@dataclass
class Report:
    """shapes: of tensors by name; losses: of the two steps; done: of `CHECKS`; data, parts: what was used of them."""

    stage: str
    config: TrainConfig
    data: str = ""
    parts: str = ""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    cost: Cost | None = None
    losses: list[float] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    seconds: float = 0.0


def text(report: Report, processes: int = 1) -> str:
    """What a person reads before renting machines."""
    config, cost = report.config, report.cost
    width = max(map(len, report.shapes), default=10)
    lines = [f"stage {report.stage}, model {config.model}", f"data: {report.data}", f"parts: {report.parts}"]
    lines += ["", f"{'tensor':{width}s}  shape"]
    lines += [f"{name:{width}s}  {list(shape)}" for name, shape in report.shapes.items()]
    lines += [
        "",
        f"At full size, calculated ({BYTES_A_PARAMETER} bytes a trained parameter; {REACHED:.0%} of a device's peak):",
        f"{cost.parameters / 1e6:.1f} M parameters learn, {cost.frozen / 1e6:.1f} M rest; "
        f"{cost.flop / 1e9:.1f} GFLOP and {cost.activation_bytes / 1e9:.3f} GB of fp32 activations a sample and step",
        "",
        f"{'processes':>9s} {'accumulation':>12s} {'at once':>8s} {'batch':>6s} {'GB fp32':>8s} {'16 bits':>8s}  "
        + "  ".join(f"s a step, {device}" for device in DEVICES),
    ]
    for count in sorted({*PROCESSES, processes}):
        try:
            accumulated, at_once = shares(config, count)
        except InputError as error:
            lines.append(f"{count:9d} {error}")
            continue
        seconds = [cost.seconds(at_once * accumulated, rate) for rate in DEVICES.values()]
        lines.append(
            f"{count:9d} {accumulated:12d} {at_once:8d} {config.batch_size:6d} {cost.memory_gb(at_once):8.1f} "
            f"{cost.memory_gb(at_once, 16):8.1f}  "
            + "  ".join(f"{s:{len(device) + 10}.2f}" for s, device in zip(seconds, DEVICES, strict=True))
        )
    lines += [
        "",
        f"two steps: loss {report.losses[0]:.5f}, {report.losses[1]:.5f}; validation "
        + ", ".join(f"{name} {value:.4f}" for name, value in report.measures.items()),
        f"done in {report.seconds:.1f} s: {', '.join(report.done)}",
    ]
    return "\n".join(lines)
