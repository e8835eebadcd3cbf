"""ffmpeg as a confined child process: no shell, no network, no playlists, a time limit, its own process group.

It is a subprocess and not an in-process binding (PyAV, OpenCV), because an untrusted file can crash or hang a
decoder: a crash then costs only one request. The binary is the one that imageio-ffmpeg installs, or that
`IMAGEIO_FFMPEG_EXE` names, or that is found on the system. imageio-ffmpeg's starts in 10 ms, Debian's in 80 ms, and
its version is pinned with the package, so results are reproducible.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from stav2a.media.limits import FULL, Cancelled, InputError, Limits, refuse_address
from stav2a.media.memory import identity_of

VIDEO_CONTAINERS = "mov,matroska,avi,flv,mpegts,mpeg,ogg,asf,gif,mxf"
AUDIO_CONTAINERS = VIDEO_CONTAINERS + ",wav,mp3,flac,aac,aiff,caf,w64"
MEMORY_BYTES = 4 << 30  # address space of one child process, on systems that can limit it
STDERR_KEPT = 1 << 18

# A last output that copies all streams to the null muxer, so that time zero is the same in all passes over a file. MPEG
# streams and FLV define no zero: ffmpeg takes the start of the earliest stream in use, which differs between passes.
ONE_ZERO = ["-map", "0:V?", "-map", "0:a?", "-c", "copy", "-f", "null", "-"]


EQUAL_LEVEL = "rematrix_maxval=1"  # of `aresample`; without it, equal stereo channels mixed to mono get 3 dB louder


@cache
def binary() -> str:
    from imageio_ffmpeg import get_ffmpeg_exe

    return get_ffmpeg_exe()


@dataclass(frozen=True)
class InputFile:
    """A file opened once. ffmpeg reads `/dev/fd/N`, so it never parses a name from outside."""

    path: Path
    url: str
    fd: int
    fds: tuple[int, ...] = ()  # that ffmpeg is to inherit

    @property
    def identity(self) -> Hashable:
        """`memory.identity_of` the file, while it is open."""
        return identity_of(self.fd)

    def arguments(self, limits: Limits, containers: str = VIDEO_CONTAINERS) -> list[str]:
        """Input options up to `-i`; options put before them (`-ss`) apply to this input too."""
        cage = ["-protocol_whitelist", "file,pipe", "-format_whitelist", containers]
        return [*cage, "-max_pixels", str(limits.pixels), "-threads", "4", "-i", self.url]


@contextlib.contextmanager
def open_source(path: str | Path, limits: Limits) -> Iterator[InputFile]:
    """Open the file at `path`; refuses anything but a regular file of acceptable size."""
    refuse_address(path)
    path = Path(path)
    try:
        # O_NONBLOCK: a named pipe in place of a file must not hang the request
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or "not a valid file name"
        raise InputError(f"The file cannot be opened: {reason.lower()}.") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise InputError("This is not a file but a folder or a device; a video file is needed.")
        if status.st_size == 0:
            raise InputError("The file is empty (0 bytes).")
        if status.st_size > limits.file_mb * 1e6:
            size_mb = status.st_size / 1e6
            raise InputError(f"The file has {size_mb:.0f} MB; at most {limits.file_mb:g} MB are accepted.")
        if os.name == "posix":
            yield InputFile(path, f"file:/dev/fd/{fd}", fd, (fd,))
        else:
            yield InputFile(path, f"file:{path.resolve()}", fd)
    finally:
        os.close(fd)


def identity(path: str | Path, limits: Limits) -> Hashable:
    """`InputFile.identity` of the file at `path`. Refuses what `open_source` refuses."""
    with open_source(path, limits) as source:
        return source.identity


@dataclass
class FFmpegProcess:
    """A running ffmpeg process. `read_into` and `lines` read its output, `finish` waits for its end."""

    process: subprocess.Popen
    timeout_s: float
    cancelled: Callable[[], bool] | None = None
    stderr: bytearray = field(default_factory=bytearray)
    stopped_by: str = ""
    threads: list[threading.Thread] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def stdout(self) -> io.RawIOBase:
        assert isinstance(self.process.stdout, io.RawIOBase), "started without a pipe"
        return self.process.stdout

    @property
    def messages(self) -> str:
        return self.stderr.decode("utf-8", "replace")

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` from standard output; returns the number of bytes, fewer only at the end of the stream."""
        filled = 0
        while filled < len(buffer):
            count = self.stdout.readinto(buffer[filled:])
            if not count:
                break
            filled += count
        return filled

    def lines(self) -> Iterator[bytes]:
        """Standard output line by line; an overlong line is cut."""
        rest = b""
        while chunk := self.stdout.read(1 << 16):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
            rest = rest[-(1 << 16) :]
        if rest:
            yield rest

    def kill(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.name == "posix":
                    os.killpg(self.process.pid, signal.SIGKILL)
                else:
                    self.process.kill()

    def finish(self) -> int:
        """Exit status; raises if the child was stopped by the time limit or by the user."""
        status = self.process.wait()
        self.done.set()
        for thread in self.threads:
            thread.join()
        if self.stopped_by == "cancelled":
            raise Cancelled
        if self.stopped_by == "timeout":
            raise InputError(f"The file could not be read within {self.timeout_s:g} s and was given up.")
        return status

    def written(self, out: Path) -> bool:
        """Whether it succeeded; raises if the disk of `out` is full."""
        status = self.finish()
        limited = status == -getattr(signal, "SIGXFSZ", 0)  # stopped by the system's limit on file sizes
        for number in FULL if status else ():
            if os.strerror(number) in self.messages or (limited and number == errno.EFBIG):
                raise OSError(number, os.strerror(number), str(out.parent))
        return status == 0

    def _watch(self) -> None:
        start = time.monotonic()
        while not self.done.wait(0.05):
            if self.cancelled is not None and self.cancelled():
                self.stopped_by = "cancelled"
            elif time.monotonic() - start > self.timeout_s:
                self.stopped_by = "timeout"
            if self.stopped_by:
                return self.kill()

    def _drain(self) -> None:
        assert self.process.stderr is not None
        while chunk := self.process.stderr.read(1 << 14):
            if len(self.stderr) < STDERR_KEPT:
                self.stderr += chunk

    def _feed(self, data: bytes | memoryview) -> None:
        assert self.process.stdin is not None
        # ffmpeg closes the pipe early when it has all it needs
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.process.stdin.write(data)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.process.stdin.close()


@contextlib.contextmanager
def start(
    arguments: list[str],
    *,
    fds: tuple[int, ...] = (),
    feed: bytes | memoryview | None = None,
    timeout_s: float,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[FFmpegProcess]:
    """Run ffmpeg with `arguments` and the bytes `feed` on standard input; it is killed on leaving the block."""
    command = [binary(), "-hide_banner", "-nostats", *([] if feed is not None else ["-nostdin"]), *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=fds,
        bufsize=0,
        start_new_session=True,
        env={**os.environ, "AV_LOG_FORCE_NOCOLOR": "1"},
    )
    _limit_memory(process.pid)
    run = FFmpegProcess(process, timeout_s, cancelled)
    targets = [(run._watch, ()), (run._drain, ())] + ([] if feed is None else [(run._feed, (feed,))])
    for target, args in targets:
        run.threads.append(threading.Thread(target=target, args=args, daemon=True))
        run.threads[-1].start()
    try:
        yield run
    finally:
        run.kill()
        process.wait()
        run.done.set()
        for thread in run.threads:
            thread.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _limit_memory(pid: int) -> None:
    """Limit the child's address space; only Linux can do that from the parent."""
    try:
        from resource import RLIMIT_AS, prlimit
    except ImportError:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        prlimit(pid, RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
