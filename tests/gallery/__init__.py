"""A Streamlit tool that uses every element of Streamlit, for what a browser does with them under each profile."""
