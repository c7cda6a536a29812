"""The gallery: one page for each group of elements. Everything is made here; nothing is fetched from anywhere.

Each page ends with the line that the tests wait for.
"""

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).parent))

page = st.navigation(
    [
        st.Page("views/texts.py", title="Texts", url_path="texts", default=True, icon="📝"),
        st.Page("views/tables.py", title="Tables", url_path="tables"),
        st.Page("views/charts.py", title="Charts", url_path="charts"),
        st.Page("views/widgets.py", title="Widgets", url_path="widgets"),
        st.Page("views/layout.py", title="Layout", url_path="layout"),
        st.Page("views/media.py", title="Media", url_path="media"),
        st.Page("views/embedded.py", title="Embedded", url_path="embedded"),
        st.Page("views/webgl.py", title="WebGL", url_path="webgl"),
        st.Page("views/geo.py", title="Geo", url_path="geo"),
        st.Page("views/maps.py", title="Maps", url_path="maps"),
        st.Page("views/components.py", title="Components", url_path="components"),
        st.Page("views/inline.py", title="Inline", url_path="inline"),
        st.Page("views/outside.py", title="Outside", url_path="outside"),
    ]
)
page.run()
st.text(f"page {page.url_path or 'texts'} is complete")
