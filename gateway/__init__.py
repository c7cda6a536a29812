"""streamlit-gateway: a hardened gateway around internal Streamlit tools."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Gateway", "__version__"]

if TYPE_CHECKING:
    from gateway.app import Gateway


def __getattr__(name: str) -> object:
    # Streamlit takes a second to import; `gateway --help` and the policy commands never need it.
    if name == "Gateway":
        from gateway.app import Gateway  # noqa: PLC0415

        return Gateway
    raise AttributeError(name)
