"""The events of the record: from values of the product to one line of OCSF 1.8.0, without its place in the log.

docs/audit-record.md lists every code and every field.
"""

from gateway.audit.event import HARD_CAP, Durability, Event
from gateway.audit.exchanges import closed, opened
from gateway.audit.findings import Violation, csp_violation
from gateway.audit.notices import admin_action, lifecycle, policy_change, script_error

__all__ = [
    "HARD_CAP",
    "Durability",
    "Event",
    "Violation",
    "admin_action",
    "closed",
    "csp_violation",
    "lifecycle",
    "opened",
    "policy_change",
    "script_error",
]
