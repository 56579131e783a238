"""Deletes task results that are older than a number of days from the volume that holds them.

    python -S -m ops.result_retention /results --days 30

A CronJob runs it once a day. It follows no symbolic link, and its memory does not grow with the number of files.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ephemeral_dask.contract import results
from ephemeral_dask.contract.volumes import Usage

_DAY: Final = 24 * 60 * 60
_OF_FILE_SYSTEM: Final = "lost+found"
_SHOWN: Final = 20
"""Errors that are printed; the others are counted."""


@dataclass
class Outcome:
    """What was deleted, and what could not be.

    Attributes:
        files: number of files.
        size: their bytes.
        failures: why a file or folder could not be read or deleted.

    """

    files: int = 0
    size: int = 0
    failures: int = 0

    def failed(self, error: OSError) -> None:
        """Count an error, and print it if it is one of the first."""
        self.failures += 1
        if self.failures <= _SHOWN:
            print(f"{error.filename}: {error.strerror}", file=sys.stderr)


def delete_older(folder: Path, before: float, outcome: Outcome) -> None:
    """Delete the files below a folder that were written before a time, and the folders that are empty then.

    Args:
        folder: that stays, even if it is empty.
        before: seconds since 1970.
        outcome: is added to.

    """
    try:
        entries = os.scandir(folder)
    except OSError as error:
        outcome.failed(error)
        return
    with entries:
        for entry in entries:
            try:
                _delete(entry, before, outcome)
            except FileNotFoundError:
                continue  # a run has replaced or deleted it
            except OSError as error:
                outcome.failed(error)


def _delete(entry: os.DirEntry[str], before: float, outcome: Outcome) -> None:
    # Read before its content is deleted, which changes it: an empty folder may be a run's that writes into it next.
    status = entry.stat(follow_symlinks=False)
    if entry.is_dir(follow_symlinks=False):
        if entry.name == _OF_FILE_SYSTEM:
            return
        delete_older(Path(entry.path), before, outcome)
        # A live run has the folder of its deployment mounted, and could not write into it any more.
        if status.st_mtime < before and not entry.name.startswith(results.PREFIX):
            with contextlib.suppress(OSError):  # it holds something
                Path(entry.path).rmdir()
    elif entry.is_file(follow_symlinks=False) and status.st_mtime < before:
        Path(entry.path).unlink()
        outcome.files += 1
        outcome.size += status.st_size


def main() -> int:
    """Delete what is too old, and return 1 if something could not be deleted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, required=True)
    arguments = parser.parse_args()
    outcome = Outcome()
    delete_older(arguments.folder, time.time() - arguments.days * _DAY, outcome)
    print(
        f"Deleted {outcome.files} files of {outcome.size / 2**20:.1f} MiB that were older than {arguments.days} days;"
        f" {outcome.failures} could not be deleted. The volume is {Usage.of(arguments.folder)}."
    )
    return int(outcome.failures > 0)


if __name__ == "__main__":
    sys.exit(main())
