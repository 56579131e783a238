"""Where the pods of a Dask cluster find its certificates: a run writes the Secret, an admission policy checks it."""

from __future__ import annotations

from typing import Final

VOLUME: Final = "dask-tls"
"""Name of the volume with them, in schedulers and workers."""

FOLDER: Final = "/etc/ephemeral-dask/tls"
"""Where it is mounted."""

AUTHORITY: Final = "ca.crt"
CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
"""Keys of the Secret, and names of the files: those of Kubernetes' own TLS Secrets."""

SUFFIX: Final = ".dask-tls"
"""End of the Secret's name, so that no Secret of another purpose has such a name by chance."""

OPAQUE: Final = "Opaque"
"""Type of the Secret. Of other types, Kubernetes fills one with the token of an account."""


def secret_name(cluster: str, job: str | None) -> str:
    """Return the name of the Secret with a cluster's certificates.

    Args:
        cluster: name of the DaskCluster.
        job: name of the Job whose pod created it. The API server knows the pod of each request, so an admission policy
            can tell the Secrets of one run from those of another by this part.

    """
    return f"{cluster}{f'.{job}' if job else ''}{SUFFIX}"


def variables(folder: str = FOLDER) -> dict[str, str]:
    """Return the variables with which Dask finds its certificates, for what it listens with and for its clients.

    Args:
        folder: where the files are.

    """
    prefix, roles = "DASK_DISTRIBUTED__COMM__TLS__", ("SCHEDULER", "WORKER", "CLIENT")
    return {
        # A process that lacks a certificate ends, and does not go on without.
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        f"{prefix}CA_FILE": f"{folder}/{AUTHORITY}",
        **{f"{prefix}{role}__CERT": f"{folder}/{CERTIFICATE}" for role in roles},
        **{f"{prefix}{role}__KEY": f"{folder}/{KEY}" for role in roles},
    }
