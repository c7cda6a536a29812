"""The script of the fair share benchmark: 50 ms of processor time in Python, and a few elements."""

import time

import streamlit as st

WORK = 0.05  # seconds of this thread's processor time, however long that takes

end = time.thread_time() + WORK
total = 0
while time.thread_time() < end:
    total = sum(number * number for number in range(200))

st.title("Computed")
st.metric("Result", total)
for step in range(3):
    st.markdown(f"Step {step + 1} is done.")
