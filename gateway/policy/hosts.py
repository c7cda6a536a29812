"""Host names, origins and proxies as a policy writes them, in the one spelling that requests are compared with."""

from gateway.identity.host import parse_authority
from gateway.identity.origin import parse_origin
from gateway.policy.language import SHORTEST_TRUSTED_PREFIX
from gateway.policy.networks import parse_cidr
from gateway.policy.values import InvalidValueError, shown, text

_DEFAULT_PORTS = {"http": 80, "https": 443}


def host_pattern(value: object) -> str:
    """A host name, an address, or `*.` and a name: lower case, without trailing dot, IPv6 without brackets."""
    word = text(value)
    if word.startswith("."):
        raise InvalidValueError(f"{shown(word)} starts with a dot", f"write {shown('*' + word)} for the names below it")
    wildcard = word.startswith("*.")
    host, port = _authority(word.removeprefix("*."))
    if port is not None:
        raise InvalidValueError(f"{shown(word)} has a port", "leave the port out; hosts are compared without it")
    if wildcard and (":" in host or host.rpartition(".")[2].isdigit()):
        raise InvalidValueError(f"{shown(word)} is a wildcard before an address", "only names have names below them")
    return f"*.{host}" if wildcard else host


def host_and_port(value: object) -> tuple[str, int | None]:
    """What a client would write into its Host header: a host, and perhaps a port."""
    return _authority(text(value))


def _authority(word: str) -> tuple[str, int | None]:
    bare_ipv6 = word.count(":") > 1 and not word.startswith("[")
    named = parse_authority(f"[{word}]" if bare_ipv6 else word)
    if named is None:
        raise InvalidValueError(f"{shown(word)} is not a host", _host_hint(word))
    return named


def _host_hint(word: str) -> str:
    if "*" in word:
        return "a wildcard is the whole first label, as in *.corp.example"
    if "/" in word:
        return "write the host alone, without scheme and path"
    if not word.isascii():
        return "write international names in their ASCII form (xn--...)"
    return "write a name, an IPv4 address like 192.0.2.1, or an IPv6 address like [2001:db8::1]"


def origin(value: object) -> str:
    """A serialized origin (RFC 6454 §6.2), exactly as a browser sends it: scheme, host, and the port unless default."""
    word = text(value)
    named = parse_origin(word)
    if named is None:
        raise InvalidValueError(
            f"{shown(word)} is not an origin", "write scheme and host alone, like https://portal.corp.example"
        )
    scheme, host, port = named
    literal = f"[{host}]" if ":" in host else host
    serialized = f"{scheme}://{literal}" + ("" if port == _DEFAULT_PORTS[scheme] else f":{port}")
    if serialized != word:
        raise InvalidValueError(f"{shown(word)} is not what a browser sends", f"write {shown(serialized)}")
    return word


def outside(value: object) -> str:
    """The origin of one host outside, over https: what a document may load from. No wildcard, no path."""
    word = text(value)
    if "*" in word:
        raise InvalidValueError(
            f"{shown(word)} has a wildcard: a document could send what it knows to any host", "name each host"
        )
    if not word.startswith("https://"):
        raise InvalidValueError(f"{shown(word)} is not an https origin", "write it like https://images.example")
    return origin(word)


def trusted_proxy(value: object) -> str:
    """The CIDR of proxies that may name the client; ranges that nobody owns as a whole are refused."""
    word = text(value)
    if word == "*":
        raise InvalidValueError(
            "'*' trusts everybody: anybody could claim any address", "list the addresses of your proxies"
        )
    cidr = network(word)
    shortest = SHORTEST_TRUSTED_PREFIX[6 if ":" in cidr else 4]
    if int(cidr.rpartition("/")[2]) < shortest:
        raise InvalidValueError(
            f"{shown(word)} trusts more than any private range, so strangers could claim any address",
            "list the addresses of your proxies",
        )
    return cidr


def network(value: object) -> str:
    """A CIDR in its canonical spelling; a bare address means that address alone."""
    word = text(value)
    try:
        return str(parse_cidr(word))
    except ValueError as error:
        # The reader of CIDRs puts what to write behind the last semicolon.
        message, _, hint = _one_line(str(error)).rpartition("; ")
        raise InvalidValueError(
            message or hint, hint if message else "write a network like 192.0.2.0/24 or 2001:db8::/32"
        ) from error


def _one_line(message: str) -> str:
    return message if len(message) <= 300 else message[:297] + "..."
