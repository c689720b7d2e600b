"""Link torch, NumPy, Matplotlib and Python names to their official pages, offline.

Intersphinx would download the list of names and addresses of each project. Here the
lists are made from the installed packages, by a table with one rule for each kind of
page that the official documentation has. Nothing is fetched.
"""

import inspect
import pkgutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path, PurePath
from platform import python_version
from types import BuiltinFunctionType
from typing import Any

import numpy
import torch
from sphinx.application import Sphinx
from sphinx.config import Config
from torchvision import models

Choice = str | Callable[[Any], bool]


def has_docstring(value: Any) -> bool:
    """Tell whether a function, class or property has words of its own."""
    fits = callable(value) or inspect.isdatadescriptor(value)
    return fits and bool(getattr(value, "__doc__", None))


def instance_of(*kinds: type) -> Choice:
    """Choose the values of the given types."""
    return lambda value: isinstance(value, kinds)


def subclass_of(kind: type) -> Choice:
    """Choose a class and what derives from it."""
    return lambda value: isinstance(value, type) and issubclass(value, kind)


def defined_in(module: str) -> Choice:
    """Choose what a module itself defines, wherever it is imported to."""
    return lambda value: getattr(value, "__module__", None) == module


@dataclass(frozen=True)
class Rule:
    """Where the documentation keeps the chosen names of modules or classes.

    In the address, ``{name}`` is a name, ``{owner}`` the module or class that it is
    looked up in, ``{full}`` both with a dot between, and ``{home}`` the module that
    defines the object, which some pages are named after.
    """

    owners: str
    address: str
    choose: Choice = has_docstring
    skip: str = ""
    members: bool = False  # also list what each class defines, on the class's page


@dataclass(frozen=True)
class Project:
    """A site, its rules (the first that yields a name wins) and modules' pages."""

    site: str
    rules: tuple[Rule, ...]
    modules: dict[str, str]


# A comment names the pages of docs/source in pytorch/pytorch that hold the names.
HERE = "generated/{full}.html#{full}"
HOME = "generated/{home}.{name}.html#{home}.{name}"
ATTRIBUTES = "tensor_attributes.html#torch."
EXPORT = "user_guide/torch_compiler/export/api_reference.html#"
CONTEXT = "torch.autograd.function.FunctionCtx"
# Named in docstrings, yet without a page: what torch.md and tensors.md do not list.
TORCH_WITHOUT_PAGE = (
    "*_ *_copy *Error *Type *_pool1d DispatchKey Script* as_strided_scatter bilinear"
    " channel_shuffle conv1d conv2d conv3d conv_* cosine_similarity empty_permuted fork"
    " hardshrink hash_tensor import_* init_num_threads is_inference merge_type_*"
    " native_* nonzero_static pairwise_distance parse_* pdist pixel_* prelu"
    " *_per_tensor_dynamic split_with_sizes thread_safe_generator typename"
    " unify_type_list unsafe_* wait"
)
TENSOR_WITHOUT_PAGE = (
    "as_strided_* deg2rad_ exp2* grad_dtype heaviside_ index ipu is_cpu is_ipu is_mps"
    " is_neg is_xla is_xpu kron mtia new_empty_strided put rad2deg_ swap*_"
    " to_padded_tensor unsafe_*"
)
FUNCTIONAL_WITHOUT_PAGE = (
    "*_shuffle *_with_indices celu_ conv_tbc has_torch_* multi_head_* scaled_addmm*"
    " selu_"
)
TORCH_RULES = (
    # tensor_attributes, type_info, size, tensors, amp, torch
    Rule("torch", ATTRIBUTES + "dtype", instance_of(torch.dtype)),
    Rule("torch", ATTRIBUTES + "layout", "sparse_coo sparse_csr strided"),
    Rule("torch", ATTRIBUTES + "memory_format", "channels_last channels_last_3d"),
    Rule("torch", ATTRIBUTES + "memory_format", "contiguous_format preserve_format"),
    Rule("torch", ATTRIBUTES + "{name}", "device dtype layout memory_format"),
    Rule("torch", "type_info.html#{full}", "finfo iinfo"),
    Rule("torch", "size.html#{full}", "Size"),
    Rule("torch", "tensors.html#{full}", "Tensor"),
    Rule("torch torch.amp", "amp.html#torch.autocast", "autocast"),
    Rule("torch torch.amp", "amp.html#torch.cuda.amp.GradScaler", "GradScaler"),
    Rule("torch", "torch.html#constants", "inf nan"),
    Rule("torch", "torch.html#{full}", "SymBool SymFloat SymInt Tag"),
    Rule("torch", HOME, "inference_mode set_grad_enabled"),
    Rule(
        "torch", HERE, "Generator broadcast_shapes compiled_with_cxx11_abi from_dlpack"
    ),
    Rule("torch", HERE, "index_copy lu narrow_copy pca_lowrank set_default_dtype"),
    Rule("torch", HERE, "svd_lowrank unique"),
    Rule("torch", HERE, skip=TORCH_WITHOUT_PAGE),
    Rule("torch.Tensor", ATTRIBUTES + "{name}", "dtype layout"),
    Rule("torch.Tensor", "tensors.html#{full}", "H T mH mT"),
    Rule("torch.Tensor", "autograd.html#autograd-graph", "grad_fn"),
    Rule("torch.Tensor", HERE, "itemsize nbytes"),  # undocumented, but have a page
    Rule("torch.Tensor", HERE, skip=TENSOR_WITHOUT_PAGE),
    # nn, nn.functional, nn.init, nn.attention
    Rule("torch.nn", HOME, "Buffer Flatten Parameter Unflatten", members=True),
    Rule("torch.nn", HERE, members=True),
    Rule("torch.nn.parallel", HERE, "DistributedDataParallel", members=True),
    Rule("torch.nn.functional", HERE, "pixel_shuffle"),
    Rule("torch.nn.functional", HERE, skip=FUNCTIONAL_WITHOUT_PAGE),
    Rule("torch.nn.utils", HERE),
    Rule("torch.nn.utils.parametrizations torch.nn.utils.parametrize", HERE),
    Rule("torch.nn.utils.prune torch.nn.utils.rnn", HERE, members=True),
    Rule("torch.nn.init", "nn.init.html#{full}"),
    Rule("torch.nn.attention", HERE, "SDPBackend sdpa_kernel"),
    # optim
    Rule("torch.optim", "optim.html#{full}", "Optimizer"),
    Rule("torch.optim", "optim.html#{full}", "swap_in_optimizer_params_and_state"),
    Rule("torch.optim.swa_utils", "optim.html#{full}"),
    Rule("torch.optim.Optimizer", HERE),
    Rule("torch.optim torch.optim.lr_scheduler", HERE, members=True),
    # autograd, func.api, linalg, fft, random, distributions
    Rule("torch.autograd", HERE, "backward grad"),
    Rule("torch.autograd", HOME, "gradcheck gradgradcheck"),
    Rule("torch.autograd", "autograd.html#{full}", "Function"),
    Rule("torch.autograd", "autograd.html#{full}", "detect_anomaly set_detect_anomaly"),
    Rule("torch.autograd.Function", HERE, "backward forward jvp vmap"),
    Rule(CONTEXT, HERE, "mark_dirty mark_non_differentiable"),
    Rule(CONTEXT, HERE, "save_for_backward set_materialize_grads"),
    Rule("torch.autograd.functional", HERE),
    Rule("torch.autograd.graph", "autograd.html#autograd-graph", "Node"),
    Rule("torch.autograd.graph.Node", HERE, "metadata name next_functions"),
    Rule("torch.autograd.graph.Node", HERE, "register_hook register_prehook"),
    Rule("torch.autograd.graph", HERE, "increment_version"),
    Rule("torch.autograd.graph", "autograd.html#{full}", skip="queue_callback"),
    Rule("torch.func torch.linalg torch.fft", HERE, skip="LinAlgError rearrange"),
    Rule("torch.random", "random.html#{full}"),
    Rule("torch.distributions", "distributions.html#{home}.{name}", members=True),
    # data, checkpoint, hub, testing, backends, distributed
    Rule("torch.utils.data", "data.html#{home}.{name}", "DistributedSampler"),
    Rule("torch.utils.data", "data.html#{full}", skip="*DataPipe"),
    Rule("torch.utils.checkpoint", "checkpoint.html#{full}"),
    Rule("torch.hub", "hub.html#{full}"),
    Rule("torch.testing", "testing.html#{full}", "assert_close make_tensor"),
    Rule("torch.backends.cudnn", "backends.html#{full}", "benchmark deterministic"),
    Rule("torch.distributed", "distributed.html#{full}", "all_gather all_reduce"),
    Rule("torch.distributed", "distributed.html#{full}", "barrier broadcast"),
    Rule("torch.distributed", "distributed.html#{full}", "init_process_group"),
    Rule("torch.distributed", "distributed.html#{full}", "get_rank get_world_size"),
    # accelerator, cuda, profiler, export.api_reference, torch.compiler_api
    Rule("torch.accelerator", HOME, defined_in("torch.accelerator.memory")),
    Rule("torch.cuda", "cuda.html#{full}", "use_mem_pool"),
    Rule("torch.backends.cuda torch.backends.mps", "backends.html#{full}", "is_built"),
    Rule("torch.cuda", HOME, defined_in("torch.cuda.memory")),
    Rule("torch.cuda", HERE, skip="GreenContext current_solver_handle export_*"),
    Rule("torch.accelerator", HERE),
    Rule("torch.compiler", HERE, "allow_in_graph compile disable is_compiling reset"),
    Rule("torch.profiler", HOME, "record_function"),
    Rule("torch.profiler", "profiler.html#{full}", "ProfilerAction ProfilerActivity"),
    Rule("torch.profiler", "profiler.html#{full}", "profile", members=True),
    Rule("torch.profiler", "profiler.html#{home}.{name}", "schedule"),
    Rule("torch.export", EXPORT + "{home}.{name}", "Dim"),
    Rule("torch.export", EXPORT + "{full}", "ExportedProgram export load save"),
)
TORCH_MODULES = (
    "torch torch.accelerator torch.amp torch.autograd torch.backends torch.cuda"
    " torch.distributed torch.distributions torch.fft torch.func torch.hub torch.linalg"
    " torch.nn torch.optim torch.profiler torch.random torch.testing"
    " torch.utils.checkpoint torch.utils.data"
)


def model_rules(family: Any) -> Iterator[Rule]:
    """Give each model its page; its weights stand there too, they have none."""
    page = f"models/generated/{family.__name__}.{{model}}.html#{{{{full}}}}"
    for model in models.list_models(module=family):
        weights = models.get_model_weights(model).__name__
        yield Rule(family.__name__, page.format(model=model), f"{model} {weights}")


# models, ops, transforms, datasets, io, utils, tv_tensors, in pytorch/vision.
TORCHVISION_RULES = (
    *model_rules(models),
    *model_rules(models.detection),
    *model_rules(models.segmentation),
    Rule("torchvision.models", HERE, "get_model get_model_weights get_weight"),
    Rule("torchvision.models", HERE, "list_models"),
    Rule("torchvision.models.feature_extraction torchvision.ops", HERE),
    Rule("torchvision.transforms.v2 torchvision.transforms.v2.functional", HERE),
    Rule("torchvision.datasets torchvision.io torchvision.utils", HERE),
    Rule("torchvision.tv_tensors", HERE),
)
TORCHVISION_MODULES = (
    "torchvision.datasets torchvision.io torchvision.models torchvision.ops"
    " torchvision.transforms torchvision.tv_tensors torchvision.utils"
)

# reference/ in doc/source of numpy/numpy.
ARRAY = "reference/generated/{full}.html#{full}"
RANDOM = "reference/random/generated/{full}.html#{full}"
NUMPY_RULES = (
    Rule("numpy", ARRAY, "c_ mgrid ogrid r_ s_"),
    Rule("numpy", "reference/constants.html#{full}", "e inf nan newaxis pi"),
    Rule("numpy", "reference/arrays.scalars.html#{full}", subclass_of(numpy.generic)),
    Rule("numpy", ARRAY, skip="test"),
    Rule("numpy.ndarray numpy.linalg", ARRAY),
    Rule("numpy.random", "reference/random/generator.html#{full}", "Generator"),
    Rule("numpy.random", "reference/random/generator.html#{full}", "default_rng"),
    Rule("numpy.random", "reference/random/legacy.html#{full}", "RandomState"),
    Rule("numpy.random", RANDOM, skip="BitGenerator MT* PCG* Philox SFC* SeedSequence"),
    Rule("numpy.random.Generator", RANDOM),
)

# api/ in doc of matplotlib/matplotlib: pyplot_summary, and axes, figure, artist_api.
PLOT = "api/_as_gen/{full}.html#{full}"
MATPLOTLIB_RULES = (
    Rule("matplotlib.pyplot", PLOT, defined_in("matplotlib.pyplot")),
    Rule("matplotlib.axes", PLOT, "Axes"),
    Rule("matplotlib.figure", PLOT, "Figure"),
    Rule("matplotlib.artist", PLOT, "Artist"),
    Rule("matplotlib.figure.Figure", PLOT, "clear"),  # its docstring is inherited
    Rule(
        "matplotlib.axes.Axes matplotlib.figure.Figure matplotlib.artist.Artist", PLOT
    ),
)

# Doc/library in python/cpython.
STANDARD = (
    "collections contextlib copy dataclasses functools io itertools math os pathlib"
    " random sys tempfile time typing warnings"
)
LIBRARY = "library/{owner}.html#{full}"
COLLECTIONS = "library/collections.html#{full}"
PATHS = "library/pathlib.html#"
PYTHON_RULES = (
    Rule("builtins", "library/exceptions.html#{full}", subclass_of(BaseException)),
    Rule("builtins", "library/constants.html#{full}", "Ellipsis False None True"),
    Rule("builtins", "library/stdtypes.html#{full}", "bytearray bytes dict frozenset"),
    Rule("builtins", "library/stdtypes.html#{full}", "list memoryview range set str"),
    Rule("builtins", "library/stdtypes.html#{full}", "tuple"),
    Rule(
        "builtins",
        "library/functions.html#{full}",
        instance_of(BuiltinFunctionType, type),
    ),
    Rule("builtins.bytes builtins.dict builtins.str", "library/stdtypes.html#{full}"),
    Rule("builtins.frozenset builtins.set", "library/stdtypes.html#types-set"),
    Rule("builtins.list", "library/stdtypes.html#typesseq-mutable"),
    Rule("math", LIBRARY, instance_of(float)),
    Rule("os", LIBRARY, "devnull environ linesep name sep"),
    Rule("sys", LIBRARY, "argv byteorder executable float_info maxsize modules path"),
    Rule("sys", LIBRARY, "platform stderr stdin stdout version version_info"),
    Rule(STANDARD, LIBRARY),
    Rule("os.path", LIBRARY),
    Rule("collections.Counter", COLLECTIONS, "elements most_common subtract total"),
    Rule("collections.deque", COLLECTIONS),
    # Some of these classes have no docstring.
    Rule("collections.abc", "library/collections.abc.html#{full}", instance_of(type)),
    Rule("itertools.chain", "library/itertools.html#{full}"),
    Rule("pathlib.PurePath", PATHS + "{full}"),
    Rule("pathlib.Path", PATHS + "{full}", skip=" ".join(vars(PurePath))),
    Rule("pathlib.Path", PATHS + "pathlib.PurePath.{name}"),  # what it inherits
)


def pages(modules: str, address: str) -> dict[str, str]:
    """Give each module its page; ``{last}`` is the last part of its name."""
    return {
        name: address.format(name=name, last=name.rpartition(".")[2])
        for name in modules.split()
    }


PROJECTS = {
    "torch": Project(
        "https://docs.pytorch.org/docs/stable/",
        TORCH_RULES,
        pages(TORCH_MODULES, "{last}.html")
        | pages("torch.nn.functional torch.nn.init", "nn.{last}.html")
        | pages("torch.export", EXPORT),
    ),
    "torchvision": Project(
        "https://docs.pytorch.org/vision/stable/",
        TORCHVISION_RULES,
        pages("torchvision", "index.html")
        | pages(TORCHVISION_MODULES, "{last}.html")
        | pages("torchvision.transforms.v2", "transforms.html"),
    ),
    "numpy": Project(
        "https://numpy.org/doc/stable/",
        NUMPY_RULES,
        pages("numpy", "reference/index.html")
        | pages("numpy.linalg", "reference/routines.linalg.html")
        | pages("numpy.random", "reference/random/index.html"),
    ),
    "matplotlib": Project(
        "https://matplotlib.org/stable/",
        MATPLOTLIB_RULES,
        pages("matplotlib", "index.html")
        | pages("matplotlib.pyplot", "api/pyplot_summary.html")
        | pages("matplotlib.axes matplotlib.figure", "api/{last}_api.html"),
    ),
    "python": Project(
        "https://docs.python.org/3/",
        PYTHON_RULES,
        pages(STANDARD + " os.path", "library/{name}.html#module-{name}"),
    ),
}


def belongs(value: Any, module: str) -> bool:
    """Tell whether a module offers a value as its own, rather than imports it."""
    home = getattr(value, "__module__", None) or module
    return home.startswith(module) or isinstance(value, BuiltinFunctionType)


def public_names(owner: Any) -> list[str]:
    """Name what a module or class offers itself, not what it imports or inherits."""
    if isinstance(owner, type):
        package = owner.__module__.partition("._")[0]
        kin = [base for base in owner.__mro__ if base.__module__.startswith(package)]
        names = {name for base in kin for name in vars(base)}
    elif hasattr(owner, "__all__"):
        names = set(owner.__all__)
    else:
        names = {
            n for n, value in vars(owner).items() if belongs(value, owner.__name__)
        }
    return sorted(name for name in names if not name.startswith("_"))


def chosen(rule: Rule, owner: Any) -> Iterator[tuple[str, Any]]:
    """Look up the names that a rule wants; an older version may lack some."""
    if isinstance(rule.choose, str):
        for name in rule.choose.split():
            if hasattr(owner, name):
                yield name, getattr(owner, name)
        return
    for name in public_names(owner):
        value = getattr(owner, name, None)  # __all__ may promise too much
        skipped = any(fnmatchcase(name, pattern) for pattern in rule.skip.split())
        if not skipped and not inspect.ismodule(value) and rule.choose(value):
            yield name, value


def role(owner: Any, value: Any) -> str:
    """Tell what Sphinx calls this kind of object."""
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    if isinstance(owner, type):
        return "method" if callable(value) else "attribute"
    return "function" if callable(value) else "data"


def listed(rule: Rule) -> Iterator[tuple[str, str, str]]:
    """Yield name, role and address of everything that a rule covers."""
    for path in rule.owners.split():
        try:
            owner = pkgutil.resolve_name(path)
        except (AttributeError, ImportError):  # newer than the installed version
            continue
        for name, value in chosen(rule, owner):
            full = f"{path}.{name}".removeprefix("builtins.")
            home = getattr(value, "__module__", path)
            address = rule.address.format(owner=path, name=name, full=full, home=home)
            yield full, role(owner, value), address
            for member, part in vars(value).items() if rule.members else ():
                if not member.startswith("_") and has_docstring(part):
                    yield f"{full}.{member}", role(value, part), f"{address}.{member}"


def entries(project: Project) -> dict[str, tuple[str, str]]:
    """Map each documented name of a project to its role and address."""
    found = {name: ("module", address) for name, address in project.modules.items()}
    for rule in project.rules:
        for name, kind, address in listed(rule):
            found.setdefault(name, (kind, address))
    return found


def inventory(name: str, project: Project) -> bytes:
    """Write a project's names in version 2 of Sphinx's inventory format."""
    release = python_version() if name == "python" else version(name)
    head = "# Sphinx inventory version 2"
    head += f"\n# Project: {name}\n# Version: {release}\n"
    head += "# The remainder of this file is compressed using zlib.\n"
    lines = (
        f"{full} py:{kind} 1 {address} -\n"
        for full, (kind, address) in sorted(entries(project).items())
    )
    return head.encode() + zlib.compress("".join(lines).encode())


def write_inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the inventories that changed and return the mapping for intersphinx."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for name, project in PROJECTS.items():
        path = folder / f"{name}.inv"
        content = inventory(name, project)
        # An untouched file lets the next build stay incremental.
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
        mapping[name] = (project.site, str(path))
    return mapping


def configure(app: Sphinx, config: Config) -> None:
    """Give intersphinx local inventories."""
    config.intersphinx_mapping = write_inventories(Path(app.doctreedir, "inventories"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, ahead of the check that intersphinx does at 800."""
    app.setup_extension("sphinx.ext.intersphinx")
    app.connect("config-inited", configure, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
