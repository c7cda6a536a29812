"""What the gateway costs: bare Streamlit and the gateway side by side, in one run, on the same machine."""
