"""A small tool with everything that the protocol client must handle: pages, widgets, an upload, an error."""

import streamlit as st


def home() -> None:
    st.title("Home")
    name = st.text_input("Name")
    times = st.number_input("Times", value=1, step=1)
    kind = st.selectbox("Kind", ["plain", "loud"])
    if st.checkbox("Greet"):
        greeting = " ".join([f"hello {name}"] * int(times))
        st.markdown(greeting.upper() if kind == "loud" else greeting)
    if st.button("Click me"):
        st.success("clicked")
    if st.button("Break"):
        raise ValueError("broken on purpose")
    if st.button("Go to the ledger"):
        st.switch_page(LEDGER)


def ledger() -> None:
    st.header("Ledger")
    file = st.file_uploader("Bookings")
    if file is not None:
        st.text(f"{file.name} has {len(file.getvalue())} bytes: {file.getvalue()[:20]!r}")


LEDGER = st.Page(ledger, title="Ledger")
st.navigation([st.Page(home, title="Home", default=True), LEDGER]).run()
