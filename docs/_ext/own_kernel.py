"""Run the cheat sheets in a kernel with settings of its own, not the builder's.

Start-up files in somebody's IPython profile could change what a page prints. The
settings also leave out two messages that say nothing to who builds the site: that the
kernel talks over loopback unencrypted, and that a notebook is being run.
"""

import logging
import os
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def give_own_settings(app: Sphinx) -> None:
    """Point IPython to a profile that holds nothing but the level of its messages."""
    profile = Path(app.doctreedir, "ipython", "profile_default")
    profile.mkdir(parents=True, exist_ok=True)
    settings = 'get_config().IPKernelApp.log_level = "ERROR"\n'
    (profile / "ipython_kernel_config.py").write_text(settings, "utf-8")
    os.environ["IPYTHONDIR"] = str(profile.parent)
    logging.getLogger("traitlets").setLevel(logging.WARNING)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect before any page is run."""
    app.connect("builder-inited", give_own_settings, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
