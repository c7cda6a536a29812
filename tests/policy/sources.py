"""Policies in text, for tests: a small valid one, and ways to say what differs."""

from datetime import date

from gateway.errors import PolicyError, Problem
from gateway.model import Policy
from gateway.policy.parse import PolicySource, parse_policy

TODAY = date(2026, 11, 22)

HEAD = 'schema = 1\ntitle = "T"\ndefault = "deny"\n'
HOSTS = '[hosts]\nallowed = ["tools.corp.example"]\n'
OFFICE = '[networks]\noffice = ["203.0.113.0/24"]\n'
STAFF = '[[rules]]\nid = "staff"\neffect = "allow"\nbecause = "B"\nnetworks = ["office"]\n'
SMALL = HEAD + OFFICE + HOSTS + STAFF

# The example that the language was designed with: every section once.
FULL = """\
schema = 1
title = "Finance tools"
default = "deny"                                  # mandatory, the only value

[networks]
office = ["203.0.113.0/24", "2001:db8:40::/48"]
vpn = { file = "networks/vpn.txt" }
contractor = [{ cidr = "198.51.100.7/32", owner = "j.doe", ticket = "SEC-1234", expires = 2027-01-31 }]

[hosts]
allowed = ["tools.corp.example", "*.tools.corp.example"]
origins = []                                      # besides the host's own

[proxies]
trusted = ["10.20.0.0/16"]
client_address = "x-forwarded-for"

[transport]
https = "required"
hsts = { max_age = "730d", include_subdomains = true, preload = false }

[content_security]
profile = "strict"
add = ["maps"]
report_only = "strict"

[sessions]
idle = "30m"
lifetime = "12h"
concurrent = 5

[limits]
requests = { rate = "600/min", burst = 100, per = "session" }
sockets = { per_session = 8, per_client = 200 }
upload = { max = "50MB", types = [".csv", ".xlsx"] }

[streamlit]
messages = ["rerun_script", "stop_script", "app_heartbeat", "file_urls_request"]
agent_api = "deny"

[[rules]]
id = "staff"
effect = "allow"
because = "Staff on the office network or the VPN use the tools."
networks = ["office", "vpn"]

[[rules]]
id = "finance-only"
effect = "deny"
because = "Ledger pages are for the finance group."
pages = ["/ledger", "/ledger/*"]
unless = { groups = ["finance"] }

[[tests]]                                          # a revision carries its own tests
name = "a visitor from outside is refused"
request = { client = "192.0.2.1", host = "tools.corp.example", path = "/" }
expect = "deny"
reason = "no-rule-matched"
"""
VPN = b"# the VPN's pool\n100.64.0.0/10   # shared address space, RFC 6598\n\n2001:db8:77::/48\r\n"


def parse(text: str | bytes, files: dict[str, bytes | None] | None = None, today: date = TODAY) -> Policy:
    data = text.encode() if isinstance(text, str) else text
    return parse_policy(PolicySource("policies/0001-t.toml", "0001", data, files or {}), today=today)


def problems(text: str | bytes, files: dict[str, bytes | None] | None = None) -> tuple[Problem, ...]:
    """What is wrong with the policy; nothing if it is right."""
    try:
        parse(text, files)
    except PolicyError as error:
        return error.problems
    return ()
