"""A page that computes or sleeps for as long as the URL says, and tells how many scripts ran beside it."""

import sys
import threading
import time

import streamlit as st


def beside() -> int:
    """Script threads that are alive now."""
    return sum(thread.name == threading.current_thread().name for thread in threading.enumerate())


kind, _, seconds = st.query_params.get("work", "compute-0").partition("-")
end = time.thread_time() + float(seconds or 0)
most = beside()
if kind == "sleep":
    time.sleep(float(seconds))
while time.thread_time() < end and kind == "compute":
    most = max(most, beside())

if st.button("Add"):
    st.session_state.added = st.session_state.get("added", 0) + 1
st.markdown(f"thread {threading.current_thread().name}")
st.markdown(f"interval {sys.getswitchinterval():g}")
st.markdown(f"added {st.session_state.get('added', 0)}")
st.markdown(f"beside {max(most, beside())}")
