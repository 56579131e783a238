"""The certificates of one Dask cluster: without one, nothing connects to it, and nothing passes for a part of it.

The flow pod makes new ones for each cluster and keeps its own key in memory. That of the pods travels in a Secret. The
key of the authority is gone when `Certificates.new` returns, so no further certificate can be made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from distributed.security import Security

from ephemeral_dask.contract import labels, tls
from ephemeral_dask.contract.dask import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLOCKS: Final = timedelta(days=1)
"""How far the clock of a node may be behind that of the flow pod's."""

_NEVER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""A date that RFC 5280 reserves for certificates without an end: these end with their cluster, however long it runs."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The certificates of a Dask cluster.

    Attributes:
        authority: the certificate that all others are checked against, PEM.
        flow: those of the flow pod.
        pods: those of scheduler and workers.

    """

    authority: str
    flow: Pair
    pods: Pair

    @classmethod
    def new(cls) -> Certificates:
        """Make an authority and what it signs: 1 ms of processor time."""
        key = ec.generate_private_key(ec.SECP256R1())
        authority = _signed(key.public_key(), "dask authority", key, is_authority=True)
        return cls(authority=_pem(authority), flow=_pair("flow pod", key), pods=_pair("dask pod", key))

    @cached_property
    def security(self) -> Security:
        """What Dask's clients in the flow pod identify themselves and check the scheduler with."""
        return Security(  # type: ignore[no-untyped-call]  # it carries no annotation
            require_encryption=True,
            tls_ca_file=self.authority,
            tls_client_cert=self.flow.certificate,
            tls_client_key=self.flow.key,
        )

    @cached_property
    def connection(self) -> dict[str, Any]:
        """The same for a single connection, as `distributed.core.rpc` takes it."""
        arguments: dict[str, Any] = self.security.get_connection_args("client")  # type: ignore[no-untyped-call]  # likewise
        return arguments

    @property
    def files(self) -> dict[str, str]:
        """What scheduler and workers mount: name -> content."""
        return {tls.AUTHORITY: self.authority, tls.CERTIFICATE: self.pods.certificate, tls.KEY: self.pods.key}

    def secret(self, cluster: Mapping[str, Any], uid: str) -> dict[str, Any]:
        """Return the manifest of the Secret for scheduler and workers. Kubernetes deletes it with the DaskCluster.

        Args:
            cluster: manifest of the DaskCluster.
            uid: that the API has given it.

        """
        metadata = cluster["metadata"]
        owner = {"apiVersion": API_VERSION, "kind": "DaskCluster", "name": metadata["name"], "uid": uid}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": tls.secret_name(metadata["name"], metadata["labels"].get(labels.JOB)),
                "namespace": metadata["namespace"],
                "labels": metadata["labels"],
                "ownerReferences": [owner | {"controller": False, "blockOwnerDeletion": False}],
            },
            "type": tls.OPAQUE,
            "immutable": True,
            "stringData": self.files,
        }


def _pair(name: str, authority: ec.EllipticCurvePrivateKey) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate=_pem(_signed(key.public_key(), name, authority)), key=private.decode())


def _signed(
    key: ec.EllipticCurvePublicKey, name: str, authority: ec.EllipticCurvePrivateKey, *, is_authority: bool = False
) -> x509.Certificate:
    issuer = authority.public_key()
    usage = {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("dask authority"))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - _CLOCKS)
        .not_valid_after(_NEVER)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(
            x509.KeyUsage(**usage, **dict.fromkeys(others, False), encipher_only=False, decipher_only=False),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
    )
    if not is_authority:
        # Each process of Dask's both listens and connects. Names are not checked: pods connect by address.
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    return builder.sign(authority, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
