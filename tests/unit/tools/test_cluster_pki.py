"""Certificates of the local cluster."""

import datetime as dt
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tools.cluster import pki
from tools.cluster.components import certificates
from tools.cluster.layout import API_SERVICE_IP, NODE_IP, NODE_NAME
from tools.cluster.pki import Certificate

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CERTIFICATES = certificates("workstation")


def read(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pki.ensure(tmp_path / "pki", CERTIFICATES, now=NOW)
    return tmp_path / "pki"


def test_valid_certificates_are_not_issued_again(folder: Path) -> None:
    before = contents(folder)
    assert not pki.stale(folder, CERTIFICATES, now=NOW)
    assert not pki.ensure(folder, CERTIFICATES, now=NOW)
    assert contents(folder) == before


def test_every_certificate_is_signed_by_the_authority_and_expires_before_it(folder: Path) -> None:
    authority = read(folder, "ca")
    for spec in CERTIFICATES:
        certificate = read(folder, spec.name)
        certificate.verify_directly_issued_by(authority)
        assert certificate.not_valid_after_utc < authority.not_valid_after_utc


def test_only_the_owner_can_read_a_key(folder: Path) -> None:
    assert {key.stat().st_mode & 0o777 for key in folder.glob("*.key")} == {0o600}


def test_only_the_authority_can_sign_certificates(folder: Path) -> None:
    def signs(name: str) -> bool:
        return read(folder, name).extensions.get_extension_for_class(x509.BasicConstraints).value.ca

    assert [name for name in ("ca", *(spec.name for spec in CERTIFICATES)) if signs(name)] == ["ca"]


def test_the_api_servers_certificate_has_every_name_and_address_of_the_server(folder: Path) -> None:
    names = read(folder, "kube-apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "workstation", "kubernetes.default.svc"} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert {"127.0.0.1", NODE_IP, API_SERVICE_IP} <= addresses


def test_kubelets_certificate_is_that_of_a_node_only(folder: Path) -> None:
    subject = read(folder, "kubelet").subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [f"system:node:{NODE_NAME}"]
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]


def test_only_the_api_servers_certificate_is_replaced_on_a_renamed_machine(folder: Path) -> None:
    before = contents(folder)
    renamed = certificates("laptop")
    assert pki.stale(folder, renamed, now=NOW)
    assert pki.ensure(folder, renamed, now=NOW)
    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == {"kube-apiserver.crt", "kube-apiserver.key"}


def test_a_certificate_is_renewed_before_it_expires(folder: Path) -> None:
    later = NOW + pki.LIFE - pki.MARGIN + dt.timedelta(days=1)
    assert not pki.stale(folder, CERTIFICATES, now=later - dt.timedelta(days=2))
    assert pki.stale(folder, CERTIFICATES, now=later)
    assert pki.ensure(folder, CERTIFICATES, now=later)
    assert all(read(folder, spec.name).not_valid_after_utc > later + pki.MARGIN for spec in CERTIFICATES)


def test_the_renewal_of_the_authority_renews_all_certificates(folder: Path) -> None:
    later = NOW + pki.AUTHORITY_LIFE - pki.LIFE
    assert pki.ensure(folder, CERTIFICATES, now=later)
    for spec in CERTIFICATES:
        read(folder, spec.name).verify_directly_issued_by(read(folder, "ca"))


def test_tokens_stay_valid_when_everything_else_is_renewed(folder: Path) -> None:
    before = (folder / "sa.key").read_bytes()
    pki.ensure(folder, CERTIFICATES, now=NOW + pki.AUTHORITY_LIFE)
    assert (folder / "sa.key").read_bytes() == before


@pytest.mark.parametrize("damage", ["admin.crt", "admin.key", "ca.key", "sa.pub"])
def test_a_damaged_file_is_replaced(folder: Path, damage: str) -> None:
    (folder / damage).write_text("half a fi")
    if damage == "sa.pub":
        (folder / damage).unlink()
    assert pki.ensure(folder, CERTIFICATES, now=NOW)
    assert not pki.ensure(folder, CERTIFICATES, now=NOW)


def test_a_key_that_does_not_match_its_certificate_is_replaced(folder: Path) -> None:
    (folder / "admin.key").write_bytes((folder / "kubelet.key").read_bytes())
    assert pki.stale(folder, CERTIFICATES, now=NOW)


def test_openssl_accepts_the_chain(tmp_path: Path) -> None:
    pki.ensure(tmp_path, [Certificate(name="one", user="someone")])
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(tmp_path / "ca.crt"), str(tmp_path / "one.crt")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
