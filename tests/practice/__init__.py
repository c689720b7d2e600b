"""The exercises of the pages, in files of one's own: ``nox -s practice``."""

import sys
from pathlib import Path

# pytest finds `lesson`, which takes pages apart, by its own settings.
sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "_ext"))
