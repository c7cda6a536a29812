"""Statistical process control: Shewhart charts and the Western Electric rules, as functions without side effects.

    content = Path("measurements.csv").read_bytes()
    study = make_study(read_measurements(content), value="diameter_mm", subgroup="subgroup")
    study.limits, study.flagged

`streamlit_app.py` puts a page in front of it. Nothing here knows Streamlit or the gateway.
"""

from examples.spc.measurements import MAX_BYTES, MAX_ROWS, Measurements, UnusableDataError, read_measurements, safe_csv
from examples.spc.rules import RULES, Rule
from examples.spc.study import Study, make_study

__all__ = [
    "MAX_BYTES",
    "MAX_ROWS",
    "RULES",
    "Measurements",
    "Rule",
    "Study",
    "UnusableDataError",
    "make_study",
    "read_measurements",
    "safe_csv",
]
