"""Places outside a project: the folder for what can be made again, and the hub."""

from __future__ import annotations

import os
import re
from pathlib import Path

_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


def cache_folder() -> Path:
    """$REGARD_CACHE, or else `regard` in the user's cache folder ($XDG_CACHE_HOME, ~/.cache); it need not exist."""
    if own := os.environ.get("REGARD_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "regard"


def may_be_hub_id(name: str) -> bool:
    """Whether a name of nothing here may be an id of the hub, owner/name.

    Not where a folder `owner` is here: then `owner/name` is a slip of the pen, and nobody's to know.
    """
    return _ID.fullmatch(name) is not None and not Path(name).parent.is_dir()
