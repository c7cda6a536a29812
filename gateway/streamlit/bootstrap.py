"""The first script of every page: what the browser must know before Streamlit's own scripts run."""

import json
from functools import lru_cache
from importlib.resources import files
from typing import Final

from gateway.model import ContentSecurity
from gateway.streamlit.profiles import PROFILES

_DIRECTORY: Final = files("gateway.streamlit").joinpath("browser")
# For every page, in this order, if the file is there.
_ALWAYS: Final = ("frames.js", "sockets.js")


@lru_cache(maxsize=16)
def bootstrap(policy: ContentSecurity) -> str:
    """The text of the script, for a policy; the same for every visitor, and without a nonce in it.

    Parts for a profile come also when it is only reported on: what it would block with its help is what counts.
    """
    profiles = [PROFILES[name] for name in (policy.profile, policy.report_only) if name is not None]
    names = ["styles.js"] * any(profile.nonced_styles for profile in profiles)
    names += ["trusted-types.js"] * any(profile.trusted_types for profile in profiles)
    # Under the last resort script in markup is wanted, and what is only a candidate must not change anything.
    facts = {"enforced": PROFILES[policy.profile].trusted_types and "inline" not in policy.add}
    head = f"const GATEWAY = {json.dumps(facts)};\n" if "trusted-types.js" in names else ""
    # A block, so that nothing in it becomes a global that Streamlit or a component could meet.
    return "{\n" + head + "".join(read(name) for name in (*names, *_ALWAYS) if _exists(name)) + "}\n"


@lru_cache(maxsize=16)
def read(name: str) -> str:
    """One of the scripts beside this module, without its comments."""
    lines = _DIRECTORY.joinpath(name).read_text("utf-8").splitlines()
    return "".join(f"{line}\n" for line in lines if not line.lstrip().startswith("//"))


def _exists(name: str) -> bool:
    return _DIRECTORY.joinpath(name).is_file()
