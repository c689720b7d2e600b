"""Link methods of tensors and arrays in the code of pages; leave plain variables be.

Sphinx-Gallery links ``torch.add`` and ``loss.backward``. It does not see methods that
are written in C, such as ``x.add_``, and it links each variable to its class, so that a
page would be full of links to `torch.Tensor`. This corrects the list of names that it
keeps beside each page.
"""

import json
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

Names = dict[str, list[dict[str, Any]]]
CLASSES = ("torch", "Tensor"), ("numpy", "ndarray")


def is_instance(candidate: dict[str, Any]) -> bool:
    """Tell whether a name is linked only because of the class of what it holds."""
    module = sys.modules.get(candidate["module"])
    named = getattr(module, candidate["name"], None)
    return isinstance(named, type) and not candidate["is_class"]


def corrected(names: Names) -> Names:
    """Return the names with methods of tensors added and variables left out."""
    result: Names = {}
    for name, candidates in names.items():
        root, _, attribute = name.partition(".")
        methods = [
            _method(module, kind, attribute)
            for module, kind in CLASSES
            if attribute and _holds(names.get(root, []), module, kind)
        ]
        others = [c for c in candidates if c["is_explicit"] or not is_instance(c)]
        if methods or others:
            result[name] = methods + others
    return result


def _holds(candidates: list[dict[str, Any]], module: str, kind: str) -> bool:
    return any((c["module_short"], c["name"]) == (module, kind) for c in candidates)


def _method(module: str, kind: str, attribute: str) -> dict[str, Any]:
    return {
        "name": f"{kind}.{attribute}",
        "module": module,
        "module_short": module,
        "is_class": False,
        "is_explicit": False,
    }


def correct_names(app: Sphinx) -> None:
    """Rewrite the lists of the pages that have just been run."""
    for path in sorted((Path(app.srcdir) / "gallery").glob("*/*.codeobj.json")):
        names = json.loads(path.read_text("utf-8"))
        if (better := corrected(names)) != names:
            path.write_text(json.dumps(better, sort_keys=True, indent=1), "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect after Sphinx-Gallery, which runs the pages at the default priority."""
    app.connect("builder-inited", correct_names, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
