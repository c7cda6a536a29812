"""Content-Security-Policy as a policy names it: profiles, relaxations, hosts outside, and what every surface gets."""

import inspect
import re
from dataclasses import replace
from datetime import date

import pytest

from gateway.middleware.exchange import Exchange
from gateway.middleware.headers import security_headers
from gateway.model import Client, ContentSecurity, Provenance, RequestContext, Sources, Surface, Target
from gateway.policy import language
from gateway.streamlit import profiles
from gateway.streamlit.bootstrap import bootstrap
from gateway.streamlit.content_security import base_of, changes_of, home_of, of_document, of_embedded
from gateway.streamlit.profiles import COMPONENT, EMBEDDED, INERT, PROFILES, RELAXATIONS
from tests.policy.sources import HEAD, HOSTS, OFFICE, SMALL, STAFF, TODAY, parse, problems

DEFAULT = ContentSecurity()
HOME = "https://tools.corp.example/base"


def directives(header: bytes | str) -> dict[str, list[str]]:
    text = header.decode() if isinstance(header, bytes) else header
    return {name: sources for name, *sources in (part.split() for part in text.split(";"))}


def of(policy=DEFAULT, home=HOME, base="/base"):
    return directives(of_document(policy, "R", home, base)[0][1])


# --- pages ----------------------------------------------------------------------------------------------------


def test_strict_allows_no_inline_script_and_no_eval():
    """The default profile: scripts by nonce alone, frames only for HTML that a script embeds."""
    [(name, _)] = of_document(ContentSecurity(), "R")
    found = of()
    assert name == b"content-security-policy"
    assert found["script-src"] == ["'nonce-R'", "'wasm-unsafe-eval'"]
    assert found["default-src"] == found["object-src"] == found["base-uri"] == found["frame-ancestors"] == ["'none'"]
    assert found["frame-src"] == [f"{HOME}/.gateway/frame/"]
    assert found["report-uri"] == ["/base/.gateway/csp-report"]


def test_max_also_takes_styles_by_nonce_and_enforces_trusted_types():
    """The hardest profile: no inline style element, and no text becomes script unless a policy of ours agrees."""
    found = of(ContentSecurity("max"))
    assert "'unsafe-inline'" not in found["style-src"]
    assert "'nonce-R'" in found["style-src"]
    assert found["require-trusted-types-for"] == ["'script'"]
    assert found["trusted-types"] == ["default", "dompurify"]


@pytest.mark.parametrize("profile", PROFILES)
def test_no_profile_has_what_streamlit_would_turn_into_a_gadget(profile):
    """No profile and no relaxation has `'strict-dynamic'`; scripts of `'self'` only the last resort."""
    for add in ((), *((name,) for name in RELAXATIONS), tuple(RELAXATIONS)):
        for _, value in of_document(ContentSecurity(profile, add, report_only="max"), "R", HOME):
            assert b"strict-dynamic" not in value
            assert "inline" in add or "'self'" not in directives(value)["script-src"]


@pytest.mark.parametrize("profile", PROFILES)
def test_relaxations_add_and_never_leave_none(profile):
    """A relaxation adds its sources to single directives; `'none'` beside a source would be ignored with a warning."""
    before = of(ContentSecurity(profile))
    for name in RELAXATIONS:
        found = of(ContentSecurity(profile, (name,)))
        assert found != before
        assert all(sources == ["'none'"] or "'none'" not in sources for sources in found.values())
        if name != "inline":
            assert all(set(before[key]) - {"'none'"} <= set(found[key]) for key in before)


def test_components_are_allowed_by_their_path_alone():
    """Packaged components are scripts from one path, not from `'self'`, which would bless uploads and media too."""
    found = of(ContentSecurity(add=("components",)))
    assert found["script-src"][-1] == f"{HOME}/_stcore/bidi-components/"
    assert found["worker-src"] == [f"{HOME}/_stcore/bidi-components/"]
    assert found["frame-src"] == [f"{HOME}/.gateway/frame/", f"{HOME}/component/"]


def test_the_last_resort_takes_the_nonce_away():
    """Beside a nonce, browsers ignore `'unsafe-inline'`: so `inline` replaces the whole directive."""
    found = of(ContentSecurity(add=("inline", "charts")))
    assert found["script-src"] == ["'self'", "'unsafe-inline'", "'unsafe-eval'", "blob:"]
    assert not any("nonce" in source for source in found["script-src"])


def test_hosts_outside_are_added_where_they_are_named():
    """`external` names hosts by what is loaded from them; each goes into its own directive and no other."""
    external = Sources(images=("https://i.example",), frames=("https://f.example",), fonts=("https://t.example",))
    found, before = of(ContentSecurity(external=external)), of()
    assert {name: set(found[name]) - set(before[name]) for name in found if found[name] != before[name]} == {
        "img-src": {"https://i.example"},
        "frame-src": {"https://f.example"},
        "font-src": {"https://t.example"},
    }


def test_a_site_may_be_named_that_shows_the_pages_in_a_frame():
    """Nobody may frame a page, but for the origins that the policy names."""
    found = of(ContentSecurity(frame_ancestors=("https://portal.corp.example",)))
    assert found["frame-ancestors"] == ["https://portal.corp.example"]


def test_a_candidate_profile_reports_beside_the_enforced_one():
    """`report_only` goes into its own header, without relaxations, and changes nothing that is enforced."""
    policy = ContentSecurity(add=("charts",), report_only="max")
    headers = dict(of_document(policy, "R", HOME))
    assert list(headers) == [b"content-security-policy", b"content-security-policy-report-only"]
    assert headers[b"content-security-policy"] == of_document(replace(policy, report_only=None), "R", HOME)[0][1]
    candidate = directives(headers[b"content-security-policy-report-only"])
    assert "'unsafe-eval'" not in candidate["script-src"]
    assert "require-trusted-types-for" in candidate


# --- where the application is ---------------------------------------------------------------------------------


def exchange(surface=Surface.PAGE, path="/", policy=DEFAULT, host="tools.corp.example", port=None):
    context = RequestContext(
        received_at=None,
        kind="http",
        peer="203.0.113.7",
        client=Client("203.0.113.7", Provenance.DIRECT),
        scheme="https",
        method="GET",
        path=path,
        surface=surface,
        host=host,
        port=port,
    )
    judged = replace(parse(SMALL, today=TODAY), content_security=policy)
    return Exchange("r1", context, judged, Target(surface))


HOMES = [  # host, port, base, home
    ("tools.corp.example", None, "", "https://tools.corp.example"),
    ("tools.corp.example", 8443, "/base", "https://tools.corp.example:8443/base"),
    ("127.0.0.1", 8501, "", "https://127.0.0.1:8501"),
    ("2001:db8::1", None, "", None),  # the grammar of CSP has no place for it
    (None, None, "", None),
    ("tools.corp.example", None, "/a;b", None),  # would begin another directive
    ("tools.corp.example", None, "/a b", None),
]


@pytest.mark.parametrize(("host", "port", "base", "home"), HOMES)
def test_home_is_the_address_that_the_browser_knows(host, port, base, home):
    """Our own paths are named with the host that the visitor asked for, where CSP can name it."""
    assert home_of(exchange(host=host, port=port), base) == home


def test_without_a_name_scripts_of_components_are_not_allowed():
    """Where CSP cannot name the host, frames fall back to `'self'`; scripts of the page do not."""
    found = of(ContentSecurity(add=("components",)), home=None)
    assert found["frame-src"] == ["'self'"]
    assert "'self'" not in found["script-src"]
    assert found["worker-src"] == ["'none'"]


@pytest.mark.parametrize(
    ("path", "below", "base"),
    [
        ("/", "/", ""),
        ("/ledger", "/ledger", ""),
        ("/base/", "/", "/base"),
        ("/base", "/", "/base"),
        ("/b/x", "/x", "/b"),
    ],
)
def test_base_is_what_stands_before_the_judged_path(path, below, base):
    """The path of the application in the visitor's browser, without a slash at the end."""
    assert base_of({"path": path}, exchange(path=below)) == base


# --- every other answer ---------------------------------------------------------------------------------------


def headers_of(surface, path, policy=DEFAULT, given=()):
    return dict(security_headers(given, exchange(surface, path, policy), changes_of))


INERT_ANSWERS = [
    ("media", Surface.MEDIA, "/media/0123.svg"),
    ("static", Surface.STATIC, "/static/js/index.js"),
    ("upload", Surface.UPLOAD, "/_stcore/upload_file/a/b"),
    ("a route of the owner", Surface.API, "/api/x"),
    ("a component where the policy has none", Surface.COMPONENT, "/component/st_aggrid.agGrid/index.html"),
    ("a packaged component", Surface.COMPONENT, "/_stcore/bidi-components/x/index.js"),
    ("nothing", Surface.PROBE, "/x"),
]


@pytest.mark.parametrize(("name", "surface", "path"), INERT_ANSWERS, ids=[row[0] for row in INERT_ANSWERS])
def test_what_is_no_document_is_inert(name, surface, path):
    """A file that is opened by itself runs nothing, has no origin, and is not guessed at."""
    headers = headers_of(surface, path, given=[(b"access-control-allow-origin", b"*"), (b"content-type", b"text/html")])
    assert headers[b"content-security-policy"] == INERT == b"default-src 'none'; frame-ancestors 'none'; sandbox"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-frame-options"] == b"DENY"
    assert headers[b"cross-origin-resource-policy"] == b"same-origin"
    assert b"access-control-allow-origin" not in headers


def test_a_declared_component_is_sandboxed_unless_the_policy_trusts_it():
    """In a sandbox without `allow-same-origin` a component has an origin of its own; a trusted one has the page's."""
    policy = ContentSecurity(add=("components",), trusted_components=("a.trusted",))
    sandboxed = headers_of(Surface.COMPONENT, "/component/b.other/index.html", policy)
    trusted = headers_of(Surface.COMPONENT, "/component/a.trusted/index.html", policy)
    assert "allow-scripts" in directives(sandboxed[b"content-security-policy"])["sandbox"]
    assert "allow-same-origin" not in directives(sandboxed[b"content-security-policy"])["sandbox"]
    assert "sandbox" not in directives(trusted[b"content-security-policy"])
    for headers in (sandboxed, trusted):
        found = directives(headers[b"content-security-policy"])
        assert found["frame-ancestors"] == ["'self'"]
        assert "https://tools.corp.example/component/" in found["script-src"]
        assert headers[b"x-frame-options"] == b"SAMEORIGIN"
    # Its own files are asked for from an origin that is nobody's.
    assert sandboxed[b"access-control-allow-origin"] == b"*"
    assert sandboxed[b"cross-origin-resource-policy"] == b"cross-origin"
    assert b"access-control-allow-origin" not in trusted
    assert trusted[b"cross-origin-resource-policy"] == b"same-origin"


def test_embedded_html_has_no_network_but_for_named_hosts():
    """HTML that a script embeds runs in a sandbox and can send nothing anywhere, unless the policy names the host."""
    found = directives(of_embedded(ContentSecurity()))
    assert next(iter(found)) == "sandbox"
    assert "allow-same-origin" not in found["sandbox"]
    assert found["default-src"] == found["form-action"] == ["'none'"]
    assert found["connect-src"] == ["data:", "blob:"]
    assert not any(
        "https:" in source or source == "'self'"
        for name in found
        for source in found[name]
        if name != "frame-ancestors"
    )
    named = ContentSecurity(embedded=Sources(scripts=("https://cdn.example",), frames=("https://f.example",)))
    assert "https://cdn.example" in directives(of_embedded(named))["script-src"]
    assert directives(of_embedded(named))["frame-src"] == ["https://f.example"]


def test_every_answer_is_isolated_under_max():
    """A page is cross-origin isolated only if everything in it agrees, so every answer says it."""
    for surface, path in (
        (Surface.PAGE, "/"),
        (Surface.STATIC, "/static/js/a.js"),
        (Surface.GATEWAY, "/.gateway/frame/a"),
    ):
        assert headers_of(surface, path, ContentSecurity("max"))[b"cross-origin-embedder-policy"] == b"require-corp"
        assert b"cross-origin-embedder-policy" not in headers_of(surface, path)


def test_an_answer_keeps_its_own_policy():
    """What brings its own Content-Security-Policy keeps it, and gets no second one."""
    given = [(b"content-security-policy", b"default-src 'self'")]
    found = security_headers(given, exchange(Surface.API, "/api/x"), changes_of)
    assert [value for name, value in found if name == b"content-security-policy"] == [b"default-src 'self'"]


# --- the first script of a page -------------------------------------------------------------------------------


def test_the_bootstrap_has_the_parts_that_the_profile_needs():
    """Pages under `strict` get no style or Trusted Types part; a profile that is only reported on gets its parts."""
    strict, hard = bootstrap(ContentSecurity()), bootstrap(ContentSecurity("max"))
    assert "createPolicy" not in strict
    assert "createElement" not in strict
    assert "createPolicy" in hard
    assert "createElementNS" in hard
    assert '"enforced": true' in hard
    assert '"enforced": true' in bootstrap(ContentSecurity("max", ("charts",)))


def test_a_candidate_changes_nothing():
    """Trusted Types that are only reported on let everything through; so does the last resort."""
    for policy in (ContentSecurity(report_only="max"), ContentSecurity("max", ("inline",))):
        assert "createPolicy" in bootstrap(policy)
        assert '"enforced": false' in bootstrap(policy)


def test_the_bootstrap_cannot_end_its_own_element():
    """The script stands in a `script` element, so it must not hold what ends one, nor a mark of the document."""
    for policy in (ContentSecurity(), ContentSecurity("max", tuple(RELAXATIONS))):
        assert not re.search(r"</script|<!--|@gateway", bootstrap(policy), re.IGNORECASE)


# --- the data -------------------------------------------------------------------------------------------------


def test_the_language_knows_exactly_these_names():
    """What a policy may name is what exists."""
    assert frozenset(language.PROFILES) == frozenset(PROFILES)
    assert frozenset(language.RELAXATIONS) == frozenset(RELAXATIONS)


def test_every_entry_has_a_reason_and_every_set_a_date():
    """Each profile and relaxation says since when and why; each of its entries says why."""
    entries = [*EMBEDDED, *COMPONENT]
    for each in (*PROFILES.values(), *RELAXATIONS.values()):
        assert each.since >= date(2026, 11, 25)
        entries += each.entries
    assert all(profile.basis for profile in PROFILES.values())
    assert all(relaxation.because for relaxation in RELAXATIONS.values())
    assert [entry for entry in entries if len(entry.because) < 8] == []
    assert "strict-dynamic" in inspect.getdoc(profiles)


# --- the policy language --------------------------------------------------------------------------------------


def content_security(text: str) -> str:
    return HEAD + OFFICE + HOSTS + STAFF + f"[content_security]\n{text}\n"


def test_a_policy_says_all_of_it():
    """Every key of the section is read."""
    text = """profile = "max"
add = ["components", "charts"]
report_only = "strict"
external = { images = ["https://images.example"], connect = ["https://tiles.example:8443"] }
embedded = { scripts = ["https://cdn.example"] }
trusted_components = ["st_aggrid.agGrid"]
frame_ancestors = ["https://portal.corp.example"]"""
    assert parse(content_security(text)).content_security == ContentSecurity(
        "max",
        ("components", "charts"),
        "strict",
        Sources(images=("https://images.example",), connect=("https://tiles.example:8443",)),
        Sources(scripts=("https://cdn.example",)),
        ("st_aggrid.agGrid",),
        ("https://portal.corp.example",),
    )


WRONG = [
    ("any host", 'external = { images = ["*"] }', "external.images[0]", "name each host"),
    ("a wildcard", 'external = { images = ["https://*.example"] }', "external.images[0]", "name each host"),
    ("a scheme", 'external = { images = ["https:"] }', "external.images[0]", "https://images.example"),
    ("plain http", 'external = { media = ["http://a.example"] }', "external.media[0]", "https://images.example"),
    ("a path", 'external = { media = ["https://a.example/x"] }', "external.media[0]", "scheme and host alone"),
    ("a directive", 'external = { media = ["https://a.example; script-src *"] }', "external.media[0]", "wildcard"),
    ("two sources", 'external = { media = ["https://a.example https://b.example"] }', "external.media[0]", "origin"),
    ("a keyword", "embedded = { scripts = [\"'self'\"] }", "embedded.scripts[0]", "https origin"),
    ("scripts of pages", 'external = { scripts = ["https://a.example"] }', "external", "unknown key"),
    ("a component's path", 'add = ["components"]\ntrusted_components = ["a/b"]', "trusted_components[0]", "agGrid"),
    ("trust in nothing", 'trusted_components = ["a.b"]', "trusted_components", "components"),
    ("any ancestor", 'frame_ancestors = ["*"]', "frame_ancestors[0]", "origin"),
]


@pytest.mark.parametrize(("name", "text", "where", "word"), WRONG, ids=[row[0] for row in WRONG])
def test_what_would_let_out_more_than_it_says_is_refused(name, text, where, word):
    """Hosts outside are https origins, one by one; whatever else could stand in a CSP is an error with its place."""
    found = problems(content_security(text))
    assert [
        each for each in found if f"content_security.{where}" in each.place and word in f"{each.message} {each.hint}"
    ], found


def test_risky_relaxations_are_noted():
    """`gateway policy check` says what is given up with `inline` and `external-media`."""
    from gateway.policy.parse import PolicySource, unenforced

    source = PolicySource("f", "0001", content_security('add = ["maps", "inline", "external-media"]').encode(), {})
    notes = {note.place: note.message for note in unenforced(source)}
    assert set(notes) == {"f: content_security.add[1]", "f: content_security.add[2]"}
    assert "cross-site scripting" in notes["f: content_security.add[1]"]
