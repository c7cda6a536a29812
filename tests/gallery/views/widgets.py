from datetime import date, datetime, time

import samples
import streamlit as st

st.title("Widgets")
left, middle, right = st.columns(3)
with left:
    st.button("Button", icon=":material/thumb_up:", help="A tooltip")
    st.download_button("Download", "a,b\n1,2\n", "data.csv")
    st.link_button("Link", "https://tool.example/")
    st.page_link("views/texts.py", label="Page link", icon="📝")
    st.menu_button("Menu", ["one", "two"])
    st.checkbox("Checkbox")
    st.toggle("Toggle")
    st.radio("Radio", ["a", "b"])
    st.feedback("stars")
    st.pills("Pills", ["a", "b"])
    st.segmented_control("Segments", ["a", "b"])
with middle:
    st.selectbox("Select", ["a", "b", "c"])
    st.multiselect("Several", ["a", "b", "c"], default=["a"])
    st.slider("Slider", 0, 10, 5)
    st.select_slider("Word slider", ["low", "middle", "high"])
    st.number_input("Number", value=3)
    st.text_input("Text", "text")
    st.text_area("Area", "more text")
    st.color_picker("Colour", "#008080")
with right:
    st.date_input("Date", date(2026, 1, 2))
    st.time_input("Time", time(12, 30))
    st.datetime_input("Both", datetime(2026, 1, 2, 12, 30))  # noqa: DTZ001
    st.file_uploader("Upload", key="upload")
    with st.form("form"):
        st.text_input("In the form")
        st.form_submit_button("Submit")
st.chat_input("Say something", accept_file=True)
with st.chat_message("user"):
    st.write("A message")
with st.chat_message("assistant", avatar=samples.picture("orange", 32)):
    st.write("An answer")
