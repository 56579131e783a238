"""The cluster's own iptables rules, and the removal of all rules that its components leave."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.layout import API_PORT, POD_CIDR, SERVICE_CIDR
from tools.cluster.programs import run
from tools.errors import Problem

FAMILIES = ("iptables", "ip6tables")
PROXY_PREFIX = "KUBE-"
"""Chains of kube-proxy and kubelet."""
PORTMAP_PREFIX = "CNI-HOSTPORT-"
"""Chains of the portmap plugin, which all CNI networks share."""
CILIUM_PREFIXES = ("CILIUM_", "OLD_CILIUM_")
"""Chains of Cilium's agent, and their names while the agent replaces them."""


def own_rules(chain: str) -> str:
    """Return the rules that pods need as input of `iptables-restore --noflush`: own chains and the jumps to them.

    The jumps come first in the machine's chains, because a Docker engine or a firewall may drop traffic that it does
    not know. Policies of the machine stay as they are.
    """
    return "\n".join(
        [
            "*filter",
            f":{chain} - [0:0]",
            # Without this rule, traffic to a Service address that kube-proxy does not know yet, or no longer, leaves
            # by the default route, and a host that answers there is mistaken for the Service.
            f"-A {chain} -d {SERVICE_CIDR} -j REJECT --reject-with icmp-port-unreachable",
            f"-A {chain} -s {POD_CIDR} -j ACCEPT",
            f"-A {chain} -d {POD_CIDR} -j ACCEPT",
            _close_api(chain),
            f"-I INPUT 1 -j {chain}",
            f"-I FORWARD 1 -j {chain}",
            "COMMIT",
            "*nat",
            f":{chain} - [0:0]",
            f"-A {chain} -s {POD_CIDR} ! -d {POD_CIDR} -j MASQUERADE",
            f"-I POSTROUTING 1 -j {chain}",
            "COMMIT",
            "",
        ]
    )


def own_ipv6_rules(chain: str) -> str:
    """Return the rules for IPv6, which pods do not have; Go listens there too when its address is 0.0.0.0."""
    return "\n".join(["*filter", f":{chain} - [0:0]", _close_api(chain), f"-I INPUT 1 -j {chain}", "COMMIT", ""])


def _close_api(chain: str) -> str:
    # The API server listens on every address, because a kubeconfig with 127.0.0.1 works with any proxy setting. Other
    # machines must not reach it. Traffic of this machine arrives through lo.
    return f"-A {chain} ! -i lo -p tcp -m tcp --dport {API_PORT.number} -m addrtype --dst-type LOCAL -j DROP"


@dataclass(frozen=True)
class Rule:
    """One line of `iptables-save`, kept verbatim because iptables-restore has its own quoting rules."""

    line: str

    @property
    def _words(self) -> list[str]:
        return shlex.split(self.line)

    def _after(self, *flags: str) -> str:
        words = self._words
        return next((words[words.index(flag) + 1] for flag in flags if flag in words), "")

    @property
    def chain(self) -> str:
        return self._words[1]

    @property
    def target(self) -> str:
        return self._after("-j", "-g")

    @property
    def comment(self) -> str:
        return self._after("--comment")

    @property
    def deletion(self) -> str:
        return self.line.replace("-A ", "-D ", 1)


def tables(save: str) -> dict[str, tuple[list[str], list[Rule]]]:
    """Return the chains and the rules of each table in the output of `iptables-save`."""
    parsed: dict[str, tuple[list[str], list[Rule]]] = {}
    chains: list[str] = []
    rules: list[Rule] = []
    for line in save.splitlines():
        if line.startswith("*"):
            chains, rules = [], []
            parsed[line[1:].strip()] = (chains, rules)
        elif line.startswith(":"):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A "):
            rules.append(Rule(line))
    return parsed


def removal(save: str, *, tag: str, proxy: bool, portmap: bool, cilium: bool = False) -> str:
    """Return the input of `iptables-restore --noflush` that removes the cluster's chains and rules; "" for none.

    Args:
        save: output of `iptables-save` (or `ip6tables-save`).
        tag: name of the cluster's CNI network; in upper case, name of its chain.
        proxy: whether to remove the chains of kube-proxy and kubelet: no other node may run on the machine.
        portmap: whether to remove the chains that CNI networks share: no other network may be in use.
        cilium: whether to remove the chains of Cilium.

    """
    script: list[str] = []
    for table, (chains, rules) in tables(save).items():
        # A rule of the portmap plugin has the network's name in its comment and jumps to a chain for one pod.
        named = [rule for rule in rules if f'name: "{tag}"' in rule.comment]
        removed = {tag.upper()} | {rule.target for rule in named if rule.target.startswith("CNI-DN-")}
        if proxy:
            removed |= {chain for chain in chains if chain.startswith(PROXY_PREFIX)}
        if cilium:
            removed |= {chain for chain in chains if chain.startswith(CILIUM_PREFIXES)}
        others = any(chain.startswith("CNI-DN-") and chain not in removed for chain in chains)
        if portmap and not others:
            removed |= {chain for chain in chains if chain.startswith(PORTMAP_PREFIX)}
        removed &= set(chains)
        deleted = [rule for rule in rules if rule.chain not in removed and (rule.target in removed or rule in named)]
        if not removed and not deleted:
            continue
        ordered = [chain for chain in chains if chain in removed]
        script += [f"*{table}"]
        script += [rule.deletion for rule in deleted]
        # Chains refer to each other, so all are flushed before the first is deleted.
        script += [f"-F {chain}" for chain in ordered]
        script += [f"-X {chain}" for chain in ordered]
        script += ["COMMIT"]
    return "\n".join([*script, ""]) if script else ""


def save(family: str) -> str:
    """Return all rules of one family; an empty text where the machine does not have that family."""
    result = run(f"{family}-save")
    return result.stdout if result.returncode == 0 else ""


def restore(family: str, script: str) -> None:
    """Apply a script as one transaction.

    Raises:
        Problem: iptables refuses it; the detail is its output.

    """
    result = run(f"{family}-restore", "--noflush", "--wait", stdin=script)
    if result.returncode != 0:
        raise Problem(
            f"{family}-restore failed for the local cluster's rules",
            remedy="Read its output below; a kernel without the netfilter modules cannot run pods",
            detail=result.stderr,
        )


def install(chain: str, *, ipv6: bool | None = None) -> None:
    """Install the cluster's chains.

    Args:
        chain: their name.
        ipv6: whether the machine has that family; found out by default.

    Raises:
        Problem: iptables refuses a rule. The API server would be open to other machines.

    """
    restore("iptables", own_rules(chain))
    # The kernel shows the file as long as it has the family, even without an address.
    if Path("/proc/net/if_inet6").exists() if ipv6 is None else ipv6:
        restore("ip6tables", own_ipv6_rules(chain))


def remove(tag: str, *, proxy: bool, portmap: bool, cilium: bool = False, families: Iterable[str] = FAMILIES) -> None:
    """Remove the cluster's chains and rules of every family; see `removal` for the arguments."""
    for family in families:
        if script := removal(save(family), tag=tag, proxy=proxy, portmap=portmap, cilium=cilium):
            restore(family, script)
