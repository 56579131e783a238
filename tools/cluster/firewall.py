"""Our iptables rules, and taking away those that the cluster's parts leave behind."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from tools.cluster.layout import API_PORT, POD_CIDR, SERVICE_CIDR
from tools.cluster.programs import run
from tools.errors import Problem

FAMILIES = ("iptables", "ip6tables")
PROXY_PREFIX = "KUBE-"
"""Chains of kube-proxy and kubelet."""
PORTMAP_PREFIX = "CNI-HOSTPORT-"
"""Chains that the portmap plugin shares between networks."""
CILIUM_PREFIXES = ("CILIUM_", "OLD_CILIUM_")
"""Chains of Cilium's agent, and what it calls them while it puts others in their place."""


def own_rules(chain: str) -> str:
    """Write what the pods need as input of `iptables-restore --noflush`: chains of ours and the jumps to them.

    Policies of the machine stay as they are; a Docker engine or a firewall may well drop what it does not know.
    """
    return "\n".join(
        [
            "*filter",
            f":{chain} - [0:0]",
            # A Service address that kube-proxy does not know yet, or no more, would leave by the default route,
            # and whoever answers there would be taken for the Service.
            f"-A {chain} -d {SERVICE_CIDR} -j REJECT --reject-with icmp-port-unreachable",
            f"-A {chain} -s {POD_CIDR} -j ACCEPT",
            f"-A {chain} -d {POD_CIDR} -j ACCEPT",
            # The API server listens on every address, because a kubeconfig that says 127.0.0.1 works behind any
            # proxy setting. Other machines have no business there. Traffic of this machine comes in through lo.
            f"-A {chain} ! -i lo -p tcp -m tcp --dport {API_PORT.number} -m addrtype --dst-type LOCAL -j DROP",
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


@dataclass(frozen=True)
class Rule:
    """One line of `iptables-save`, kept as it is: iptables-restore has quoting rules of its own."""

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
    """Chains and rules of each table, out of `iptables-save`."""
    found: dict[str, tuple[list[str], list[Rule]]] = {}
    chains: list[str] = []
    rules: list[Rule] = []
    for line in save.splitlines():
        if line.startswith("*"):
            chains, rules = [], []
            found[line[1:].strip()] = (chains, rules)
        elif line.startswith(":"):
            chains.append(line[1:].split()[0])
        elif line.startswith("-A "):
            rules.append(Rule(line))
    return found


def removal(save: str, *, tag: str, proxy: bool, portmap: bool, cilium: bool = False) -> str:
    """Write the input of `iptables-restore --noflush` that takes away the cluster's chains and rules, or nothing.

    Args:
        save: output of `iptables-save` (or `ip6tables-save`).
        tag: name of our CNI network; in upper case that of our chain.
        proxy: whether the chains of kube-proxy and kubelet are ours, that is, whether no other ones run.
        portmap: whether the chains that portmap shares are ours, that is, whether no other CNI network is in use.
        cilium: whether the chains of Cilium are ours.

    """
    script: list[str] = []
    for table, (chains, rules) in tables(save).items():
        # A plugin's rule carries the network's name in its comment, and jumps to a chain made for that one pod.
        named = [rule for rule in rules if f'name: "{tag}"' in rule.comment]
        doomed = {tag.upper()} | {rule.target for rule in named if rule.target.startswith("CNI-DN-")}
        if proxy:
            doomed |= {chain for chain in chains if chain.startswith(PROXY_PREFIX)}
        if cilium:
            doomed |= {chain for chain in chains if chain.startswith(CILIUM_PREFIXES)}
        left = any(c.startswith("CNI-DN-") and c not in doomed for c in chains)
        if portmap and not left:
            doomed |= {chain for chain in chains if chain.startswith(PORTMAP_PREFIX)}
        doomed &= set(chains)
        rules_to_go = [rule for rule in rules if rule.chain not in doomed and (rule.target in doomed or rule in named)]
        if not doomed and not rules_to_go:
            continue
        ordered = [chain for chain in chains if chain in doomed]
        script += [f"*{table}"]
        script += [rule.deletion for rule in rules_to_go]
        # All are emptied before the first is removed, since they refer to each other.
        script += [f"-F {chain}" for chain in ordered]
        script += [f"-X {chain}" for chain in ordered]
        script += ["COMMIT"]
    return "\n".join([*script, ""]) if script else ""


def save(family: str) -> str:
    """All rules of one family; nothing where the machine does not have it."""
    result = run(f"{family}-save")
    return result.stdout if result.returncode == 0 else ""


def restore(family: str, script: str) -> None:
    """Apply a script in one go.

    Raises:
        Problem: with what iptables says, when it refuses.

    """
    result = run(f"{family}-restore", "--noflush", "--wait", stdin=script)
    if result.returncode != 0:
        raise Problem(
            f"{family}-restore refuses the rules of the local cluster",
            remedy="See below what it says; a kernel without the modules of netfilter cannot run pods",
            detail=result.stderr,
        )


def install(chain: str) -> None:
    """Put our chains in place."""
    restore("iptables", own_rules(chain))


def remove(tag: str, *, proxy: bool, portmap: bool, cilium: bool = False, families: Iterable[str] = FAMILIES) -> None:
    """Take away the cluster's chains and rules of every family, see `removal`."""
    for family in families:
        if script := removal(save(family), tag=tag, proxy=proxy, portmap=portmap, cilium=cilium):
            restore(family, script)
