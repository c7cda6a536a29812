"""A declared component that says in which origin it runs, and whether it reaches the page."""

from pathlib import Path

from streamlit.components.v1 import declare_component

probe = declare_component("probe", path=Path(__file__).parent / "component")
