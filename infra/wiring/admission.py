"""The admission policies of a stack."""

from __future__ import annotations

from pulumi import Resource

from infra.admission.policies import policies
from infra.components.admission import Admission
from infra.settings import Settings
from infra.wiring.foundation import Foundation


def admission(settings: Settings, base: Foundation) -> tuple[Resource, ...]:
    """Register the policies, unless the stack goes without, and return what must exist before a flow run starts."""
    if not settings.admission:
        return ()
    return (Admission("admission", settings.namespaces.runs, policies(settings), base.checked),)
