import time

import samples
import streamlit as st

st.set_page_config(page_title="Gallery", page_icon="🧪", layout="wide")
st.logo(samples.picture("navy"))
st.title("Texts")
st.header("Header", divider="rainbow")
st.subheader("Subheader")
st.markdown("**bold** &amp; &eacute;, $a^2 + b^2 = c^2$, :red[red], :material/home:, [link](#texts)")
st.markdown("<span style='color: teal'>HTML in Markdown</span>", unsafe_allow_html=True)
st.markdown("| a | b |\n|---|---|\n| 1 | `2` |\n\n```python\nprint('hello')\n```")
st.caption("Caption")
st.code("for n in range(3):\n    print(n)", language="python", line_numbers=True)
st.latex(r"\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}")
st.divider()
st.badge("Badge", icon="✅", color="green")
st.text("Text")
st.html("<p style='font-weight: 700'>HTML</p>")
st.mermaid_chart("graph LR\n  A[Start] --> B{Choice}\n  B -->|yes| C[End]\n  B -->|no| A")
st.space("small")
st.success("Success", icon="✅")
st.info("Info", icon=":material/info:")
st.warning("Warning")
st.error("Error")
st.exception(ValueError("an exception that is shown"))
st.write("Written:", 1, {"a": [1, 2]}, samples.TABLE.head(1)[["name", "flow"]])
st.write_stream(word + " " for word in ("a", "stream", "of", "words"))
with st.echo():
    st.json({"a": [1, 2, {"b": None}], "c": "text"})
st.help(time.sleep)
