"""Small, tested pieces of PyTorch code to import or to paste.

Each module stands alone: it imports torch, the standard library and nothing else
from this package, so a single file can be copied into another project.
`snippets.drawing` also needs matplotlib.
"""
