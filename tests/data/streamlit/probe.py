"""A tool that shows what a script can see of its visitor, and does what only a hostile or broken one does."""

import streamlit as st

from gateway.streamlit import current

exchange = current()
st.text(f"address={st.context.ip_address}")
st.text(f"headers={sorted(st.context.headers.to_dict())}")
st.text(f"cookies={sorted(st.context.cookies.to_dict())}")
st.text(f"user={dict(st.user)}")
if exchange is not None:
    st.text(f"client={exchange.client.address} {exchange.client.provenance}")
    st.text(f"decision={exchange.decision.rule} {exchange.decision.policy.revision} {exchange.request_id}")
if st.button("Fail"):
    raise RuntimeError("a secret in a traceback: 4711")
