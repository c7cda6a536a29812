import samples
import streamlit as st
from probe import probe
from st_aggrid import AgGrid

st.title("Components")
st.text(f"probe: {probe(key='probe', default='silent')}")
AgGrid(samples.TABLE[["name", "flow"]], height=150, key="grid")
st.pdf(samples.paper(), height=300)
inline = st.components.v2.component(
    "gallery_inline",
    html="<p class='inline'>packaged</p>",
    css=".inline { color: teal }",
    js="export default ({ parentElement: at }) => { at.querySelector('p').textContent = 'inline component ran' }",
)
inline(key="inline")
