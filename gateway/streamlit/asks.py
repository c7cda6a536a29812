"""What a call asks of the content-security profile: the words in which rules, findings and the command speak of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from gateway.model import ContentSecurity


class Certainty(StrEnum):
    """How sure it is that a call needs what it asks for. `FINE` asks for nothing: it is told so that nobody wonders."""

    NEEDED = "needed"
    POSSIBLE = "possible"
    FINE = "fine"


@dataclass(frozen=True, slots=True)
class Ask:
    """One entry of a list below `[content_security]`: the relaxation `charts` in `add`, a host in `external.images`.

    An empty value stands for hosts that the source does not name.
    """

    key: str
    value: str

    @property
    def line(self) -> str:
        """As it is written in a policy."""
        return f'content_security.{self.key} = ["{self.value or "https://…"}"]'

    def is_met(self, policy: ContentSecurity) -> bool:
        """Whether the policy adds it already, or something that covers it."""
        if self.key == "add":
            return self.value in policy.add or (self.value == "charts" and "inline" in policy.add)
        if self.key in _ANY_HOST and "external-media" in policy.add:
            return True
        table, _, kind = self.key.partition(".")
        named: tuple[str, ...] = getattr(getattr(policy, table), kind)
        return self.value in named if self.value else bool(named)


_ANY_HOST: Final = ("external.images", "external.media")


@dataclass(frozen=True, slots=True)
class Hint:
    """What a rule says of a call. Without an ask: nothing is to be added, and `because` says why."""

    because: str
    ask: Ask | None = None
    certainty: Certainty = Certainty.NEEDED


def relaxation(name: str, because: str, certainty: Certainty = Certainty.NEEDED) -> Hint:
    """A call that needs one of the named relaxations."""
    return Hint(because, Ask("add", name), certainty)


def from_outside(key: str, url: str | None, what: str) -> Hint | None:
    """What the browser loads from that address; None when it is no address of another host."""
    if url is None or (origin := origin_of(url)) is None:
        return None
    plain = "; browsers refuse http: on a page that came over https" if url.lower().startswith("http:") else ""
    return Hint(f"the browser loads {what} from {origin}{plain}", Ask(key, origin))


def origin_of(url: str) -> str | None:
    """The https origin of an address with a host in it, as a policy writes it; None for anything else."""
    try:
        parts = urlsplit(url.strip())
        port = "" if parts.port in (None, 80, 443) else f":{parts.port}"
    except ValueError:
        return None
    host = parts.hostname or ""
    complete = "/" in url.partition("://")[2] or parts.path or parts.query or _is_whole(url)
    return f"https://{host}{port}" if parts.scheme in ("http", "https") and "." in host and complete else None


def _is_whole(url: str) -> bool:
    # `https://exam` may be the written beginning of a longer name, `https://example.com` hardly.
    return not url.endswith((".", "-"))
