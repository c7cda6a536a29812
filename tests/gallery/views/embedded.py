import streamlit as st
from streamlit.components.v1 import html

TALL = """<style>h1 { color: teal }</style><h1>Embedded</h1><p id=out>script has not run</p><script>
let told;
try { parent.document.title; told = "reaches the page"; } catch (error) { told = "kept apart"; }
document.getElementById("out").textContent = "script ran, origin " + self.origin + ", " + told;
</script><div style="height: 700px; background: linear-gradient(gold, teal)">tall</div>"""

st.title("Embedded")
again = st.button("Again")
st.iframe(TALL, height="content", alt="tall")
st.iframe("<p>short</p>", height="content", alt="short")
html("<p>fixed</p><script>document.body.append('by script')</script>", height=120)
html(
    "<p>net</p><script>fetch('/.gateway/whoami').then(() => document.body.append('answered'),"
    " () => document.body.append('no network'))</script>",
    height=120,
)
st.text("ran again" if again else "ran once")  # below the frames, whose places stay
