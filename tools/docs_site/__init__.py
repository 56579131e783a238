"""The documentation site, built by MkDocs in an environment of its own."""

from __future__ import annotations

import os
import subprocess

from tools import locked_environment
from tools.errors import Problem
from tools.paths import ROOT

SITE = ROOT / "site"
"""Where the site is, as in mkdocs.yml."""


def build() -> None:
    """Build the site.

    Raises:
        Problem: a link leads to no page or heading, or a page is missing in the navigation.

    """
    mkdocs = locked_environment.programs("docs") / "mkdocs"
    command = [str(mkdocs), "build", "--strict", "--clean", "--quiet"]
    # The theme prints a page about its successor otherwise.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0:
        raise Problem(
            "The documentation site was not built",
            remedy="Correct the links above; a page also has a line in `nav` of mkdocs.yml",
        )
