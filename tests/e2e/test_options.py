"""Streamlit's own options, whatever the tool's configuration says."""

from tests.e2e.conftest import gateway_served

CONFIG = """
[browser]
gatherUsageStats = true
[client]
showErrorDetails = "full"
toolbarMode = "developer"
[server]
enableXsrfProtection = false
enableCORS = false
enableAgentApi = true
runOnSave = true
scriptHealthCheckEnabled = true
maxUploadSize = 4000
[theme]
primaryColor = "#aa0000"
"""
SHOW = """
import streamlit as st
for name in (
    "browser.gatherUsageStats", "client.showErrorDetails", "client.toolbarMode", "client.allowedOrigins",
    "server.enableXsrfProtection", "server.enableCORS", "server.enableAgentApi", "server.runOnSave",
    "server.scriptHealthCheckEnabled", "server.fileWatcherType", "server.headless", "server.maxUploadSize",
    "server.trustedUserHeaders", "theme.primaryColor",
):
    st.text(f"{name}={st.get_option(name)}")
"""


def test_hardened_options_win_over_the_tools_configuration(tmp_path):
    """What weakens the gateway is overruled; what only changes the looks is the tool's own."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text(CONFIG)
    script = tmp_path / "tool.py"
    script.write_text(SHOW)
    with gateway_served(tmp_path, script=script) as gateway, gateway.connect() as client:
        found = dict(line.split("=", 1) for line in client.rerun().text.splitlines())
        health_check = gateway.get("/_stcore/script-health-check").status_code
    assert found == {
        "browser.gatherUsageStats": "False",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "viewer",
        "client.allowedOrigins": "[]",
        "server.enableXsrfProtection": "True",
        "server.enableCORS": "True",
        "server.enableAgentApi": "False",
        "server.runOnSave": "False",
        "server.scriptHealthCheckEnabled": "False",
        "server.fileWatcherType": "none",
        "server.headless": "True",
        "server.maxUploadSize": "1",
        "server.trustedUserHeaders": str(
            {
                "x-gateway-user": "id",
                "x-gateway-method": "method",
                "x-gateway-groups": "groups",
                "x-gateway-session": "session",
            }
        ),
        "theme.primaryColor": "#aa0000",
    }
    assert health_check == 404
