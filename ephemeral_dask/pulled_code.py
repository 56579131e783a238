"""Code that a run has fetched with pull steps, for the pods of its Dask cluster: their image does not have it.

The flow pod sends it to scheduler and workers, which put it under the same paths and import its modules under the same
names. A worker that starts later gets it too, before its first task.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import sys
import sysconfig
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cloudpickle
from distributed import SchedulerPlugin, WorkerPlugin
from prefect.context import FlowRunContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NAME: Final = "ephemeral-dask-pulled-code"
_MOST: Final = 64 * 2**20
"""Bytes of the archive. The scheduler keeps it in memory and sends it to every worker."""

_LEFT_OUT: Final = frozenset({".git", ".venv", "__pycache__"})


class PulledCodeError(RuntimeError):
    """The code cannot be sent to the Dask pods. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class PulledCode:
    """The files that pull steps have fetched, and how the flow pod imports them.

    Attributes:
        folder: where they are.
        import_path: entries of `sys.path` in that folder.
        modules: name -> file and search locations of what the flow pod has imported from there. Prefect loads a file
            entrypoint under the name of the file alone, as a package that includes its folder.
        archive: the files, zipped.

    """

    folder: str
    import_path: tuple[str, ...]
    modules: Mapping[str, tuple[str, tuple[str, ...] | None]]
    archive: bytes

    def install(self) -> None:
        """Make the modules importable in this process. Files that exist already, as in an image, are left alone."""
        with zipfile.ZipFile(io.BytesIO(self.archive)) as archive:
            for member in archive.namelist():
                if not Path(self.folder, member).exists():
                    archive.extract(member, self.folder)
        sys.path[:0] = [entry for entry in self.import_path if entry not in sys.path]
        sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, _Finder)]
        sys.meta_path.insert(0, _Finder(self.modules))
        importlib.invalidate_caches()


class _Finder(MetaPathFinder):
    """Finds modules under the names that they have in the flow pod."""

    def __init__(self, modules: Mapping[str, tuple[str, tuple[str, ...] | None]]) -> None:
        self._modules = modules

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname not in self._modules:
            return None
        file, locations = self._modules[fullname]
        return importlib.util.spec_from_file_location(
            fullname, file, submodule_search_locations=None if locations is None else list(locations)
        )


class _OnWorkers(WorkerPlugin):
    name = _NAME

    def __init__(self, code: PulledCode) -> None:
        self._code = code

    def setup(self, worker: Any) -> None:
        del worker
        self._code.install()


class _OnScheduler(SchedulerPlugin):
    name = _NAME

    def __init__(self, code: PulledCode) -> None:
        self._code = code

    async def start(self, scheduler: Any) -> None:
        del scheduler
        self._code.install()


def current() -> PulledCode | None:
    """Return the code of the current run's flow, or None if Dask pods import it from their image.

    Raises:
        PulledCodeError: it is too large to be sent.

    """
    run = FlowRunContext.get()
    module = sys.modules.get(run.flow.fn.__module__) if run is not None and run.flow is not None else None
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ == "__main__" or _in_image(module.__name__, Path(file)):
        return None
    return collect(Path(file))


def collect(file: Path) -> PulledCode:
    """Return the code in the working directory, which pull steps have set, or in the folder of a file outside it.

    Args:
        file: of the flow.

    Raises:
        PulledCodeError: it is too large to be sent.

    """
    file = file.resolve()
    folder = Path.cwd().resolve()
    if not file.is_relative_to(folder):
        folder = file.parent
    modules = {}
    for name, module in tuple(sys.modules.items()):
        source = getattr(module, "__file__", None)
        if name != "__main__" and source and Path(source).resolve().is_relative_to(folder):
            locations = getattr(module, "__path__", None)
            modules[name] = (str(Path(source).resolve()), None if locations is None else tuple(locations))
    entries = [entry for entry in sys.path if entry and Path(entry).resolve().is_relative_to(folder)]
    return PulledCode(
        folder=str(folder),
        import_path=tuple(dict.fromkeys([*entries, str(folder)])),
        modules=modules,
        archive=_archive(folder),
    )


async def share(comm: Any, code: PulledCode | None) -> None:
    """Install the code in a Dask cluster's scheduler, in its workers and in those that start later.

    Args:
        comm: a connection to the scheduler.
        code: what to install; None does nothing.

    """
    if code is None:
        return
    for plugin in (_OnScheduler(code), _OnWorkers(code)):
        register = comm.register_scheduler_plugin if isinstance(plugin, _OnScheduler) else comm.register_worker_plugin
        await register(plugin=cloudpickle.dumps(plugin), name=_NAME, idempotent=False)


def _in_image(module: str, file: Path) -> bool:
    """Return whether the Dask pods find a file under a module's name, with the image's own import path."""
    file = file.resolve()
    for entry in _image_path():
        if file.is_relative_to(entry):
            parts = file.relative_to(entry).with_suffix("").parts
            if ".".join(parts[:-1] if parts[-1] == "__init__" else parts) == module:
                return True
    return False


def _image_path() -> Iterator[Path]:
    """Yield the folders that modules are imported from, without those that Prefect adds for a run's own code."""
    scratch = Path(tempfile.gettempdir()).resolve()
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry and not Path(entry).resolve().is_relative_to(scratch):
            yield Path(entry).resolve()
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(sysconfig.get_path(name)).resolve()


def _archive(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for place, names, files in os.walk(folder):
            names[:] = sorted(set(names) - _LEFT_OUT)
            for name in sorted(files):
                path = Path(place, name)
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
                if content.tell() > _MOST:
                    raise PulledCodeError(
                        f"The code in {folder}, which pull steps have fetched, is larger than {_MOST // 2**20} MiB when"
                        " compressed, and every Dask worker gets it: fetch less with `directories` of git_clone, or put"
                        " data into an object store"
                    )
    return content.getvalue()
