"""The cluster's certificate authority and certificates: issued once, and again when they no longer fit.

This uses `cryptography`, which the lock has in any case. `trustme` would issue the certificates in fewer lines, but it
issues them for tests: most of this module decides what still fits and renews the rest, which it does not do.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tools.cluster import files

AUTHORITY_LIFE = dt.timedelta(days=3650)
LIFE = dt.timedelta(days=365)
MARGIN = dt.timedelta(days=30)
"""The next up() renews a certificate that expires within this time."""
ADMINISTRATORS = "system:masters"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One certificate, for a server and a client at once.

    Attributes:
        name: the name of its files.
        user: the Kubernetes user that it authenticates.
        groups: that user's groups.
        hosts: the host names and addresses that it is valid for.

    """

    name: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1")

    @property
    def subject(self) -> x509.Name:
        groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in self.groups]
        return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, self.user)])

    @property
    def alternative_names(self) -> x509.SubjectAlternativeName:
        return x509.SubjectAlternativeName([_general_name(host) for host in self.hosts])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _new_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files.write(path, pem, mode=0o600)
    return key


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey) else None


def _load_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _match(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return certificate.public_key() == key.public_key()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    # Valid from five minutes ago, so that a clock that is set back by a minute does not invalidate it.
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    files.write(path, certificate.public_bytes(serialization.Encoding.PEM))


def _ensure_authority(folder: Path, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey, bool]:
    certificate, key = _load_certificate(folder / "ca.crt"), _load_key(folder / "ca.key")
    # The authority must outlive the certificates that it signs.
    earliest_end = now + LIFE + MARGIN
    if certificate and key and _match(certificate, key) and certificate.not_valid_after_utc > earliest_end:
        return certificate, key, False
    key = _new_key(folder / "ca.key")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ephemeral-dask local cluster")])
    certificate = (
        _builder(name, name, key.public_key(), now)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / "ca.crt", certificate)
    return certificate, key, True


def _fits(folder: Path, spec: Certificate, authority: x509.Certificate, now: dt.datetime) -> bool:
    certificate, key = (
        _load_certificate(folder / f"{spec.name}.crt"),
        _load_key(folder / f"{spec.name}.key"),
    )
    if not certificate or not key or not _match(certificate, key):
        return False
    try:
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    return (
        certificate.subject == spec.subject
        and names == spec.alternative_names
        and certificate.not_valid_after_utc - now > MARGIN
    )


def _issue(
    folder: Path,
    spec: Certificate,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> None:
    key = _new_key(folder / f"{spec.name}.key")
    certificate = (
        _builder(spec.subject, authority.subject, key.public_key(), now)
        .not_valid_after(now + LIFE)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(spec.alternative_names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write(folder / f"{spec.name}.crt", certificate)


def _ensure_token_key(folder: Path) -> bool:
    """Make the key pair that signs service account tokens. It does not expire: a new one would void every token."""
    key = _load_key(folder / "sa.key")
    if key and (folder / "sa.pub").exists():
        return False
    key = key or _new_key(folder / "sa.key")
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    files.write(folder / "sa.pub", pem)
    return True


def stale(folder: Path, certificates: Iterable[Certificate], *, now: dt.datetime | None = None) -> bool:
    """Return whether `ensure` would write a file."""
    moment = now or dt.datetime.now(dt.UTC)
    authority = _load_certificate(folder / "ca.crt")
    return (
        authority is None
        or authority.not_valid_after_utc <= moment + LIFE + MARGIN
        or not all(_fits(folder, certificate, authority, moment) for certificate in certificates)
    )


def ensure(
    folder: Path, certificates: Iterable[Certificate], *, now: dt.datetime | None = None, tokens: bool = True
) -> bool:
    """Issue missing certificates, and replace those with other names, of another authority, or expiring in `MARGIN`.

    Args:
        folder: the folder of `NAME.crt`, `NAME.key` (mode 0600) and `ca.*`.
        certificates: the certificates in addition to the authority's.
        now: the present time; the machine's clock by default.
        tokens: whether the folder also has the key pair of service account tokens, `sa.*`.

    Returns:
        Whether anything was written.

    """
    moment = now or dt.datetime.now(dt.UTC)
    authority, key, changed = _ensure_authority(folder, moment)
    for certificate in certificates:
        if not _fits(folder, certificate, authority, moment):
            _issue(folder, certificate, authority, key, moment)
            changed = True
    return (tokens and _ensure_token_key(folder)) or changed
