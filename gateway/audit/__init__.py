"""The record: one line of OCSF 1.8.0 for each event, on the disk before what it tells of takes effect."""

from gateway.audit.events import (
    Durability,
    Event,
    admin_action,
    closed,
    lifecycle,
    opened,
    policy_change,
    script_error,
)
from gateway.audit.inbox import Receipt
from gateway.audit.ledger import Ledger, LedgerHealth, ledger_directory
from gateway.audit.options import LedgerOptions
from gateway.audit.stamp import Stamp, Stamps, stamp

__all__ = [
    "Durability",
    "Event",
    "Ledger",
    "LedgerHealth",
    "LedgerOptions",
    "Receipt",
    "Stamp",
    "Stamps",
    "admin_action",
    "closed",
    "ledger_directory",
    "lifecycle",
    "opened",
    "policy_change",
    "script_error",
    "stamp",
]
