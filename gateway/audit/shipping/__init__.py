"""Shipping: a process of its own reads the log behind the gateway's back and hands it on, at least once and in order.

    source.py    what is acknowledged, event by event        sink.py     what a receiver must be able to do
    cursor.py    how far a receiver has confirmed            otlp.py     OTLP/HTTP
    shipper.py   from the one to the other, for ever         syslog.py   RFC 5424 over TLS
    target.py    what `--to` says                            drop.py     sealed segments into a directory

Nothing here is on the way of a request: a receiver that is down costs disk, and no visitor notices.
"""
