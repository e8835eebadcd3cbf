"""Work shared by the processes of `accelerate launch` or torchrun."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta


class Processes:
    """Rank and number of processes. Without a launcher there is one process."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self._state = None
        if self.count > 1:
            import torch
            from accelerate import PartialState
            from accelerate.utils import parse_flag_from_env

            cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
            # the wait at the end is as long as the longest share, not the half hour that is usual
            self._state = PartialState(cpu=cpu, timeout=timedelta(days=30))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def device(self) -> str | None:
        """The GPU of this process, or None for the default."""
        return None if self._state is None else str(self._state.device)

    def share(self, items: Sequence) -> Sequence:
        """Every n-th item, so that the shares have equal size and cover every item once."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Wait until all processes reach this point."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def gather(self, value: int) -> list[int]:
        """The values of all processes by rank. Waits for all of them."""
        if self._state is None:
            return [value]
        from accelerate.utils import gather_object

        return gather_object([value])
