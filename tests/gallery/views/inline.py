import streamlit as st

st.title("Inline")
st.html("<style>.gallery { color: teal }</style><p class='gallery'>styled</p>")
st.html("<p id='by-script'>script has not run</p>")
st.html(
    "<script>document.getElementById('by-script').textContent = 'script ran'</script>", unsafe_allow_javascript=True
)
