import plotly.graph_objects as go
import streamlit as st

st.title("Geo")
st.plotly_chart(go.Figure(go.Choropleth(locations=["DEU", "FRA"], z=[1, 2])))
