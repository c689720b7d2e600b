"""The line that installs what a page needs, for whoever takes a page away.

Without the address of the repository, it is said for a clone, which everybody has who
built this site.
"""

CLONE = 'python -m pip install -e ".[examples]"'


def requirement(repository: str) -> str:
    """Return what pip installs from the repository."""
    return f"pytorch-basics[examples] @ git+{repository}"


def command(repository: str) -> str:
    """Return the line that installs, in a shell."""
    return f'python -m pip install "{requirement(repository)}"' if repository else CLONE


def sentence(repository: str) -> str:
    """Return what a page needs and when to install it; the line follows."""
    where = "" if repository else ", from a clone of PyTorch Basics"
    return (
        f"This page needs torch, matplotlib and the snippets of PyTorch Basics. "
        f"Install them once{where}:"
    )


def notebook_cell(repository: str) -> str:
    """Return the first cell of a notebook; one opened in Colab installs by itself."""
    if not repository:
        return f"# {sentence('')}\n#     {CLONE}\n%matplotlib inline"
    return (
        "import importlib.util\n\n"
        'if importlib.util.find_spec("snippets") is None:\n'
        f'    %pip install -q "{requirement(repository)}"\n'
        "%matplotlib inline"
    )


def script_head(repository: str) -> str:
    """Return lines that say how to install, where the snippets are not installed."""
    said = sentence(repository).replace(". Install", ".\nInstall")
    return (
        "try:\n    import snippets  # noqa: F401\n"
        "except ModuleNotFoundError:\n"
        f"    raise SystemExit('''{said}\n    {command(repository)}''') from None\n\n"
    )
