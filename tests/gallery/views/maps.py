import pydeck as pdk
import samples
import streamlit as st

st.title("Maps")
st.map(samples.PLACES)
st.pydeck_chart(
    pdk.Deck(
        initial_view_state=pdk.ViewState(latitude=52, longitude=13, zoom=3),
        layers=[pdk.Layer("ScatterplotLayer", samples.PLACES, get_position="[lon, lat]", get_radius=50_000)],
    )
)
