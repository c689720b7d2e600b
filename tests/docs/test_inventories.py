"""The links to official pages that the site makes without a network."""

import os
import posixpath
import re
from types import SimpleNamespace

import inventories
import pytest
from sphinx.util.inventory import InventoryFile

TORCH = "https://docs.pytorch.org/docs/stable/"
VISION = "https://docs.pytorch.org/vision/stable/"
NUMPY = "https://numpy.org/doc/stable/reference/"
PLOT = "https://matplotlib.org/stable/api/_as_gen/"
PYTHON = "https://docs.python.org/3/library/"
EXPORT = "user_guide/torch_compiler/export/api_reference.html#torch.export."
BACKENDS = "backends.html#torch.backends.cudnn."
RESNET = "models/generated/torchvision.models.resnet18.html#torchvision.models."
DEEPLAB = "models/generated/torchvision.models.segmentation.deeplabv3_resnet50.html"

# Read in the public documentation, one or more for each kind of page.
ADDRESSES = {
    "torch": TORCH + "torch.html",
    "torch.nn": TORCH + "nn.html",
    "torch.nn.functional": TORCH + "nn.functional.html",
    "torch.utils.data": TORCH + "data.html",
    "torch.float32": TORCH + "tensor_attributes.html#torch.dtype",
    "torch.long": TORCH + "tensor_attributes.html#torch.dtype",
    "torch.strided": TORCH + "tensor_attributes.html#torch.layout",
    "torch.channels_last": TORCH + "tensor_attributes.html#torch.memory_format",
    "torch.device": TORCH + "tensor_attributes.html#torch.device",
    "torch.dtype": TORCH + "tensor_attributes.html#torch.dtype",
    "torch.finfo": TORCH + "type_info.html#torch.finfo",
    "torch.Size": TORCH + "size.html#torch.Size",
    "torch.SymInt": TORCH + "torch.html#torch.SymInt",
    "torch.backends.cuda.is_built": TORCH
    + "backends.html#torch.backends.cuda.is_built",
    "torch.cuda.use_mem_pool": TORCH + "cuda.html#torch.cuda.use_mem_pool",
    "torch.export.Dim": TORCH + EXPORT + "dynamic_shapes.Dim",
    "torch.inf": TORCH + "torch.html#constants",
    "torch.Tensor": TORCH + "tensors.html#torch.Tensor",
    "torch.Tensor.T": TORCH + "tensors.html#torch.Tensor.T",
    "torch.Tensor.mT": TORCH + "tensors.html#torch.Tensor.mT",
    "torch.Tensor.dtype": TORCH + "tensor_attributes.html#torch.dtype",
    "torch.Tensor.grad_fn": TORCH + "autograd.html#autograd-graph",
    "torch.autocast": TORCH + "amp.html#torch.autocast",
    "torch.amp.GradScaler": TORCH + "amp.html#torch.cuda.amp.GradScaler",
    "torch.nn.init.kaiming_normal_": TORCH
    + "nn.init.html#torch.nn.init.kaiming_normal_",
    "torch.nn.Module.load_state_dict": TORCH
    + "generated/torch.nn.Module.html#torch.nn.Module.load_state_dict",
    "torch.optim.Optimizer": TORCH + "optim.html#torch.optim.Optimizer",
    "torch.optim.swa_utils.AveragedModel": TORCH
    + "optim.html#torch.optim.swa_utils.AveragedModel",
    "torch.optim.lr_scheduler.LRScheduler.step": TORCH
    + "generated/torch.optim.lr_scheduler.LRScheduler.html"
    + "#torch.optim.lr_scheduler.LRScheduler.step",
    "torch.autograd.Function": TORCH + "autograd.html#torch.autograd.Function",
    "torch.autograd.graph.saved_tensors_hooks": TORCH
    + "autograd.html#torch.autograd.graph.saved_tensors_hooks",
    "torch.random.fork_rng": TORCH + "random.html#torch.random.fork_rng",
    "torch.distributions.Normal": TORCH
    + "distributions.html#torch.distributions.normal.Normal",
    "torch.utils.data.DataLoader": TORCH + "data.html#torch.utils.data.DataLoader",
    "torch.utils.data.random_split": TORCH + "data.html#torch.utils.data.random_split",
    "torch.utils.data.DistributedSampler": TORCH
    + "data.html#torch.utils.data.distributed.DistributedSampler",
    "torch.utils.checkpoint.checkpoint": TORCH
    + "checkpoint.html#torch.utils.checkpoint.checkpoint",
    "torch.hub.load": TORCH + "hub.html#torch.hub.load",
    "torch.testing.assert_close": TORCH + "testing.html#torch.testing.assert_close",
    "torch.backends.cudnn.benchmark": TORCH + BACKENDS + "benchmark",
    "torch.distributed.all_reduce": TORCH
    + "distributed.html#torch.distributed.all_reduce",
    "torch.profiler.profile": TORCH + "profiler.html#torch.profiler.profile",
    "torch.profiler.schedule": TORCH + "profiler.html#torch.profiler.profiler.schedule",
    "torch.export.export": TORCH + EXPORT + "export",
    "torch.export.ExportedProgram": TORCH + EXPORT + "ExportedProgram",
    "torchvision.models.resnet18": VISION + RESNET + "resnet18",
    "torchvision.models.ResNet18_Weights": VISION + RESNET + "ResNet18_Weights",
    "torchvision.models.segmentation.DeepLabV3_ResNet50_Weights": VISION
    + DEEPLAB
    + "#torchvision.models.segmentation.DeepLabV3_ResNet50_Weights",
    "numpy.newaxis": NUMPY + "constants.html#numpy.newaxis",
    "numpy.float32": NUMPY + "arrays.scalars.html#numpy.float32",
    "numpy.random.default_rng": NUMPY
    + "random/generator.html#numpy.random.default_rng",
    "numpy.random.RandomState": NUMPY + "random/legacy.html#numpy.random.RandomState",
    "matplotlib.pyplot": "https://matplotlib.org/stable/api/pyplot_summary.html",
    "print": PYTHON + "functions.html#print",
    "int": PYTHON + "functions.html#int",
    "str.join": PYTHON + "stdtypes.html#str.join",
    "dict": PYTHON + "stdtypes.html#dict",
    "list.append": PYTHON + "stdtypes.html#typesseq-mutable",
    "set.add": PYTHON + "stdtypes.html#types-set",
    "ValueError": PYTHON + "exceptions.html#ValueError",
    "None": PYTHON + "constants.html#None",
    "math.pi": PYTHON + "math.html#math.pi",
    "sys.version_info": PYTHON + "sys.html#sys.version_info",
    "os.environ": PYTHON + "os.html#os.environ",
    "os.path.join": PYTHON + "os.path.html#os.path.join",
    "itertools": PYTHON + "itertools.html#module-itertools",
    "itertools.chain.from_iterable": PYTHON
    + "itertools.html#itertools.chain.from_iterable",
    "collections.abc.Iterable": PYTHON
    + "collections.abc.html#collections.abc.Iterable",
    "collections.abc.Mapping": PYTHON + "collections.abc.html#collections.abc.Mapping",
    "collections.Counter.most_common": PYTHON
    + "collections.html#collections.Counter.most_common",
    "pathlib.Path.exists": PYTHON + "pathlib.html#pathlib.Path.exists",
    "pathlib.Path.name": PYTHON + "pathlib.html#pathlib.PurePath.name",
}
# Names with a page of their own, called as it is: folder, then the names.
OWN_PAGE = {
    TORCH + "generated/": (
        "torch.add torch.conj torch.Generator torch.no_grad torch.unique torch.vmap"
        " torch.Tensor.add_ torch.Tensor.backward torch.Tensor.grad torch.Tensor.shape"
        " torch.Tensor.itemsize torch.nn.Linear torch.nn.Module torch.optim.SGD"
        " torch.nn.functional.linear torch.nn.parallel.DistributedDataParallel"
        " torch.nn.attention.sdpa_kernel torch.nn.utils.clip_grad_norm_"
        " torch.nn.utils.rnn.pad_sequence torch.nn.utils.prune.l1_unstructured"
        " torch.nn.utils.parametrizations.orthogonal torch.optim.Optimizer.step"
        " torch.nn.utils.parametrize.register_parametrization"
        " torch.nn.functional.relu"
        " torch.optim.lr_scheduler.StepLR torch.autograd.grad torch.func.vmap"
        " torch.autograd.Function.forward torch.autograd.functional.jacobian"
        " torch.autograd.function.FunctionCtx.save_for_backward torch.linalg.norm"
        " torch.autograd.graph.Node.next_functions"
        " torch.autograd.graph.increment_version"
        " torch.accelerator.is_available torch.cuda.is_available torch.compiler.disable"
        " torch.fft.fft"
    ),
    VISION + "generated/": (
        "torchvision.models.get_model torchvision.ops.nms torchvision.io.decode_image"
        " torchvision.models.feature_extraction.create_feature_extractor"
        " torchvision.transforms.v2.Resize torchvision.transforms.v2.functional.resize"
        " torchvision.datasets.MNIST torchvision.utils.make_grid"
        " torchvision.tv_tensors.Image"
    ),
    VISION
    + "models/generated/": "torchvision.models.detection.fasterrcnn_resnet50_fpn",
    NUMPY + "generated/": (
        "numpy.array numpy.add numpy.s_ numpy.ndarray numpy.ndarray.astype"
        " numpy.ndarray.shape numpy.linalg.norm"
    ),
    NUMPY + "random/generated/": "numpy.random.rand numpy.random.Generator.normal",
    PLOT: (
        "matplotlib.pyplot.subplots matplotlib.axes.Axes"
        " matplotlib.axes.Axes.set_xlabel"
        " matplotlib.figure.Figure matplotlib.figure.Figure.savefig"
        " matplotlib.figure.Figure.subplots matplotlib.figure.Figure.clear"
        " matplotlib.artist.Artist.set_alpha"
    ),
}
# Names whose page is called after the module that defines them.
HOME_PAGE = {
    "torch.inference_mode": "torch.autograd.grad_mode.inference_mode",
    "torch.set_grad_enabled": "torch.autograd.grad_mode.set_grad_enabled",
    "torch.nn.Parameter": "torch.nn.parameter.Parameter",
    "torch.nn.Flatten": "torch.nn.modules.flatten.Flatten",
    "torch.autograd.gradcheck": "torch.autograd.gradcheck.gradcheck",
    "torch.cuda.memory_allocated": "torch.cuda.memory.memory_allocated",
    "torch.profiler.record_function": "torch.autograd.profiler.record_function",
}
ADDRESSES |= {
    name: f"{folder}{name}.html#{name}"
    for folder, names in OWN_PAGE.items()
    for name in names.split()
}
ADDRESSES |= {
    name: f"{TORCH}generated/{page}.html#{page}" for name, page in HOME_PAGE.items()
}

# Candidates that Sphinx-Gallery tries for names in code, one that must be known each.
IN_CODE = {
    "torch.manual_seed(0)": "torch.manual_seed",
    "loss.backward()": "torch.Tensor.backward",
    "model.parameters()": "torch.nn.Module.parameters",
    "optimizer.step()": "torch.optim.Optimizer.step",
    "plt.subplots()": "matplotlib.pyplot.subplots",
    "ax.set_xlabel('x')": "matplotlib.axes.Axes.set_xlabel",
    "DataLoader(data)": "torch.utils.data.DataLoader",
    "path.read_text()": "pathlib.Path.read_text",
    "itertools.product(a, b)": "itertools.product",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inventories")


@pytest.fixture(scope="module")
def known(folder):
    """Every name that intersphinx would know, with the role and the full address."""
    names = {}
    for site, path in inventories.write_inventories(folder).values():
        with open(path, "rb") as stream:
            loaded = InventoryFile.load(stream, site, posixpath.join)
        for role, items in loaded.items():
            names |= {name: (role, item.uri) for name, item in items.items()}
    return names


@pytest.mark.parametrize(("name", "address"), ADDRESSES.items(), ids=ADDRESSES)
def test_a_name_links_to_its_official_page(known, name, address):
    assert known[name][1] == address


@pytest.mark.parametrize("name", IN_CODE.values(), ids=IN_CODE)
def test_the_usual_spellings_in_code_are_known(known, name):
    assert name in known


@pytest.mark.parametrize("project", inventories.PROJECTS)
def test_every_rule_yields_names_and_every_kind_of_address_is_checked(project):
    kinds, checked = set(), set()
    for rule in inventories.PROJECTS[project].rules:
        names = {name for name, _, _ in inventories.listed(rule)}
        assert names, rule
        kind = (
            "models/generated/" if "models/generated/" in rule.address else rule.address
        )
        kinds.add(kind)
        if names & ADDRESSES.keys():
            checked.add(kind)
    assert checked == kinds


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("torch.nn", "py:module"),
        ("torch.nn.Linear", "py:class"),
        ("torch.add", "py:function"),
        ("torch.Tensor.add_", "py:method"),
        ("torch.Tensor.shape", "py:attribute"),
        ("torch.float32", "py:data"),
        ("ValueError", "py:exception"),
    ],
)
def test_a_name_has_the_role_that_people_write(known, name, role):
    assert known[name][0] == role


def test_no_entry_is_empty_private_or_unformatted(known):
    for name, (_, address) in known.items():
        assert not any(part.startswith("_") for part in name.split(".")), name
        assert re.fullmatch(r"https://[\w./-]+\.html(#[\w.-]*)?", address), address


@pytest.mark.parametrize(
    "name", ["torch.conv1d", "torch.exp_", "torch.Tensor.is_mps", "numpy.test"]
)
def test_a_name_without_a_page_is_left_out(known, name):
    assert name not in known


def test_writing_twice_leaves_the_files_alone(tmp_path):
    mapping = inventories.write_inventories(tmp_path)
    for _, path in mapping.values():
        os.utime(path, (1, 1))
    assert inventories.write_inventories(tmp_path) == mapping
    assert {file.stat().st_mtime for file in tmp_path.iterdir()} == {1}


def test_a_changed_file_is_written_anew(tmp_path):
    mapping = inventories.write_inventories(tmp_path)
    numpy_names = tmp_path / "numpy.inv"
    good = numpy_names.read_bytes()
    numpy_names.write_bytes(b"old")
    assert inventories.write_inventories(tmp_path) == mapping
    assert numpy_names.read_bytes() == good


def test_sphinx_gets_local_files_only(tmp_path):
    config = SimpleNamespace(intersphinx_mapping={})
    inventories.configure(SimpleNamespace(doctreedir=tmp_path), config)
    assert set(config.intersphinx_mapping) == set(inventories.PROJECTS)
    for _, path in config.intersphinx_mapping.values():
        assert os.path.isfile(path)
