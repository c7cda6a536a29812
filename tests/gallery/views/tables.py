import samples
import streamlit as st

st.title("Tables")
st.dataframe(
    samples.TABLE,
    column_config={
        "trend": st.column_config.LineChartColumn(),
        "place": st.column_config.LinkColumn(),
        "flow": st.column_config.ProgressColumn(min_value=0, max_value=5),
    },
)
st.dataframe(samples.TABLE[["name", "flow"]].style.highlight_max(subset="flow", color="gold"))
st.data_editor(samples.TABLE[["name", "flow", "good"]], num_rows="dynamic")
st.table(samples.TABLE[["name", "flow"]])
st.table(samples.TABLE[["name", "flow"]].style.highlight_min(subset="flow", color="lightblue"))
left, right = st.columns(2)
left.metric("Flow", "4.75", "0.5", chart_data=[1, 3, 2, 4], chart_type="line", border=True)
right.metric("Pressure", "1.2", "-0.1", chart_data=[4, 3, 2, 1], chart_type="bar")
st.pagination(9)
