import time

import streamlit as st

st.title("Layout")
with st.sidebar:
    st.text("in the sidebar")
first, second = st.tabs(["First", "Second"])
first.text("in the first tab")
second.text("in the second tab")
with st.expander("Expander", expanded=True, icon=":material/info:"):
    st.text("in the expander")
with st.popover("Popover"):
    st.text("in the popover")
with st.container(border=True, height=100):
    st.text("in the container")
with st.container(horizontal=True):
    st.text("left")
    st.text("right")
grid = st.grid(3, border=True)
for number in range(3):
    grid.text(f"cell {number}")
with st.status("Status", expanded=True) as status:
    st.text("in the status")
    status.update(label="Done", state="complete")
place = st.empty()
place.text("first")
place.text("then")
st.empty()
st.skeleton(height=40)
with st.spinner("Spinner"):
    time.sleep(0.8)
st.progress(40, "Progress")
st.bottom.text("at the bottom")


@st.fragment
def fragment():
    st.button("Rerun the fragment")


@st.dialog("Dialog")
def dialog():
    st.text("in the dialog")


fragment()
if st.button("Open the dialog"):
    dialog()
st.toast("Toast", icon="🍞")
st.balloons()
st.snow()
