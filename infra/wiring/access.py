"""Who may do what in a stack's namespaces, and the drift of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulumi import Output, Resource, ResourceOptions

from infra import naming
from infra.components import dask_operator, dask_reaper, identity, prefect_worker
from infra.components.identity import Identity, IdentityArgs
from infra.components.namespace import flow_run_rules
from infra.registration.exact_access import ExactAccess, ExactAccessArgs
from infra.settings import Settings
from infra.specs.namespaces import Namespaces
from infra.wiring.foundation import Foundation


@dataclass(frozen=True, kw_only=True)
class Access:
    """The workers' identity, and the resource that holds access to what is declared.

    Attributes:
        worker_account: name of the ServiceAccount that all workers of the stack share.
        resources: what must exist before a flow run starts.

    """

    worker_account: Output[str]
    resources: tuple[Resource, ...]


def exact_access(settings: Settings, base: Foundation, *, after: Sequence[Resource]) -> Access:
    """Register the workers' identity, and the resource that restores declared Roles, bindings and policies.

    Args:
        settings: of the stack.
        base: its foundation.
        after: the resources that create the Roles, bindings and policies.

    """
    account = Identity(
        "prefect-worker-identity",
        IdentityArgs(
            account=naming.WORKER,
            namespace=base.namespaces.platform,
            rules=prefect_worker.RULES,
            rules_in=base.namespaces.runs,
            annotations=settings.identities.worker.annotations,
            pull_secrets=settings.image.pull_secrets,
        ),
    )
    opts = ResourceOptions(depends_on=[*after, account])
    args = _access_args(settings, base)
    access = (ExactAccess("access", args.platform, opts), ExactAccess("runs-access", args.runs, opts))
    return Access(worker_account=account.name, resources=(account, *access))


def _access_args(settings: Settings, base: Foundation) -> Namespaces[ExactAccessArgs]:
    """Return what the stack's Roles, bindings and NetworkPolicies allow, as the components declare it.

    No Role is in the platform's namespace: what the platform uses of the Kubernetes API belongs to runs.
    """
    names = settings.namespaces
    rules = {
        naming.FLOW_RUN: flow_run_rules(tls=settings.dask.tls),
        naming.WORKER: prefect_worker.RULES,
        naming.REAPER: dask_reaper.RULES,
        **({naming.OPERATOR: dask_operator.RULES} if settings.dask.operator.mode == "install" else {}),
    }
    accounts_in = {account: names.runs if account == naming.FLOW_RUN else names.platform for account in rules}
    return Namespaces(
        platform=ExactAccessArgs(namespace=names.platform, roles={}, bindings={}, policies=base.policies.platform),
        runs=ExactAccessArgs(
            namespace=names.runs,
            roles={account: identity.role_rules(rules[account]) for account in rules},
            bindings={account: identity.role_subjects(account, accounts_in[account]) for account in rules},
            policies=base.policies.runs,
        ),
    )
