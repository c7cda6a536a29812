"""Headers that h11 has checked once."""

import h11
import pytest

from gateway.http1.replies import DefaultHeaders, sendable

SECURITY = [(b"X-Frame-Options", b"DENY"), (b"x-content-type-options", b"nosniff")]


def sent(headers):
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.next_event()
    return connection.send(h11.Response(status_code=200, headers=headers, reason=b"OK"))


def test_what_is_sent_is_what_h11_would_send():
    """The bytes on the wire are those of a response whose headers h11 has checked itself."""
    headers = [(b"date", b"now"), *SECURITY, (b"content-length", b"2")]
    assert sent(DefaultHeaders(headers[:1]) + headers[1:]) == sent(headers)


def test_what_follows_is_added():
    """uvicorn adds `Connection: close` to headers that are already together."""
    together = DefaultHeaders([]) + SECURITY + [(b"connection", b"close")]
    assert b"connection: close\r\n" in sent(together)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a line break in a value", (b"x-a", b"b\r\nset-cookie: c")),
        ("a space in a name", (b"x a", b"b")),
        ("a NUL", (b"x-a", b"\x00")),
        ("a length that is none", (b"content-length", b"-1")),
        ("a length in other digits", (b"content-length", "٣".encode())),
        ("a blank at the end", (b"x-a", b"b\x0b")),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("times", [1, 2])
def test_what_h11_refuses_is_refused(name, header, times):
    """A header that could split a response is refused each time, whatever is remembered."""
    for _ in range(times):
        with pytest.raises(h11.LocalProtocolError):
            sendable([header])


def test_two_lengths_are_judged_together():
    """What frames the body is checked by h11 for each response as a whole."""
    with pytest.raises(h11.LocalProtocolError):
        sendable([(b"content-length", b"1"), (b"content-length", b"2")])
