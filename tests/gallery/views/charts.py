import altair as alt
import plotly.graph_objects as go
import samples
import streamlit as st

st.title("Charts")
st.line_chart(samples.SERIES, x="x", y=["a", "b"])
st.area_chart(samples.SERIES, x="x", y="a")
st.bar_chart(samples.SERIES, x="x", y="b")
st.scatter_chart(samples.SERIES, x="a", y="b")
st.altair_chart(alt.Chart(samples.SERIES).mark_circle().encode(x="x", y="a", tooltip=["x", "a"]))
st.vega_lite_chart(
    samples.SERIES,
    {"mark": "bar", "encoding": {"x": {"field": "x", "type": "ordinal"}, "y": {"field": "b", "type": "quantitative"}}},
)
st.graphviz_chart("digraph { rankdir=LR; a -> b -> c; a -> c }")
st.echarts_chart(
    {"xAxis": {"data": ["a", "b"]}, "yAxis": {}, "tooltip": {}, "series": [{"type": "bar", "data": [1, 2]}]}
)
st.plotly_chart(go.Figure(go.Scatter(x=[1, 2, 3], y=[3, 1, 2])), key="scatter")
st.plotly_chart(go.Figure(go.Heatmap(z=[[1, 2], [3, 4]])), key="heatmap")
st.plotly_chart(go.Figure(go.Surface(z=[[1, 2, 3], [2, 4, 1], [3, 1, 2]])), key="surface")
st.plotly_chart(go.Figure(go.Sankey(node={"label": ["a", "b"]}, link={"source": [0], "target": [1], "value": [1]})))
st.plotly_chart(go.Figure(go.Table(header={"values": ["a"]}, cells={"values": [[1, 2]]})), key="table")
