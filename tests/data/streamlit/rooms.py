"""A tool with one room that not everybody may see, and every way of getting there that a script has."""

import threading
import time

import streamlit as st
from streamlit.runtime.scriptrunner import add_script_run_ctx

SECRET = "vault-combination-4711"


def hall() -> None:
    st.title("Hall")
    st.text_input("Note", key="note")
    if st.button("Switch", key="switch"):
        st.switch_page(VAULT)
    if st.button("Switch with a query", key="query"):
        st.switch_page(VAULT, query_params={"from": "hall"})
    st.button("Switch in a callback", key="callback", on_click=lambda: st.session_state.update(go=True))
    if st.session_state.pop("go", False):
        st.switch_page(VAULT)
    inner()
    ticking()
    if st.button("Switch after a while", key="later"):
        st.text("leaving")
        time.sleep(0.3)
        st.switch_page(VAULT)
    if st.button("Fail", key="fail"):
        raise RuntimeError("the text of this error holds data: 1234-5678")
    if st.button("Work", key="work"):
        time.sleep(0.5)
        st.text("worked")


@st.fragment
def inner() -> None:
    if st.button("Switch in a fragment", key="fragment"):
        st.switch_page(VAULT)


@st.fragment(run_every=0.5)
def ticking() -> None:
    st.text(f"tick {st.session_state.setdefault('ticks', 0)}")
    st.session_state["ticks"] += 1


def library() -> None:
    st.title("Library")
    if st.button("Switch", key="library switch"):
        st.switch_page(VAULT)


def vault() -> None:
    st.set_page_config(page_title=f"title {SECRET}")
    st.title(f"Vault {SECRET}")
    st.session_state["opened"] = True
    st.toast(SECRET)
    st.logo("https://example.invalid/logo.png")
    st.image(PIXEL, caption=SECRET)
    thread = threading.Thread(target=whisper)
    add_script_run_ctx(thread)
    thread.start()
    time.sleep(0.2)
    st.text(SECRET)


def whisper() -> None:
    for _ in range(8):
        st.text(f"whispered {SECRET}")
        time.sleep(0.1)


PIXEL = "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>"
HALL = st.Page(hall, title="Hall", default=True)
LIBRARY = st.Page(library, title="Library")
VAULT = st.Page(vault, title="Vault", icon="🔐")
page = st.navigation({"Rooms": [HALL, LIBRARY], "Locked": [VAULT]})
st.sidebar.text(f"opened={st.session_state.get('opened', False)}")
page.run()
