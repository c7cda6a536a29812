"""The words of the policy language: every key, every closed list of names, every bound.

`docs/policy-language.md` has an entry for each key of `KEYS`; a test holds the two together.
"""

from collections.abc import Mapping
from typing import Final

SCHEMA: Final = 1

# The largest policy file, in bytes. Long lists belong into network files.
POLICY_BYTES: Final = 256 * 1024

# The largest network file, in bytes: room for more than 100 000 CIDRs of either family.
NETWORK_BYTES: Final = 16 * 1024 * 1024

# `tomllib` needs time and memory that grow with the square of the parts of a dotted key (measured: 250 000 parts
# exhaust the machine; 256 parts on each line of a full policy file take 0.7 s and 160 MB).
DOTS_PER_LINE: Final = 256

CONDITION_KEYS: Final = (
    "networks",
    "hosts",
    "surfaces",
    "methods",
    "paths",
    "pages",
    "users",
    "groups",
    "authenticated",
    "days",
    "hours",
    "expires",
)

# What a document may load from hosts outside.
SOURCE_KEYS: Final = ("styles", "fonts", "images", "media", "frames", "connect")

# Table (in the notation of the places in error messages) -> the keys it may have.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "schema",
        "title",
        "default",
        "networks",
        "hosts",
        "proxies",
        "transport",
        "content_security",
        "sessions",
        "limits",
        "streamlit",
        "rules",
        "tests",
    ),
    "networks.NAME": ("file",),
    "networks.NAME[]": ("cidr", "owner", "ticket", "expires"),
    "hosts": ("allowed", "origins"),
    "proxies": ("trusted", "client_address", "hops"),
    "transport": ("https", "hsts"),
    "transport.hsts": ("max_age", "include_subdomains", "preload"),
    "content_security": (
        *("profile", "add", "report_only", "external", "embedded", "trusted_components", "frame_ancestors"),
    ),
    "content_security.external": SOURCE_KEYS,
    "content_security.embedded": ("scripts", *SOURCE_KEYS),
    "sessions": ("idle", "lifetime", "concurrent"),
    "limits": ("target", "headers", "body", "message", "messages", "upload", "requests", "sockets", "scripts"),
    "limits.headers": ("count", "size"),
    "limits.upload": ("max", "types", "files", "total"),
    "limits.requests": ("rate", "burst", "per"),
    "limits.messages": ("rate", "burst"),
    "limits.sockets": ("per_session", "per_client", "total", "new"),
    "limits.scripts": ("at_once",),
    "streamlit": ("messages", "pages", "agent_api", "metrics", "script_health"),
    "rules[]": ("id", "effect", "because", *CONDITION_KEYS, "unless"),
    "rules[].unless": CONDITION_KEYS,
    "rules[].hours": ("start", "end", "zone"),
    "tests[]": ("name", "request", "expect", "reason", "rule"),
    "tests[].request": (
        "client",
        "peer",
        "host",
        "scheme",
        "method",
        "path",
        "surface",
        "page",
        "message",
        "origin",
        "user",
        "groups",
        "authenticated",
        "at",
    ),
}

# Keys that the language has and that this release does not act on; `gateway policy check` says so where one is set.
NOT_ENFORCED: Final[Mapping[str, str]] = {
    "sessions.concurrent": "the number of sessions of one principal is not limited yet",
}

# Named Content-Security-Policy profiles, and what may be added to them.
PROFILES: Final = ("strict", "max")
RELAXATIONS: Final = (
    *("charts", "geo-charts", "maps", "mapbox", "components", "page-icons", "external-media", "inline"),
)

# Relaxations that take a protection away from every page; noted wherever one is used.
RISKY_RELAXATIONS: Final[Mapping[str, str]] = {
    "external-media": "pages may send requests to every host: name the hosts in content_security.external instead",
    "inline": "script that reaches a page runs there: the protection against cross-site scripting is off",
}

# The headers in which proxies and content delivery networks name the client. The first two are lists, the others
# hold one address. RFC 7239 (`forwarded`); the others are conventions of the products they are named after.
ADDRESS_LISTS: Final = ("x-forwarded-for", "forwarded")
ADDRESS_HEADERS: Final = (
    "none",
    *ADDRESS_LISTS,
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
    "fly-client-ip",
    "fastly-client-ip",
    "x-client-ip",
    "x-azure-clientip",
    "x-appengine-user-ip",
    "x-envoy-external-address",
)

# TRACE and CONNECT are refused before any rule is asked.
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# What a client may say inside Streamlit's socket: the kinds of `BackMsg` in Streamlit 1.67.
MESSAGES: Final = (
    "rerun_script",
    "stop_script",
    "app_heartbeat",
    "file_urls_request",
    "clear_cache",
    "set_run_on_save",
    "load_git_info",
    "deferred_file",
    "dataframe_chunk",
    "install_skills",
    "dismiss_skills_nudge",
    "debug_disconnect_websocket",
    "debug_shutdown_runtime",
)

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# Prefixes shorter than these trust addresses that no operator owns; 10.0.0.0/8 and fc00::/7 are the widest private
# ones.
SHORTEST_TRUSTED_PREFIX: Final[Mapping[int, int]] = {4: 8, 6: 7}

# hstspreload.org asks for a year at least, and for the subdomains.
PRELOAD_DAYS: Final = 365
