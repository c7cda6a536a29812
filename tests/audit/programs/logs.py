"""Logs in every way in which this process's parts log, to stderr."""

import logging
import sys

from gateway.audit.log import configure_logging

logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler())  # what uvicorn's own command has set up before
configure_logging(sys.argv[1], "info")
configure_logging(sys.argv[1], "info")

import structlog  # noqa: E402
from streamlit.logger import get_logger, update_formatter  # noqa: E402

get_logger("streamlit.web.server").warning("one PUT /_stcore/upload_file/hunter2-session/file.csv")
update_formatter()  # Streamlit does this when it has read its configuration
get_logger("streamlit.web.server").warning("two")
logging.getLogger("uvicorn.error").info("three Authorization: Bearer hunter2")
logging.getLogger("uvicorn.access").info("four GET /?token=hunter2")
logging.getLogger("websockets.server").info("five\x1b[31m")
structlog.get_logger("gateway.x").info("six", password="hunter2", count=3)
structlog.get_logger("gateway.x").debug("seven")
try:
    raise ValueError("eight")
except ValueError:
    logging.getLogger("somewhere").exception("broken")
