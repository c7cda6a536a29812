"""The script that both sides serve: a page of twenty elements and a table, with no work of its own to hide behind."""

import pandas as pd
import streamlit as st

READINGS = pd.DataFrame({"sample": range(100), "value": [50 + (index * 37) % 11 for index in range(100)]})

st.title("Readings")
limit = st.slider("Limit", 0, 100, 55)
name = st.text_input("Batch", "A-17")
st.markdown(f"Batch **{name}**, limit {limit}")
left, right = st.columns(2)
left.metric("Samples", len(READINGS))
right.metric("Above the limit", int((READINGS["value"] > limit).sum()))
st.dataframe(READINGS)
for step in range(8):
    st.markdown(f"{step + 1}. A line of the kind that a report has many of.")
