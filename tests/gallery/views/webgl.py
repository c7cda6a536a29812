import plotly.graph_objects as go
import streamlit as st

st.title("WebGL")
st.plotly_chart(go.Figure(go.Scattergl(x=[1, 2, 3], y=[3, 1, 2])), key="scattergl")
st.plotly_chart(go.Figure(go.Parcoords(dimensions=[{"values": [1, 2]}, {"values": [2, 1]}])), key="parcoords")
