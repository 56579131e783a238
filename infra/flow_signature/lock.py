"""A hashed lock file, and whether it has the distribution that provides an import name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

Answer = Literal["present", "missing", "unknown"]

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "Crypto": ("pycryptodome",),
    "MySQLdb": ("mysqlclient",),
    "OpenSSL": ("pyopenssl",),
    "PIL": ("pillow",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"),
    "dateutil": ("python-dateutil",),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "duckdb": ("duckdb",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "fitz": ("pymupdf",),
    "geopandas": ("geopandas",),
    "git": ("gitpython",),
    "jose": ("python-jose",),
    "jwt": ("pyjwt",),
    "lightgbm": ("lightgbm",),
    "magic": ("python-magic",),
    "matplotlib": ("matplotlib",),
    "mpl_toolkits": ("matplotlib",),
    "numpy": ("numpy",),
    "openpyxl": ("openpyxl",),
    "osgeo": ("gdal",),
    "pandas": ("pandas",),
    "pkg_resources": ("setuptools",),
    "plotly": ("plotly",),
    "polars": ("polars", "polars-lts-cpu", "polars-u64-idx"),
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "pyarrow": ("pyarrow",),
    "requests": ("requests",),
    "scipy": ("scipy",),
    "seaborn": ("seaborn",),
    "serial": ("pyserial",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "slugify": ("python-slugify",),
    "sqlalchemy": ("sqlalchemy",),
    "statsmodels": ("statsmodels",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-gpu"),
    "tlz": ("toolz",),
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "transformers": ("transformers",),
    "websocket": ("websocket-client",),
    "xarray": ("xarray",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "yaml": ("pyyaml",),
    "zmq": ("pyzmq",),
}
"""Import name -> the distributions on PyPI that provide it, of well-known libraries. Names that are not here are looked
up among the installed distributions."""

NAMESPACES: Final = frozenset({"azure", "backports", "google", "jaraco", "opentelemetry", "ruamel", "zope"})
"""Import names that many distributions share: only the full dotted name tells which one is meant."""

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*(?:[=<>!~;@\\]|$)")


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The distributions of a lock file, by normalized name.

    Attributes:
        file: the lock's path as messages name it, such as `requirements/flows.txt`.
        distributions: everything that it lists.
        conditional: what it lists with an environment marker, such as `sys_platform == 'win32'`.
        complete: whether every line names a distribution; a path or a VCS address does not.

    """

    file: str
    distributions: frozenset[str]
    conditional: frozenset[str] = frozenset()
    complete: bool = True

    @property
    def group(self) -> str:
        """The dependency group in pyproject.toml that `make lock` turns into this file."""
        # The lock of a further Python version has that in its name.
        return re.sub(r"-3\.\d+$", "", Path(self.file).stem)

    def find(self, name: str) -> tuple[Answer, str]:
        """Return whether the lock provides an import, and the distribution that would.

        The answer is `missing` only if it is certain: the import name is well known, or an installed distribution that
        the lock does not have provides it, or all distributions of the lock are installed here and none provides it.

        Args:
            name: dotted import name, such as `sklearn.linear_model`.

        """
        top = name.partition(".")[0]
        names = _distribution_names(name)
        if self.distributions & set(names):
            return "present", names[0]
        providers = _installed_providers().get(top, frozenset())
        if top in NAMESPACES:
            providers = frozenset(provider for provider in providers if _has_module(provider, name))
        if self.distributions & providers:
            return "present", names[0]
        if top in _NAMES or providers or self._is_installed():
            return "missing", names[0] if top in _NAMES else next(iter(sorted(providers)), names[0])
        return "unknown", names[0]

    def _is_installed(self) -> bool:
        return self.complete and self.distributions - self.conditional <= _installed_names()


def read_lock(path: Path, file: str) -> Lock:
    """Read a lock file.

    Args:
        path: the file.
        file: its path as messages name it.

    Raises:
        OSError: it cannot be read.

    """
    distributions, conditional, complete = set[str](), set[str](), True
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith(("#", "--hash")):
            continue
        requirement = _REQUIREMENT.match(text)
        if requirement is None:
            complete = complete and text.startswith(("--index-url", "--extra-index-url", "--find-links"))
            continue
        name = normalized(requirement[1])
        distributions.add(name)
        if ";" in text:
            conditional.add(name)
    return Lock(
        file=file, distributions=frozenset(distributions), conditional=frozenset(conditional), complete=complete
    )


def normalized(name: str) -> str:
    """Return a distribution's name as PyPI compares it: lower case, with single dashes."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution_names(name: str) -> list[str]:
    """Return the distributions that may provide an import, the likeliest first."""
    parts = name.split(".")
    top = parts[0]
    if top in NAMESPACES:
        # For google.cloud.storage.Client: google-cloud-storage, google-cloud; the class is left out.
        modules = [part for part in parts[:3] if part.islower()]
        return [normalized("-".join(modules[:count])) for count in range(len(modules), 1, -1)] or [normalized(top)]
    return [*_NAMES.get(top, ()), normalized(top)]


@cache
def _installed_providers() -> dict[str, frozenset[str]]:
    """Return import name -> installed distributions; reading their metadata takes half a second."""
    return {
        top: frozenset(map(normalized, distributions))
        for top, distributions in metadata.packages_distributions().items()
    }


def _has_module(distribution: str, name: str) -> bool:
    parts = name.split(".")
    files = {file.as_posix() for file in metadata.files(distribution) or ()}
    paths = ["/".join(parts[: count + 1]) for count in range(1, len(parts))]
    return any(f"{path}.py" in files or f"{path}/__init__.py" in files for path in paths)


@cache
def _installed_names() -> frozenset[str]:
    return frozenset(normalized(each.name) for each in metadata.distributions())
