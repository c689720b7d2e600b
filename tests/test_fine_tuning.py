"""`snippets.fine_tuning` keeps the frozen part still and trains the rest."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import weakref
from functools import partial

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torchvision.ops import StochasticDepth

from snippets.fine_tuning import (
    fine_tune,
    freeze,
    param_groups,
    replace_head,
    unfreeze,
)

CLASSIFIERS = torchvision.models.list_models(module=torchvision.models)


class FunctionalDropout(nn.Module):
    def forward(self, inputs):
        return F.dropout(inputs, 0.5, training=self.training)


class FirstOutput(nn.Module):
    """A module whose outputs are a tuple, such as an RNN."""

    def __init__(self, inner, *repeats):
        super().__init__()
        self.inner, self.repeats = inner, repeats

    def forward(self, inputs):
        return self.inner(*([inputs] * max(1, sum(self.repeats))))[0]


class Listed(nn.Module):
    """Its list of blocks has no forward of its own."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(
            [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())] * 2
        )
        self.head = nn.Linear(4, 3)

    def forward(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)


KINDS = {
    "batch norm 1d": (lambda: nn.BatchNorm1d(3), (4, 3)),
    "batch norm 2d": (lambda: nn.BatchNorm2d(3), (4, 3, 5, 5)),
    "batch norm 3d": (lambda: nn.BatchNorm3d(3), (4, 3, 2, 2, 2)),
    "mean of all batches": (lambda: nn.BatchNorm1d(3, momentum=None), (4, 3)),
    "batch norm without weights": (lambda: nn.BatchNorm1d(3, affine=False), (4, 3)),
    "synchronized batch norm": (lambda: nn.SyncBatchNorm(3), (4, 3)),
    "lazy batch norm": (lambda: nn.LazyBatchNorm2d(), (4, 3, 5, 5)),
    "instance norm": (
        lambda: nn.InstanceNorm2d(3, track_running_stats=True),
        (4, 3, 5, 5),
    ),
    "dropout": (lambda: nn.Dropout(), (4, 3)),
    "dropout of channels": (lambda: nn.Dropout2d(), (4, 3, 5, 5)),
    "alpha dropout": (lambda: nn.AlphaDropout(), (4, 3)),
    "functional dropout": (lambda: FunctionalDropout(), (4, 3)),
    "random slope": (lambda: nn.RReLU(), (4, 3)),
    "stochastic depth": (lambda: StochasticDepth(0.5, "row"), (4, 3)),
    "spectral norm": (
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(9, 9)),
        (4, 9),
    ),
    "recurrent": (lambda: FirstOutput(nn.LSTM(3, 3, 2, dropout=0.5)), (5, 4, 3)),
    "attention": (lambda: FirstOutput(nn.MultiheadAttention(4, 2, 0.5), 3), (5, 4, 4)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        (5, 4, 4),
    ),
}


def kind(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    make, shape = KINDS[name]
    return make(), torch.randn(shape)


def small_model() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)
    )


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in module.state_dict().items()}


def same(first, second) -> bool:
    return list(first) == list(second) and all(
        torch.equal(first[name], second[name]) for name in first
    )


def train(model, optimizer, inputs, *, steps=3, set_to_none=True) -> None:
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=set_to_none)
        model.train()(inputs).square().sum().backward()
        optimizer.step()


def meta_classifier(name: str) -> nn.Module:
    """A classifier of torchvision whose weights take no memory."""

    class WeightsWithoutValues(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            options = {"device": "meta"} if function is torch.empty else {}
            return function(*args, **{**(kwargs or {}), **options})

    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with WeightsWithoutValues():
        return torchvision.models.get_model(name, weights=None, **options)


# --- freeze and unfreeze ---


@pytest.mark.parametrize("name", KINDS)
def test_a_frozen_module_computes_as_in_evaluation_whatever_the_mode(name):
    """Every kind that depends on the mode: equal outputs, and drift 0."""
    module, inputs = kind(name)
    if name == "lazy batch norm":
        module(inputs)
    before = values(module)
    expected = copy.deepcopy(module).eval()(inputs).detach()
    model = nn.Sequential(module)
    freeze(model, "0")
    outputs = []
    for mode in (True, False, True):
        assert model.train(mode).training is mode
        outputs.append(model(inputs))
    assert all(torch.equal(outputs[0], each) for each in outputs)
    # A transformer's fast path, for frozen weights alone, rounds in its own way.
    tolerance = 1e-6 if name == "transformer" else 0
    torch.testing.assert_close(outputs[0], expected, rtol=0, atol=tolerance)
    assert same(values(module), before)


@pytest.mark.parametrize(
    "name", sorted(set(KINDS) - {"transformer", "synchronized batch norm"})
)
def test_without_freezing_the_same_modules_change(name):
    """The check above can fail: in training each of them differs or drifts."""
    module, inputs = kind(name)
    module(inputs)
    before, expected = values(module), copy.deepcopy(module).eval()(inputs)
    outputs = module.requires_grad_(False).train()(inputs)
    assert not torch.equal(outputs, expected) or not same(values(module), before)


def test_a_lazy_layer_is_frozen_once_it_knows_its_shape():
    """Before that it has nothing worth keeping, and the message says what to do."""
    model = nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    for call in (freeze, unfreeze):
        with pytest.raises(ValueError, match=r"'0.weight' has no shape yet: pass one"):
            call(model, "0")
    model(torch.randn(4, 3))
    freeze(model, "0")
    model.train()(torch.randn(4, 3))
    assert type(model[0]) is nn.BatchNorm1d and model[0].num_batches_tracked == 1


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_frozen_encoder_handles_padding_alike_in_every_mode():
    """The fast path of TransformerEncoder reads its layers' modes, and sees one."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2))
    freeze(model, "0")
    inputs, padded = torch.randn(2, 3, 4), torch.tensor([[False, False, True]] * 2)
    outputs = [
        model.train(mode)[0](inputs, src_key_padding_mask=padded)
        for mode in (True, False)
    ]
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "densenet121"]
)
def test_features_of_a_frozen_network_are_equal_in_training_and_evaluation(name):
    """A network of torchvision: no drift, equal features, only the head moves."""
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None)
    freeze(model)
    head = unfreeze(model, *replace_head(model, 2))
    inputs, features = torch.randn(2, 3, 64, 64), []
    linear = [each for each in model.modules() if isinstance(each, nn.Linear)][-1]
    linear.register_forward_pre_hook(lambda module, args: features.append(args[0]))
    # The head's own dropout belongs to the frozen part, too.
    before = values(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    train(model, optimizer, inputs, steps=2)
    model.eval()(inputs)
    assert torch.equal(features[0], features[1]) and torch.equal(*features[1:])
    after = values(model)
    moved = {each for each in before if not torch.equal(before[each], after[each])}
    assert moved == set(head)


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.1),
        partial(torch.optim.Adam, lr=0.1, weight_decay=0.1),
        partial(torch.optim.AdamW, lr=0.1, amsgrad=True),
        partial(torch.optim.RMSprop, lr=0.1, momentum=0.9),
    ],
    ids=["sgd", "adam", "adamw", "rmsprop"],
)
@pytest.mark.parametrize("set_to_none", [True, False])
def test_what_is_frozen_in_mid_training_stops_at_once(optimizer, set_to_none):
    """Momentum and decay move nothing, also where gradients are zeroed to zero."""
    model, inputs = small_model(), torch.randn(6, 4)
    optimizer = optimizer(model.parameters())
    train(model, optimizer, inputs, set_to_none=set_to_none)
    freeze(model, "0", "1")
    before = values(model)
    train(model, optimizer, inputs, set_to_none=set_to_none)
    after = values(model)
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert moved == ["3.weight", "3.bias"]


def test_freezing_between_forward_and_backward_counts():
    """The gradient that is on its way is not kept."""
    model = small_model()
    loss = model(torch.randn(6, 4)).sum()
    freeze(model, "0", "1")
    loss.backward()
    assert model[0].weight.grad is None
    assert model[3].weight.grad is not None


def test_state_of_frozen_parameters_is_dropped_from_a_given_optimizer():
    """Momentum waits in an optimizer that is not told, and in one that is no more."""
    model = small_model()
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer, torch.randn(6, 4))
    freeze(model, "0")
    assert model[0].weight in optimizer.state
    freeze(model, "0", optimizer=optimizer)
    assert list(optimizer.state) == [*model[1].parameters(), *model[3].parameters()]
    unfreeze(model)
    train(model, optimizer, torch.randn(6, 4), steps=1)
    assert optimizer.state[model[0].weight]["step"] == 1
    assert optimizer.state[model[3].weight]["step"] == 4


def test_an_optimizer_that_knows_nothing_of_a_frozen_parameter_is_no_mistake():
    """Before its first step it remembers nothing, so there is nothing to drop."""
    model = small_model()
    optimizer = torch.optim.Adam(model[0].parameters())
    assert freeze(model, "0", "3.bias", optimizer=optimizer) == [
        *["0.weight", "0.bias", "3.bias"]
    ]
    assert not optimizer.state


def test_names_are_modules_or_parameters_and_what_is_returned_is_parameters():
    """A parameter's path freezes it alone and holds no mode; no names are all."""
    model = small_model()
    assert freeze(model, "1.weight", "3") == ["1.weight", "3.weight", "3.bias"]
    model(torch.randn(6, 4))
    assert model[1].num_batches_tracked == 1
    assert [name for name, each in model.named_parameters() if each.requires_grad] == [
        "0.weight",
        "0.bias",
        "1.bias",
    ]
    everything = list(dict(model.named_parameters()))
    assert freeze(model) == everything
    assert unfreeze(model, "1.weight") == ["1.weight"]
    assert [each.training for each in model.modules()] == [False] * 5
    assert unfreeze(model) == everything
    assert all(each.requires_grad for each in model.parameters())
    assert all(each.training for each in model.modules())


def test_unfreezing_a_part_frees_the_modules_around_it():
    """They follow the mode that was asked for last; the rest stays in evaluation."""
    for mode in (True, False):
        model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), small_model()))
        freeze(model.train(not mode))
        model.train(mode)
        unfreeze(model, "1.1.3")
        free = {"", "1", "1.1", "1.1.3"}
        for name, module in model.named_modules():
            assert module.training is (mode and name in free)
        assert model.eval() is model
        assert not any(module.training for module in model.modules())


def test_unfrozen_modules_take_the_mode_of_the_model():
    """A model in training gets them back in training, though they were frozen later."""
    model = small_model().eval()
    freeze(model, "1")
    for module in (model, model[0], model[2]):
        module.training = True  # as loops do that restore what they noted down
    unfreeze(model, "1")
    assert model[1].training


def test_each_frozen_module_remembers_the_mode_that_was_asked_for():
    """A part that is unfrozen by itself takes the mode that the whole was put in."""
    model = small_model().eval()
    freeze(model)
    model.train()
    unfreeze(model[1])
    assert model[1].training and not model[2].training


def test_freezing_twice_is_freezing_once():
    """The mode that was asked for is not forgotten."""
    model = small_model()
    freeze(model)
    freeze(model)
    unfreeze(model)
    assert all(each.training for each in model.modules())


def test_a_module_added_to_a_frozen_part_follows_the_mode():
    """It was not frozen; its neighbors stay in evaluation mode."""
    model = nn.Sequential(small_model())
    freeze(model)
    model[0].append(nn.Dropout().eval())
    modes = [each.training for each in model.train()[0]]
    assert modes == [False, False, False, False, True]


def test_the_next_call_of_train_puts_a_flag_right_that_was_set_by_hand():
    """Whatever set the flag of a frozen module, train() and eval() clear it."""
    for mode in (True, False):
        model = small_model()
        freeze(model, "1")
        model[1].training = True
        model.train(mode)
        assert not model[1].training


TREE = {"": nn.Sequential, "0": nn.Sequential, "0.0": 1, "0.1": 1, "1": 1}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["freeze", "unfreeze", "train", "eval"]),
            st.sampled_from(sorted(TREE)),
        ),
        max_size=8,
    )
)
def test_any_order_of_calls_gives_the_modes_that_a_list_of_names_gives(calls):
    """A module is in training if the model was put so and it is not frozen."""
    model = nn.Sequential(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 2)
    )
    frozen: set[str] = set()
    still: set[str] = set()
    mode = True
    for call, name in calls:
        inside = {
            each for each in TREE if f"{each}.".startswith(f"{name}.") or not name
        }
        weights = {each for each in inside if TREE[each] == 1}
        if call == "freeze":
            freeze(model, *[name] * bool(name))
            frozen, still = frozen | inside, still | weights
        elif call == "unfreeze":
            unfreeze(model, *[name] * bool(name))
            around = {each for each in TREE if f"{name}.".startswith(f"{each}.")}
            frozen, still = frozen - inside - around - {""}, still - weights
        else:
            mode = call == "train"
            getattr(model, call)()
    for name, module in model.named_modules():
        assert module.training is (mode and name not in frozen), name
        if TREE[name] == 1:
            assert module.weight.requires_grad is (name not in still)


def clone_by_file(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "clone",
    [copy.deepcopy, clone_by_file, lambda model: pickle.loads(pickle.dumps(model))],
    ids=["deepcopy", "torch.save", "pickle"],
)
def test_copies_are_frozen_for_themselves(clone):
    """A copy stays frozen; unfreezing it leaves the original frozen, and vice versa."""
    model = Listed()
    freeze(model, "blocks")
    twin = clone(model)
    assert not twin.train().blocks[0][1].training
    unfreeze(twin)
    assert twin.eval().train().blocks[0][1].training
    assert not model.train().blocks[0][1].training
    assert model.head.training
    part = clone(model.blocks[0]).train()
    assert not part[1].training


def test_a_frozen_model_is_freed_when_garbage_is_collected():
    """Nothing else keeps it alive."""
    model = small_model()
    freeze(model)
    memory = weakref.ref(model[0].weight)
    del model
    gc.collect()
    assert memory() is None


def test_no_module_is_swapped_and_the_state_stays_as_it_was():
    """The same objects, classes, keys, values and printed form; .to() keeps it so."""
    model = small_model()
    modules, state, shown = list(model.modules()), values(model), repr(model)
    types = list(map(type, modules))
    freeze(model)
    assert list(model.modules()) == modules
    assert list(map(type, modules)) == types
    assert same(values(model), state) and repr(model) == shown
    model.to(torch.float64).train()
    assert not model[1].training
    model.load_state_dict(state)
    unfreeze(model)
    assert all("train" not in module.__dict__ for module in modules)


def test_a_compiled_model_stays_frozen_and_is_compiled_once_a_mode():
    """Changing the mode of frozen modules costs torch.compile no new graph."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    model, inputs = small_model(), torch.randn(6, 4)
    freeze(model, "0", "1", "2")
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    outputs = [compiled.train(mode)(inputs) for mode in (True, False, True, False)]
    assert all(torch.equal(outputs[0], each) for each in outputs)
    assert len(graphs) <= 2
    assert model[1].num_batches_tracked == 0


def test_a_shared_weight_is_listed_under_all_of_its_names():
    """Frozen through one name, it is frozen everywhere, and the list says so."""
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    assert freeze(model, "0") == ["0.weight", "1.weight"]
    assert not model[1].weight.requires_grad
    assert unfreeze(model, "1") == ["0.weight", "1.weight"]
    assert model[0].weight.requires_grad


def test_a_shared_weight_can_be_called_by_either_name():
    """Also by the second one, which torch leaves out of its own list."""
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    assert freeze(model, "1.weight") == ["0.weight", "1.weight"]
    assert not model[0].weight.requires_grad


def test_a_shared_module_can_be_called_by_either_name():
    """Both names lead to the same module; all that holds it is freed."""
    model = Listed()
    freeze(model)
    assert unfreeze(model, "blocks.1.1") == [
        f"blocks.{place}.1.{name}" for place in (0, 1) for name in ("weight", "bias")
    ]
    model.eval().train()
    assert model.blocks[0].training and not model.blocks[0][0].training


def test_integer_parameters_are_left_alone():
    """They cannot ask for a gradient."""
    model = nn.Linear(2, 2)
    model.codes = nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    freeze(model)
    assert unfreeze(model) == ["weight", "bias"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("layer5", "'layer4', 'layer3', 'layer2'"),
        ("layer1.0.con1", "'layer1.0.conv1'"),
        ("conv1.wieght", "'conv1.weight'"),
        ("bn2", "'layer1.0.bn2', 'layer1.1.bn2', 'layer2.0.bn2', 'bn1'"),
        ("downsample", "'layer2.0.downsample'"),
        ("zzzz", "'conv1', 'bn1'"),
    ],
)
@pytest.mark.parametrize("call", [freeze, unfreeze])
def test_a_misspelled_name_lists_near_ones_and_changes_nothing(call, name, near):
    """The message names the model and what could be meant; no part is touched."""
    with torch.device("meta"):
        model = torchvision.models.resnet18()
    freeze(model, "layer2")
    before = [each.requires_grad for each in model.parameters()]
    with pytest.raises(
        ValueError, match=f"^ResNet has no part {name!r}. Near "
    ) as info:
        call(model, "conv1", "layer2", name)
    assert near in str(info.value)
    assert [each.requires_grad for each in model.parameters()] == before
    assert not model.layer2.training and model.conv1.training


def test_a_name_that_is_no_string_is_refused():
    """A module or a list in place of a name: say what is expected."""
    model = small_model()
    message = (
        r"^Linear given for a name: give dotted paths, each as a string of its own, "
        r"such as 'layer1\.0'$"
    )
    with pytest.raises(TypeError, match=message):
        freeze(model, model[0])
    with pytest.raises(TypeError, match=r"^list given for a name"):
        unfreeze(model, ["0", "1"])
    assert all(each.requires_grad for each in model.parameters())
    with pytest.raises(ValueError, match=r"no part 'zz'. Near ones: 'weight', 'bias'$"):
        freeze(model[0], "zz")


def test_where_no_name_is_near_the_first_ten_parts_at_the_top_are_listed():
    """Nothing inside of them, so that a large model has a short message."""
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 3)), *[nn.ReLU()] * 11)
    listed = ", ".join(repr(str(place)) for place in range(10))
    with pytest.raises(ValueError, match=f"no part 'zz'. Near ones: {listed}$"):
        freeze(model, "zz")


# --- replace_head ---


@pytest.mark.parametrize(
    "call",
    [
        lambda net: replace_head(3, net),
        lambda net: freeze(3, net),
        lambda net: unfreeze(3),
        lambda net: param_groups(3, lr=0.1),
        lambda net: fine_tune(3, net, print, head_lr=0.1),
        lambda net: fine_tune(3, net, print, head_lr=0.1, head="2"),
    ],
)
def test_a_model_that_is_none_is_refused(call):
    """Arguments in the wrong order are told so."""
    message = r"^model is of type int: give the network first, then the rest$"
    with pytest.raises(TypeError, match=message):
        call(nn.Linear(1, 1))


@pytest.mark.parametrize("number", ["3", 3.0, None])
def test_a_number_of_classes_that_is_no_integer_is_refused(number):
    """The error says what it is."""
    model = nn.Sequential(nn.Linear(4, 3))
    head = model[0]
    message = f"^num_classes is of type {type(number).__name__}: give an integer"
    with pytest.raises(TypeError, match=message):
        replace_head(model, number)
    assert model[0] is head


def test_a_number_of_classes_may_be_counted_by_torch():
    """An integer of another library becomes one of Python."""
    model = nn.Sequential(nn.Linear(4, 3))
    replace_head(model, torch.tensor([0, 1, 4]).max() + 1)
    assert type(model[0].out_features) is int
    assert model[0].weight.shape == (5, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, head: param_groups(model, lr=0.1, head_lr=1, head=head),
        lambda model, head: fine_tune(model, 3, print, head_lr=0.1, head=head),
    ],
)
@pytest.mark.parametrize(
    ("head", "message"),
    [(2, "^head is 2: give the dotted path .*num_classes$"), ([2], "^int given for a")],
)
def test_a_head_that_is_no_path_is_refused(call, head, message):
    """A number is no name of a layer, neither alone nor in a list."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    old = model[2]
    with pytest.raises(TypeError, match=message):
        call(model, head)
    assert model[2] is old and old.weight.requires_grad


def test_a_head_may_have_a_single_output():
    """One score is enough for a yes or no, or for a number."""
    model = small_model()
    assert replace_head(model, 1) == ["3"]
    assert model[3].weight.shape == (1, 8)


def test_the_heads_of_80_of_80_torchvision_classifiers_are_replaced():
    """Each layer that gave 1000 scores gives 7, and nothing else is changed."""
    assert len(CLASSIFIERS) == 80
    for name in CLASSIFIERS:
        model = meta_classifier(name)
        old = dict(model.named_modules())
        expected = [
            path
            for path, module in old.items()
            if 1000
            in (getattr(module, "out_features", 0), getattr(module, "out_channels", 0))
        ]
        assert replace_head(model, 7) == expected, name
        for path, module in model.named_modules():
            if path in expected:
                shape = old[path].weight.shape
                assert module.weight.shape == (7, *shape[1:])
                assert type(module) is type(old[path])
            else:
                assert module is old[path]


def test_heads_are_the_known_ones():
    """Auxiliary heads and a convolution are among them."""
    expected = {
        "resnet18": ["fc"],
        "googlenet": ["aux1.fc2", "aux2.fc2", "fc"],
        "inception_v3": ["AuxLogits.fc", "fc"],
        "squeezenet1_1": ["classifier.1"],
        "vit_b_16": ["heads.head"],
    }
    for name, paths in expected.items():
        assert replace_head(meta_classifier(name), 3) == paths


def test_a_new_head_has_all_of_the_old_ones_options():
    """All but the number of outputs, also dtype, device, mode and grouping."""
    old = nn.Conv2d(
        4, 6, (1, 3), 2, (1, 0), 2, 2, False, "reflect", dtype=torch.float64
    ).eval()
    model = nn.Sequential(nn.Conv2d(3, 4, 1), old)
    assert replace_head(model, 8) == ["1"]
    assert repr(model[1]) == repr(old).replace("4, 6", "4, 8")
    assert model[1].weight.dtype == torch.float64 and not model[1].training
    model = nn.Sequential(nn.ReLU(), nn.Linear(4, 6, bias=False, device="meta"))
    replace_head(model, 8)
    assert repr(model[1]) == "Linear(in_features=4, out_features=8, bias=False)"
    assert model[1].weight.is_meta and model[1].training


def test_a_new_head_is_torchs_own_and_comes_again_with_the_seed():
    """The initialization is that of a fresh nn.Linear."""
    model = small_model()
    torch.manual_seed(3)
    replace_head(model, 5)
    torch.manual_seed(3)
    assert same(values(model[3]), values(nn.Linear(8, 5)))


def test_a_new_head_can_be_trained_though_the_old_one_was_frozen():
    """It is free, and so are the modules around it; the rest stays frozen."""
    model = small_model()
    freeze(model)
    replace_head(model, 2)
    assert [each.requires_grad for each in model.parameters()] == [False] * 4 + [
        True
    ] * 2
    assert [each.training for each in model.eval().train().modules()] == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_auxiliary_outputs_come_in_training_with_all_but_the_heads_frozen():
    """The model itself follows its mode, since something in it is trained."""
    torch.manual_seed(0)
    model = torchvision.models.googlenet(init_weights=False, aux_logits=True)
    freeze(model)
    replace_head(model, 3)
    outputs = model.train()(torch.randn(2, 3, 64, 64))
    assert [tuple(each.shape) for each in outputs] == [(2, 3)] * 3


def test_a_shared_head_stays_shared():
    """One module under two names is replaced by one module, under both."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    model.also = model[1]
    assert replace_head(model, 2) == ["1", "also"]
    assert model[1] is model.also and model[1].out_features == 2


class HeadFirst(nn.Module):
    """The last layer is not the one that was registered last."""

    def __init__(self, *after):
        super().__init__()
        self.head = nn.Linear(6, 3)
        self.body = nn.Sequential(nn.Linear(4, 6), *after)


SHARED_NORM = nn.BatchNorm1d(3)
AMBIGUOUS = {
    "hidden": (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)), "0", "2"),
    "head first": (HeadFirst(), "body.0", "head"),
    "norm after it": (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "0", "1"),
    "norm before and after it": (
        nn.Sequential(SHARED_NORM, nn.Linear(3, 8), nn.Linear(8, 3), SHARED_NORM),
        "2",
        "3",
    ),
    "other norm": (nn.Sequential(nn.Linear(4, 3), nn.LayerNorm([2, 3])), "0", "1"),
    "grouped norm": (nn.Sequential(nn.Conv2d(4, 3, 1), nn.GroupNorm(3, 3)), "0", "1"),
    "recurrent": (nn.Sequential(nn.Linear(4, 3), nn.GRU(3, 3)), "0", "1"),
    "convolutions": (nn.Sequential(nn.Conv2d(4, 3, 1), nn.Conv2d(3, 3, 1)), "0", "1"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_width_that_is_also_taken_in_is_refused(name):
    """It may be a hidden size: the message says why, and asks for names."""
    model, path, taker = AMBIGUOUS[name]
    before = repr(model)
    match = (
        f"'{path}' has . outputs, but '{taker}' takes in .. Name the head; . outputs"
    )
    with pytest.raises(ValueError, match=match):
        replace_head(model, 5)
    assert repr(model) == before


def test_all_layers_that_may_be_the_head_are_listed():
    """The message gives the names to choose from."""
    model = AMBIGUOUS["hidden"][0]
    with pytest.raises(ValueError, match=r"; 3 outputs have '0', '2'$"):
        replace_head(model, 5)


def test_what_comes_before_or_cannot_follow_is_no_doubt():
    """As many inputs as classes, or as many colors, are common and clear."""
    model = nn.Sequential(nn.Linear(3, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 3)))
    assert replace_head(model, 2) == ["1.1"]
    model = nn.ModuleDict({"net": nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 3))})
    assert replace_head(model, 2) == ["net.1"]
    with pytest.raises(ValueError, match=r"'0.body.0' has 6 outputs, but '0.head' tak"):
        replace_head(nn.Sequential(HeadFirst()), 2)
    model = torchvision.models.get_model("resnet18", num_classes=3)
    assert replace_head(model, 2) == ["fc"]
    model.in_features = 2  # of no layer of its own
    assert replace_head(model, 2) == ["fc"]
    square = nn.Sequential(nn.Flatten(), nn.Linear(3, 3))
    assert replace_head(square, 2) == ["1"]
    norm = nn.BatchNorm1d(3)  # twice, so that one of its places is a second name
    model = nn.Sequential(norm, norm, nn.Linear(3, 8), nn.Linear(8, 3))
    assert replace_head(model, 2) == ["3"]


def test_named_layers_are_replaced_whatever_they_look_like():
    """Names settle what is ambiguous, each once and in the order given."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    assert replace_head(model, 5, "2") == ["2"]
    assert replace_head(model, 2, "2", "0", "2") == ["2", "0"]
    assert [model[0].out_features, model[2].out_features] == [2, 2]


@pytest.mark.parametrize(
    ("model", "arguments", "match"),
    [
        (small_model(), (0,), "num_classes is 0: give 1 or more"),
        (small_model(), (2, "1"), "'1' is a BatchNorm1d: a head is a Linear or a Con"),
        (small_model(), (2, "3", "3.weigh"), "Sequential has no part '3.weigh'"),
        (small_model(), (2, "3.weight"), "Sequential has no part '3.weight'"),
        (nn.Linear(4, 3), (2,), "the model is itself a Linear, .* make a new one"),
        (nn.ReLU(), (2,), "no head found: ReLU has no Linear and no Conv2d"),
        (
            nn.Sequential(nn.LazyLinear(3)),
            (2,),
            "'0.weight' has no shape yet: pass one",
        ),
    ],
)
def test_what_cannot_be_replaced_is_refused_unchanged(model, arguments, match):
    """Each error says what was given and what to do."""
    before = list(model.modules())
    with pytest.raises(ValueError, match=match):
        replace_head(model, *arguments)
    assert list(model.modules()) == before


def test_an_impossible_layer_changes_nothing():
    """All new layers are made before the first is put in."""
    model = nn.Sequential(nn.Conv2d(4, 6, 1), nn.Conv2d(8, 6, 1, groups=2))
    freeze(model)
    before = list(model.modules())
    with pytest.raises(ValueError, match="divisible by groups"):
        replace_head(model, 3)
    assert list(model.modules()) == before
    assert not model.train()[0].training


# --- param_groups ---


def names_in(group, model) -> list[str]:
    names = {id(each): name for name, each in model.named_parameters()}
    return [names[id(each)] for each in group["params"]]


def test_without_options_there_is_one_group_of_what_is_trainable():
    """Nothing needs a head then, and an optimizer's own decay is switched off."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    freeze(model, "0.bias")
    (group,) = param_groups(model, lr=0.1)
    assert names_in(group, model) == ["0.weight", "2.weight", "2.bias"]
    del group["params"]
    assert group == {"lr": 0.1, "weight_decay": 0.0, "name": "all layers"}


def test_norms_and_biases_get_no_weight_decay():
    """One dimension at most, or a norm of any shape; embeddings do decay."""
    model = nn.Sequential(
        nn.Embedding(5, 4),
        nn.Conv2d(2, 3, 1),
        nn.BatchNorm2d(3),
        nn.LayerNorm([2, 4]),
        nn.RMSNorm([2, 4]),
        nn.Linear(4, 2),
    )
    model.scale = nn.Parameter(torch.ones(()))
    groups = param_groups(model, lr=0.1, weight_decay=0.2, head_lr=0.3)
    assert [(each["name"], each["lr"], each["weight_decay"]) for each in groups] == [
        ("below the head", 0.1, 0.2),
        ("below the head, no decay", 0.1, 0.0),
        ("head", 0.3, 0.2),
        ("head, no decay", 0.3, 0.0),
    ]
    assert [names_in(each, model) for each in groups] == [
        ["0.weight", "1.weight"],
        ["scale", "1.bias", "2.weight", "2.bias", "3.weight", "3.bias", "4.weight"],
        ["5.weight"],
        ["5.bias"],
    ]


LEVELS = {
    "resnet18": (9, "conv1", "layer4.1"),
    "vit_b_16": (13, "conv_proj", "encoder.layers.encoder_layer_11"),
    "convnext_tiny": (22, "features.0.0", "features.7.2"),
    "swin_t": (16, "features.0.0", "features.7.1"),
    "efficientnet_b0": (18, "features.0.0", "features.8.0"),
    "mobilenet_v3_small": (14, "features.0.0", "classifier.0"),
    "densenet121": (8, "features.conv0", "features.denseblock4"),
}


@pytest.mark.parametrize("name", LEVELS)
def test_each_block_is_slower_than_the_one_above_it(name):
    """Depth counts the blocks of torchvision's networks down from the head."""
    model = meta_classifier(name)
    groups = param_groups(model, lr=1.0, head_lr=7.0, layer_decay=0.5)
    count, first, last = LEVELS[name]
    assert len(groups) == count + 1
    assert [each["name"] for each in groups][:: count - 1][:2] == [first, last]
    below, head = groups[:-1], groups[-1]
    assert [each["lr"] for each in below] == [
        0.5**depth for depth in range(count, 0, -1)
    ]
    assert (head["name"], head["lr"], len(head["params"])) == ("head", 7.0, 2)
    given = [id(each) for group in groups for each in group["params"]]
    assert sorted(given) == sorted(map(id, model.parameters()))


def test_small_things_go_with_the_block_before_them():
    """Tokens, position encodings and norms of a transformer make no own levels."""
    model = meta_classifier("vit_b_16")
    groups = param_groups(model, lr=1, layer_decay=0.9)
    assert names_in(groups[0], model) == [
        "class_token",
        "conv_proj.weight",
        "conv_proj.bias",
        "encoder.pos_embedding",
    ]
    assert names_in(groups[-2], model)[-2:] == ["encoder.ln.weight", "encoder.ln.bias"]
    assert groups[-1]["lr"] == 1


def test_layers_in_lists_are_found_in_both_halves_of_a_transformer():
    """A module with a ModuleList is opened, though the other half is larger."""
    model = nn.Sequential(
        nn.Transformer(4, 2, 3, 2, 8, batch_first=True), nn.Linear(4, 9)
    )
    names = [each["name"] for each in param_groups(model, lr=1, layer_decay=0.9)]
    assert names == [
        *[f"0.encoder.layers.{layer}" for layer in range(3)],
        *[f"0.decoder.layers.{layer}" for layer in range(2)],
        "head",
    ]


def test_a_block_with_half_of_the_parameters_is_left_whole():
    """It is opened if it holds more than half: the count is of tensors."""
    model = nn.Sequential(HeadFirst(), nn.Linear(3, 4), nn.Linear(4, 9))
    groups = param_groups(model, lr=1, layer_decay=0.5)
    assert [each["name"] for each in groups] == ["0", "1", "head"]
    model = nn.Sequential(HeadFirst(), nn.Linear(3, 9, bias=False))
    groups = param_groups(model, lr=1, layer_decay=0.5)
    assert [each["name"] for each in groups] == ["0.head", "0.body.0", "head"]


def test_a_decay_of_one_gives_all_blocks_the_same_rate():
    """The groups are those of any other decay."""
    groups = param_groups(meta_classifier("resnet18"), lr=0.1, layer_decay=1)
    assert [each["lr"] for each in groups] == [0.1] * 10


def test_frozen_blocks_do_not_count():
    """The depth of a block is the number of trainable blocks above it, and one."""
    model = meta_classifier("resnet18")
    freeze(model, "layer2", "layer4", "conv1")
    groups = param_groups(model, lr=1.0, layer_decay=0.5)
    assert [(each["name"], each["lr"]) for each in groups] == [
        ("conv1", 0.5**5),
        ("layer1.0", 0.5**4),
        ("layer1.1", 0.5**3),
        ("layer3.0", 0.5**2),
        ("layer3.1", 0.5),
        ("head", 1.0),
    ]
    assert names_in(groups[0], model) == ["bn1.weight", "bn1.bias"]


def test_the_head_can_be_named():
    """A string, several, or a module that holds more than one layer."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    for head in ("2", ["2"], ("2.weight", "2.bias")):
        groups = param_groups(model, lr=0.1, head_lr=0.2, head=head)
        assert names_in(groups[1], model) == ["2.weight", "2.bias"]
    with pytest.raises(ValueError, match="Name the head"):
        param_groups(model, lr=0.1, layer_decay=0.9)
    with pytest.raises(ValueError, match="Sequential has no part 'two'"):
        param_groups(model, lr=0.1, layer_decay=0.9, head="two")


def test_a_lone_layer_is_all_head_and_a_lone_norm_is_one_block():
    """The smallest models get groups, too."""
    (group,) = param_groups(nn.Linear(4, 3), lr=0.1, layer_decay=0.5)
    assert (group["name"], group["lr"]) == ("head", 0.1)
    model = nn.Linear(4, 3)
    groups = param_groups(model, lr=1, layer_decay=0.5, head="bias")
    assert [(each["lr"], names_in(each, model)) for each in groups] == [
        (0.5, ["weight"]),
        (1, ["bias"]),
    ]
    model = nn.Sequential(nn.PReLU(), nn.Linear(4, 3))
    groups = param_groups(model, lr=1, layer_decay=0.5)
    assert [(each["name"], each["lr"]) for each in groups] == [
        ("(model)", 0.5),
        ("head", 1),
    ]


@settings(deadline=None, max_examples=60)
@given(
    frozen=st.sets(st.sampled_from(range(6))),
    head_lr=st.none() | st.just(0.5),
    layer_decay=st.none() | st.floats(0.1, 1),
    weight_decay=st.sampled_from([0.0, 0.1]),
)
def test_each_trainable_parameter_is_in_exactly_one_group(
    frozen, head_lr, layer_decay, weight_decay
):
    """Whatever is frozen and asked for, tied weights too, in the model's order."""
    model = nn.Sequential(
        *[nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4, bias=False)],
        nn.Linear(4, 9),
    )
    model[2].weight = model[0].weight
    parameters = list(model.parameters())
    assert len(parameters) == 6
    for place in frozen:
        parameters[place].requires_grad = False
    trainable = [each for each in parameters if each.requires_grad]
    options = {"layer_decay": layer_decay, "weight_decay": weight_decay}
    call = partial(param_groups, model, lr=0.1, head_lr=head_lr, **options)
    if not trainable or (head_lr and {4, 5} <= frozen):
        with pytest.raises(ValueError, match=r"nothing is trainable|head is frozen"):
            call()
        return
    groups = call()
    torch.optim.AdamW(groups)  # refuses a parameter that is given twice
    given = {id(each) for group in groups for each in group["params"]}
    assert given == {id(each) for each in trainable}
    for group in groups:
        order = [
            [each is one for one in parameters].index(True) for each in group["params"]
        ]
        assert order == sorted(order)
        assert group["lr"] <= max(0.1, head_lr or 0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lr": 0}, "a learning rate is 0: give a number above 0"),
        ({"lr": float("nan")}, "a learning rate is nan"),
        ({"lr": float("inf")}, "a learning rate is inf"),
        ({"lr": 0.1, "head_lr": -1}, "a learning rate is -1"),
        (
            {"lr": 0.1, "layer_decay": 0},
            "layer_decay is 0: give a number above 0 and at",
        ),
        ({"lr": 0.1, "layer_decay": 1.1}, "layer_decay is 1.1"),
        ({"lr": 0.1, "weight_decay": -0.1}, "weight_decay is -0.1: give 0 or more"),
        ({"lr": 0.1, "weight_decay": float("inf")}, "weight_decay is inf"),
    ],
)
def test_numbers_out_of_range_are_refused(options, match):
    """In param_groups as in fine_tune, where nothing is changed."""
    with pytest.raises(ValueError, match=match):
        param_groups(small_model(), **options)
    model = small_model()
    before = list(model.modules())
    options = {"head_lr": 0.1, **options}
    with pytest.raises(ValueError, match=match):
        fine_tune(model, 2, pytest.fail, **options)
    assert list(model.modules()) == before


def test_models_without_anything_to_group_are_refused():
    """All frozen, a frozen head with a rate of its own, a layer without a shape."""
    model = small_model()
    freeze(model, "3")
    with pytest.raises(
        ValueError, match="head_lr is given, but the head is frozen: un"
    ):
        param_groups(model, lr=0.1, head_lr=0.1)
    freeze(model)
    with pytest.raises(ValueError, match=r"^nothing is trainable: unfreeze a part"):
        param_groups(model, lr=0.1)
    with pytest.raises(ValueError, match=r"'0.weight' has no shape yet"):
        param_groups(nn.Sequential(nn.LazyLinear(2)), lr=0.1)


# --- fine_tune ---


def recording(inputs, calls):
    """A loop that trains a little and notes down what it was given."""

    def loop(model, optimizer):
        before = values(model)
        train(model, optimizer, inputs, steps=2)
        after = values(model)
        moved = [each for each in before if not torch.equal(before[each], after[each])]
        groups = optimizer.param_groups
        calls.append(({each["name"]: each["lr"] for each in groups}, moved))
        return len(calls)

    return loop


def test_first_the_head_is_trained_then_all_of_it_slower():
    """The frozen part stays bit for bit; then everything moves, at its own rate."""
    model, calls = small_model(), []
    loop = recording(torch.randn(6, 4), calls)
    results = fine_tune(model, 5, loop, head_lr=0.1, lr=0.01, layer_decay=0.5)
    assert results == [1, 2]
    assert calls == [
        ({"head": 0.1}, ["3.weight", "3.bias"]),
        ({"0": 0.005, "head": 0.1}, list(values(model))),
    ]
    assert model[3].out_features == 5
    assert all(each.training for each in model.modules())


def test_without_lr_only_the_head_is_trained_and_the_rest_left_frozen():
    """Also with the head that is there; the optimizer is the one that was asked for."""
    model, calls, made = small_model(), [], []
    head = model[3]
    freeze(model, "3")

    def optimizer(groups):
        made.append(torch.optim.SGD(groups, momentum=0.9))
        return made[-1]

    loop = recording(torch.randn(6, 4), calls)
    options = {"head_lr": 0.1, "weight_decay": 0.2, "optimizer": optimizer}
    assert fine_tune(model, None, loop, **options) == [1]
    rates = {"head": 0.1, "head, no decay": 0.1}
    assert calls == [(rates, ["3.weight", "3.bias"])]
    assert model[3] is head
    assert [each["weight_decay"] for each in made[0].param_groups] == [0.2, 0.0]
    modes = [each.training for each in model.train().modules()]
    assert modes == [True, False, False, False, True]


@pytest.mark.parametrize("num_classes", [2, None])
def test_what_was_frozen_before_stays_frozen(num_classes):
    """The parameters and the modes, in both calls, with a new head or the old one."""
    model, calls = small_model(), []
    freeze(model, "1")
    loop = recording(torch.randn(6, 4), calls)
    fine_tune(model, num_classes, loop, head_lr=0.1, lr=0.01)
    assert calls[1][1] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert [each.training for each in model.train().modules()] == [
        *[True, True, False, True, True]
    ]


def test_a_named_head_is_used_in_both_calls():
    """A model in which it would not be found, before or after."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    calls = []
    loop = recording(torch.randn(6, 4), calls)
    fine_tune(model, 3, loop, head_lr=0.1, lr=0.01, head="2")
    assert calls[0][1] == ["2.weight", "2.bias"]
    assert calls[1][0] == {"below the head": 0.01, "head": 0.1}


def test_a_weight_tied_to_the_old_head_is_frozen_with_the_rest():
    """The new head has weights of its own."""
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7, bias=False))
    model[1].weight = model[0].weight
    calls = []
    fine_tune(model, 2, recording(torch.arange(7), calls), head_lr=0.1)
    assert calls[0][1] == ["1.weight"]


def test_an_error_in_the_loop_goes_through_and_leaves_the_model_as_it_is():
    """The new head is in, and all else is frozen."""
    model = small_model()

    def loop(model, optimizer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(model, 2, loop, head_lr=0.1, lr=0.1)
    assert model[3].out_features == 2
    assert [each.requires_grad for each in model.parameters()] == [False] * 4 + [
        True
    ] * 2


def all_frozen() -> nn.Module:
    model = small_model()
    freeze(model, "0", "1")
    return model


@pytest.mark.parametrize(
    ("model", "arguments", "options", "error", "match"),
    [
        (small_model(), (0, print), {}, ValueError, "num_classes is 0"),
        (
            small_model(),
            (2, 5),
            {},
            TypeError,
            "loop is of type int: give a function of the model and the optimizer$",
        ),
        (
            small_model(),
            (2, print),
            {"optimizer": "adam"},
            TypeError,
            "optimizer is of type str: give what makes one, such as torch.optim.AdamW$",
        ),
        (
            small_model(),
            (2, print),
            {"layer_decay": 0.5},
            ValueError,
            "layer_decay is for the layers below the head: give lr, too",
        ),
        (
            all_frozen(),
            (2, print),
            {"lr": 0.1},
            ValueError,
            r"all below the head is frozen: unfreeze\(model\) first",
        ),
        (small_model(), (2, print), {"head": "1"}, ValueError, "'1' is a BatchNorm1d"),
        (small_model(), (None, print), {"head": "x"}, ValueError, "has no part 'x'"),
    ],
)
def test_mistakes_are_found_before_anything_is_changed(
    model, arguments, options, error, match
):
    """No head is replaced and nothing is frozen."""
    modules = list(model.modules())
    wanted = [each.requires_grad for each in model.parameters()]
    with pytest.raises(error, match=match):
        fine_tune(model, *arguments, head_lr=0.1, **options)
    assert list(model.modules()) == modules
    assert [each.requires_grad for each in model.parameters()] == wanted
    assert all(each.training for each in (model, model[2], model[3]))
