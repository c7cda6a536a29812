"""HTTP/1 on the wire, as uvicorn and h11 speak it, with the limits and the strictness that they lack.

`server.py` starts it. `connections.py` has the limits of time and number, `framing.py` what a request head may look
like, `protocols.py` uvicorn's two protocol classes, `handshake.py` and `tls.py` what precedes the first request,
`listeners.py` the sockets, `replies.py` the headers on their way out.
"""
