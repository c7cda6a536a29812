import samples
import streamlit as st

st.title("Media")
st.image(samples.picture(), caption="Picture")
st.image([samples.picture("red"), samples.picture("blue")])
st.image('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="18"/></svg>')
st.audio(samples.sound())
st.video(b"\x1a\x45\xdf\xa3 not really a film", format="video/webm", subtitles="WEBVTT\n\n00:00.000 --> 00:01.000\nA\n")
st.camera_input("Camera")
st.audio_input("Record")
