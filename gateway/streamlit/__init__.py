"""The only package that knows Streamlit. Scripts may use `current`; everything else here is for the gateway."""

from gateway.streamlit.current import CurrentExchange, current

__all__ = ["CurrentExchange", "current"]
