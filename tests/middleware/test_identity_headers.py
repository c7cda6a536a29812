"""Which header names claim something, in which spelling, and what happens to them."""

import pytest

from gateway.middleware.identity_headers import claims, smuggled

# From the conventions of oauth2-proxy, Authelia, Pomerium, Cloudflare Access, Google IAP, AWS ALB, Azure App Service.
CLAIMS = [
    *("x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username"),
    *("x-auth-request-user", "x-auth-request-email", "x-auth-request-access-token"),
    *("remote-user", "remote-groups", "remote-email", "remote-name", "x-remote-user"),
    *("x-pomerium-jwt-assertion", "cf-access-jwt-assertion", "cf-access-authenticated-user-email"),
    *("x-goog-iap-jwt-assertion", "x-goog-authenticated-user-email", "x-amzn-oidc-data", "x-amzn-oidc-identity"),
    *("x-ms-client-principal", "x-ms-client-principal-name", "tailscale-user-login", "x-webauth-user"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-forwarded-uri", "forwarded"),
    *("x-real-ip", "true-client-ip", "cf-connecting-ip", "x-original-url", "x-rewrite-url", "x-http-method-override"),
    *("x-gateway-exchange", "x-gateway-user"),
]
ORDINARY = ["host", "accept", "cookie", "origin", "user-agent", "content-type", "sec-fetch-site", "x-requested-with",
            "x-xsrftoken", "authorization", "if-none-match", "range", "sec-websocket-key", "x-request-id"]  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_are_known_in_every_spelling(name):
    """Dash, underscore, mixed and upper case all name the same header to somebody."""
    spellings = (name, name.upper(), name.replace("-", "_"), name.title(), name.replace("-", "_", 1))
    assert all(claims(spelling.encode()) for spelling in spellings)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_headers_pass(name):
    """What a browser sends is left alone."""
    assert not claims(name.encode())


SMUGGLED = [
    ("an honest proxy's header", [b"x-forwarded-user"], False),
    ("two different ones", [b"x-forwarded-user", b"x-forwarded-email"], False),
    ("an underscore (CVE-2025-64484)", [b"x_forwarded_user"], True),
    ("half an underscore", [b"x-forwarded_user"], True),
    ("the same one twice", [b"x-forwarded-user", b"x-forwarded-user"], True),
    ("twice, in two cases", [b"x-forwarded-user", b"X-Forwarded-User"], True),
    ("several lines of addresses are lawful", [b"x-forwarded-for", b"x-forwarded-for"], False),
    ("an address by underscore", [b"x_real_ip"], True),
]


@pytest.mark.parametrize(("name", "names", "expected"), SMUGGLED, ids=[name for name, *_ in SMUGGLED])
def test_what_counts_as_smuggled(name, names, expected):
    """An underscore or a second identity header has no honest sender."""
    assert smuggled(names) is expected
