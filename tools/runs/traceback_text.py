"""A traceback as text: the frames of the person's own code, the innermost first, and the error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_START: Final = "Traceback (most recent call last):"
_FRAME: Final = re.compile(r'^\s+File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$')
_FOREIGN: Final = re.compile(r"site-packages/|dist-packages/|/lib/python3|^<|(^|/)ephemeral_dask/")
"""Files that are not the person's own: libraries, the standard library and this project's runtime."""
_COPY: Final = re.compile(r"^/(?:app|tmp/[^/]+)/")
"""Where the image, or Prefect's copy of it, has the flow's folder."""
_ERROR_LINES: Final = 12
"""Lines of an error's own text that are shown."""


@dataclass(frozen=True)
class Frame:
    """One call: where it is and what stands there."""

    place: str
    code: str

    @property
    def is_own(self) -> bool:
        return not _FOREIGN.search(self.place)


@dataclass(frozen=True)
class Trace:
    """One traceback.

    Attributes:
        frames: calls, the outermost first.
        error: the exception and its text.

    """

    frames: Sequence[Frame]
    error: str


def read(text: str) -> list[Trace]:
    """Return the tracebacks of a chain of exceptions in a text, the cause first; none where there is no traceback."""
    return [_trace(part.splitlines()) for part in text.split(_START)[1:]]


def show(text: str) -> list[str]:
    """Return the lines that a person needs of a chain of exceptions: own frames, the innermost first, and the error."""
    traces = read(text)
    if not traces:
        return []
    trace = next((each for each in reversed(traces) if any(frame.is_own for frame in each.frames)), traces[-1])
    return [*_frames(trace), *trace.error.splitlines(), *_causes(traces, trace)]


def _frames(trace: Trace) -> Iterator[str]:
    for frame in reversed([each for each in trace.frames if each.is_own]):
        yield _COPY.sub("", frame.place)
        if frame.code:
            yield f"    {frame.code}"
    if trace.frames and not trace.frames[-1].is_own:
        yield f"raised in {trace.frames[-1].place.rpartition('-packages/')[2]}"


def _causes(traces: Sequence[Trace], shown: Trace) -> list[str]:
    return [
        f"chained with: {each.error.splitlines()[0]}" for each in traces if each.error != shown.error and each.error
    ]


def _trace(lines: Sequence[str]) -> Trace:
    frames: list[Frame] = []
    error: list[str] = []
    for line in lines:
        if match := _FRAME.match(line):
            frames.append(Frame(f"{match['file']}:{match['line']} in {match['function']}", ""))
        elif error or (line and not line[0].isspace()):
            if _is_connective(line):
                break
            error.append(line)
        elif frames and not frames[-1].code and line.strip():
            frames[-1] = Frame(frames[-1].place, line.strip())
    while error and not error[-1].strip():
        error.pop()
    return Trace(tuple(frames), "\n".join(error[:_ERROR_LINES]))


def _is_connective(line: str) -> bool:
    return line.startswith(("The above exception was the direct cause", "During handling of the above exception"))
