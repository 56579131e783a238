from __future__ import annotations

from pathlib import Path

import pytest

from tools.cluster import services


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy-rc.d"


CONTAINERD = Path("/etc/systemd/system/multi-user.target.wants/containerd.service")
SSH = CONTAINERD.with_name("ssh.service")


def stay_off(policy: Path, *, enables: frozenset[Path] = frozenset()) -> tuple[str, frozenset[Path]]:
    """Return the policy while packages are installed, and what is disabled afterwards."""
    lists = iter([frozenset({SSH}), frozenset({SSH}) | enables])
    undone: list[frozenset[Path]] = []
    with services.stay_off(policy, lambda: next(lists), undone.append):
        text = policy.read_text()
        executable = policy.stat().st_mode & 0o111
    assert executable or services.MARK not in text
    [disabled] = undone
    return text, disabled


def test_packages_start_no_service_and_what_they_have_enabled_is_disabled(policy: Path) -> None:
    text, disabled = stay_off(policy, enables=frozenset({CONTAINERD}))
    assert text.endswith("exit 101\n")
    assert services.MARK in text
    assert not policy.exists()
    assert disabled == {CONTAINERD}


def test_an_installation_that_fails_leaves_neither_the_policy_nor_a_service(policy: Path) -> None:
    lists, undone = iter([frozenset[Path](), frozenset({CONTAINERD})]), list[frozenset[Path]]()
    with pytest.raises(OSError, match="full"), services.stay_off(policy, lambda: next(lists), undone.append):
        raise OSError("full")
    assert not policy.exists()
    assert undone == [frozenset({CONTAINERD})]


def test_a_policy_of_the_machines_own_stays(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 0\n")
    text, _ = stay_off(policy)
    services.remove_policy(policy)
    assert text == policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_a_policy_that_a_killed_process_has_left_is_removed(policy: Path) -> None:
    policy.write_text(f"#!/bin/sh\n{services.MARK}\nexit 101\n")
    services.remove_policy(policy)
    assert not policy.exists()
    policy.write_text(f"#!/bin/sh\n{services.MARK}\nexit 101\n")
    stay_off(policy)
    assert not policy.exists()
    services.remove_policy(policy)


def test_what_packages_have_enabled_is_disabled_and_all_else_stays(tmp_path: Path) -> None:
    names = (
        "systemd/system/multi-user.target.wants/containerd.service",
        "systemd/system/sockets.target.requires/x.socket",
        "rc2.d/S01docker-registry",
        "rc3.d/S01docker-registry",
    )
    others = ("systemd/system/plain.service", "rc2.d/K01off", "systemd/system/multi-user.target.wants/ssh.service")
    for name in (*names, *others):
        link = tmp_path / name
        link.parent.mkdir(parents=True, exist_ok=True)
        # As in an image without the package's files: what a link points to need not exist.
        link.symlink_to("/lib/systemd/missing")
    before = frozenset({tmp_path / others[2]})
    new = services.enabled(tmp_path / "systemd/system", tmp_path) - before
    assert new == {tmp_path / name for name in names}
    calls: list[tuple[str, ...]] = []
    services.disable(new, lambda *words: calls.append(words))
    assert calls == [("update-rc.d", "docker-registry", "disable")]
    assert not any((tmp_path / name).is_symlink() for name in names[:2])
    assert all((tmp_path / name).is_symlink() for name in (*names[2:], *others))
