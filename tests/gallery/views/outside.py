import streamlit as st

st.set_page_config(page_icon=":material/science:")
st.title("Outside")
st.image("https://images.example/picture.png")
st.video("https://media.example/film.mp4")
st.video("https://www.youtube.com/watch?v=dQw4w9WgXcQ")
st.iframe("https://frames.example/")
st.markdown("![picture](https://images.example/other.png)")
