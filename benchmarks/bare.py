"""`python -m benchmarks.bare run …`: Streamlit as its own dependencies make it, with h11 as the HTTP parser.

uvicorn silently takes httptools when it is installed, and Streamlit does not install it; our tests do. Both sides parse
with the same library then, and the comparison shows what the gateway costs, not what a parser does.
"""

import sys

sys.modules["httptools"] = None  # type: ignore[assignment] # the import of a name that is None fails as if it were not there

from streamlit.web.cli import main  # noqa: E402 - it imports uvicorn

if __name__ == "__main__":
    main(prog_name="streamlit")
