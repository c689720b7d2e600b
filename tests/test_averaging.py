"""`snippets.averaging` averages like torch, and gives back what it borrowed."""

from __future__ import annotations

import copy
import math
import threading

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from snippets.averaging import ExponentialMovingAverage


def small_model(dtype=torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).to(dtype)


def one_weight(value: float = 0.0, dtype=torch.float32) -> nn.Module:
    return set_weight(nn.Linear(1, 1, bias=False, dtype=dtype), value)


def set_weight(model: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        model.weight.fill_(value)
    return model


def train(model, *listeners, steps=6, seed=1) -> None:
    """Some steps of gradient descent; after each, every listener is called."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    first = next(model.parameters())
    for _ in range(steps):
        inputs = torch.randn(8, 3, generator=generator).to(first)
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()
        for listener in listeners:
            listener()


def torch_average(model, decay, *, use_buffers=False):
    """The average of torch, and the call that updates it."""
    oracle = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=use_buffers
    )
    return oracle, lambda: oracle.update_parameters(model)


def everything(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(first, second) -> bool:
    """The same names, dtypes and bits."""
    return list(first) == list(second) and all(
        first[name].dtype == second[name].dtype
        and torch.equal(first[name], second[name])
        for name in first
    )


def averages(average: ExponentialMovingAverage) -> dict[str, torch.Tensor]:
    return average.state_dict()["averages"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", [0, 0.3, 0.9, 0.999])
def test_without_warmup_it_is_the_average_of_torch(decay, dtype):
    """After every step of a training the bits are those of AveragedModel."""
    model = small_model(dtype)
    average = ExponentialMovingAverage(model, decay=decay, warmup=False)
    oracle, update_oracle = torch_average(model, decay)
    seen = []

    def compare():
        expected = dict(oracle.module.named_parameters())
        seen.append(equal(averages(average), expected))

    train(model, average.update, update_oracle, compare)
    assert seen == [True] * 6
    assert average.updates == 6


def test_inside_the_model_computes_as_the_average_of_torch():
    """Outputs with averaged weights, and with averaged statistics, are torch's."""
    for use_buffers in (False, True):
        model = small_model()
        average = ExponentialMovingAverage(
            model, decay=0.7, warmup=False, use_buffers=use_buffers
        )
        oracle, update_oracle = torch_average(model, 0.7, use_buffers=use_buffers)
        train(model, average.update, update_oracle)
        inputs = torch.randn(5, 3)
        with average.averaged_weights() as inside:
            assert inside is model
            assert torch.equal(model.eval()(inputs), oracle.eval()(inputs))
        assert not torch.equal(model(inputs), oracle(inputs))


def test_floating_buffers_are_averaged_and_integers_stay_whole():
    """With use_buffers the statistics move like torch's; counters are the model's."""
    model = small_model()
    average = ExponentialMovingAverage(model, decay=0.7, warmup=False, use_buffers=True)
    oracle, update_oracle = torch_average(model, 0.7, use_buffers=True)
    train(model, average.update, update_oracle)
    expected = everything(oracle.module)
    del expected["1.num_batches_tracked"]
    assert averages(average).keys() == expected.keys()
    assert all(
        torch.equal(averages(average)[name], expected[name]) for name in expected
    )
    with average.averaged_weights():
        assert model[1].num_batches_tracked == 6
        assert torch.equal(model[1].running_var, expected["1.running_var"])


def test_without_use_buffers_no_buffer_is_averaged():
    """Inside, the running statistics are those of the model in training."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    train(model, average.update)
    statistics = model[1].running_mean.clone()
    assert averages(average).keys() == dict(model.named_parameters()).keys()
    with average.averaged_weights():
        assert torch.equal(model[1].running_mean, statistics)


def test_warmup_is_the_plain_mean_until_the_decay_is_reached():
    """For the first 1 / (1 - decay) updates each weight so far counts the same."""
    model = one_weight(100.0, torch.float64)
    average = ExponentialMovingAverage(model, decay=0.9)
    values = [float(n * n) for n in range(1, 11)]
    for count, value in enumerate(values, start=1):
        set_weight(model, value)
        average.update()
        mean = sum(values[:count]) / count
        assert averages(average)["weight"].item() == pytest.approx(mean, rel=1e-12)


def test_warmup_follows_its_formula_and_then_the_decay():
    """Update number n uses the smaller of decay and (n - 1) / n."""
    model = one_weight(100.0, torch.float64)
    average = ExponentialMovingAverage(model, decay=0.75)
    expected = math.nan
    for n in range(1, 20):
        set_weight(model, math.sin(n))
        average.update()
        decay = min(0.75, (n - 1) / n)
        expected = math.sin(n) + (decay * (expected - math.sin(n)) if decay else 0)
        assert averages(average)["weight"].item() == pytest.approx(expected, rel=1e-12)


def test_before_the_first_update_it_holds_the_weights_at_its_making():
    """The first update forgets them, even where they were not finite."""
    model = one_weight(math.inf)
    for warmup in (False, True):
        set_weight(model, math.inf)
        average = ExponentialMovingAverage(model, warmup=warmup)
        set_weight(model, 2.0)
        assert averages(average)["weight"].item() == math.inf
        average.update()
        assert averages(average)["weight"].item() == 2.0


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_trained_weights_come_back_even_after_an_error(error):
    """Parameters and buffers are the same objects with the same bits."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    train(model, average.update)
    before = everything(model)
    places = [tensor.data_ptr() for tensor in model.state_dict().values()]
    kept = averages(average)

    def fail():
        with average.averaged_weights():
            assert not torch.equal(model[0].weight, before["0.weight"])
            model(torch.randn(8, 3))  # moves the running statistics
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fail()
    assert equal(everything(model), before)
    assert [tensor.data_ptr() for tensor in model.state_dict().values()] == places
    assert equal(averages(average), kept)
    average.update()


def test_an_error_while_the_average_is_put_in_changes_nothing():
    """Where a weight cannot be written to, those before it come back."""
    model = nn.Sequential(one_weight(1.0), nn.Linear(3, 1, bias=False))
    model[1].weight = nn.Parameter(torch.ones(1, 1).expand(1, 3))
    average = ExponentialMovingAverage(model)
    set_weight(model[0], 5.0)
    with pytest.raises(RuntimeError, match="single memory location"):
        average.averaged_weights().__enter__()
    assert model[0].weight.item() == 5.0
    average.update()


def test_statistics_made_anew_inside_do_not_stay():
    """update_bn fits them to the average; on leaving, the trained ones are back."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    train(model, average.update)
    before = everything(model)
    with average.averaged_weights():
        update_bn([torch.randn(8, 3)], model)
        assert model[1].num_batches_tracked == 1
    assert equal(everything(model), before)


class Counter(nn.Module):
    """Counts its calls in a buffer that it replaces."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, inputs):
        self.calls = self.calls + 1
        return inputs * self.scale


def test_a_buffer_replaced_by_the_forward_pass_comes_back():
    """Also from inference mode, and as the tensor that it was."""
    model = Counter()
    average = ExponentialMovingAverage(model)
    calls = model.calls
    with average.averaged_weights(), torch.inference_mode():
        model(torch.ones(1))
        assert model.calls == 1
    assert model.calls is calls and calls == 0
    model(torch.ones(1))
    average.update()


def test_the_whole_context_works_in_inference_mode():
    """Weights put back there can still be trained."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    train(model, average.update)
    before = everything(model)
    with torch.inference_mode(), average.averaged_weights():
        model(torch.randn(4, 3))
    assert equal(everything(model), before)
    train(model, average.update)


def test_a_model_moved_inside_keeps_its_trained_values():
    """They come back in the dtype that the model has now, buffers too."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    train(model, average.update)
    before = everything(model)
    with average.averaged_weights():
        model.double()
    expected = {
        n: t.double() if t.is_floating_point() else t for n, t in before.items()
    }
    assert equal(everything(model), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_parameter_replaced_inside_comes_back(dtype):
    """The optimizer's parameter is the model's again."""
    model = one_weight(1.0)
    average = ExponentialMovingAverage(model)
    weight = model.weight
    with average.averaged_weights():
        model.weight = nn.Parameter(torch.full((1, 1), 9.0, dtype=dtype))
    assert model.weight is weight and weight.item() == 1.0


def test_training_is_the_same_with_an_average_as_without():
    """Neither updates nor swaps change weights, gradients or momentum by a bit."""
    plain, watched = small_model(), small_model()
    average = ExponentialMovingAverage(watched)

    def swap():
        gradient = watched[0].weight.grad
        with average.averaged_weights():
            assert watched[0].weight.requires_grad
        assert watched[0].weight.grad is gradient

    train(plain)
    train(watched, average.update, swap)
    assert equal(everything(plain), everything(watched))


def test_no_graph_is_kept():
    """Averages need no gradient, whether gradients are on or off."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    for _ in range(2):
        average.update()
    assert not any(tensor.requires_grad for tensor in averages(average).values())
    with average.averaged_weights():
        assert torch.is_grad_enabled()
        assert all(p.requires_grad and p.is_leaf for p in model.parameters())


def test_a_swap_between_forward_and_backward_is_noticed():
    """Autograd refuses gradients of weights that changed in between."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    average = ExponentialMovingAverage(model)
    loss = model(torch.ones(1, 2)).sum()
    with average.averaged_weights():
        pass
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("call", ["update", "averaged_weights", "load_state_dict"])
def test_what_makes_no_sense_inside_is_refused(call):
    """There the model holds the average; afterward all of it works."""
    model = one_weight(1.0)
    average = ExponentialMovingAverage(model)
    set_weight(model, 3.0)
    average.update()
    state = average.state_dict()
    calls = {
        "update": average.update,
        "averaged_weights": lambda: average.averaged_weights().__enter__(),
        "load_state_dict": lambda: average.load_state_dict(state),
    }
    message = rf"{call}\(\) inside averaged_weights\(\).*Leave the with block first"
    with average.averaged_weights():
        with pytest.raises(RuntimeError, match=message):
            calls[call]()
        assert model.weight.item() == 3.0
    assert average.updates == 1
    calls["load_state_dict"]()
    calls["update"]()
    assert average.updates == 2


def test_tied_weights_are_averaged_once_and_stay_tied():
    """One tensor under two names moves one step an update, in and out together."""
    model = nn.Sequential(one_weight(1.0), one_weight(1.0))
    model[1].weight = model[0].weight
    average = ExponentialMovingAverage(model, decay=0.5, warmup=False)
    average.update()
    set_weight(model[0], 3.0)
    average.update()
    assert {n: t.item() for n, t in averages(average).items()} == {"0.weight": 2.0}
    with average.averaged_weights():
        assert model[1].weight is model[0].weight and model[1].weight.item() == 2.0
    assert model[1].weight is model[0].weight and model[1].weight.item() == 3.0


def test_a_weight_frozen_later_is_still_averaged():
    """Its average goes on to the frozen value, and it stays frozen."""
    model = one_weight(0.0)
    average = ExponentialMovingAverage(model, decay=0.5, warmup=False)
    average.update()
    set_weight(model, 8.0).requires_grad_(False)
    for expected in (4.0, 6.0, 7.0):
        average.update()
        assert averages(average)["weight"].item() == expected
    with average.averaged_weights():
        assert not model.weight.requires_grad


def grow(model):
    model.append(nn.Linear(2, 1))


def shrink(model):
    del model[2]


def resize(model):
    model[2] = nn.Linear(4, 7)


def make_complex(model):
    model[0].weight = nn.Parameter(model[0].weight.detach() + 0j)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (grow, r"unexpected '3.weight', '3.bias'\. Make a new"),
        (shrink, r"missing '2.weight', '2.bias'\. Make a new"),
        (resize, r"made: '2.weight' is floating point of shape \(7, 4\), expected"),
        (make_complex, r"'0.weight' is complex of shape \(4, 3\), expected floating"),
    ],
)
def test_a_model_with_other_layers_is_refused(change, message):
    """The error names them; average and model stay as they were."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    train(model, average.update)
    kept = averages(average)
    change(model)
    before = everything(model)
    for use in (average.update, lambda: average.averaged_weights().__enter__()):
        with pytest.raises(RuntimeError, match=message):
            use()
    assert equal(averages(average), kept) and average.updates == 6
    assert equal(everything(model), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_average_of_16_bit_weights_is_kept_in_float32(dtype):
    """It follows a plain loop; torch's, in 16 bits, stands still."""
    model = one_weight(1.0, dtype)
    average = ExponentialMovingAverage(model, decay=0.9995, warmup=False)
    assert averages(average)["weight"].dtype == torch.float32
    oracle, update_oracle = torch_average(model, 0.9995)
    average.update()
    update_oracle()
    set_weight(model, 1.5)
    expected = 1.0
    for _ in range(400):
        average.update()
        update_oracle()
        expected = 0.9995 * expected + 0.0005 * 1.5
    assert oracle.module.weight.item() == 1.0
    assert averages(average)["weight"].dtype == torch.float32
    assert averages(average)["weight"].item() == pytest.approx(expected, rel=1e-5)
    with average.averaged_weights():
        rounded = torch.tensor(expected, dtype=dtype).item()
        assert model.weight.dtype == dtype and model.weight.item() == rounded
    assert model.weight.item() == 1.5


def test_the_average_of_8_bit_weights_is_kept_in_float32():
    """They are cast, since torch cannot add 8-bit floats."""
    model = one_weight(1.0).to(torch.float8_e4m3fn)
    average = ExponentialMovingAverage(model, decay=0.5, warmup=False)
    average.update()
    model.weight.data = torch.full((1, 1), 2.0).to(torch.float8_e4m3fn)
    average.update()
    assert averages(average)["weight"].item() == 1.5
    with average.averaged_weights():
        assert model.weight.float().item() == 1.5
    assert model.weight.float().item() == 2.0


def test_the_average_follows_the_dtype_of_the_model():
    """From float32 to float64 and back, the values go on."""
    model = one_weight(1.0)
    average = ExponentialMovingAverage(model, decay=0.5, warmup=False)
    average.update()
    set_weight(model.double(), 2.0)
    with average.averaged_weights():
        assert model.weight.item() == 1.0
    average.update()
    assert averages(average)["weight"].dtype == torch.float64
    set_weight(model.bfloat16(), 2.5)
    average.update()
    assert averages(average)["weight"].dtype == torch.float32
    assert averages(average)["weight"].item() == 2.0


def test_the_average_follows_the_model_to_another_device():
    """To meta, say, the device without numbers; a saved average loads there."""
    model = small_model()
    average = ExponentialMovingAverage(model)
    average.update()
    saved = average.state_dict()
    model.to("meta")
    average.update()
    assert {tensor.device.type for tensor in averages(average).values()} == {"meta"}
    average.load_state_dict(saved)
    assert {tensor.device.type for tensor in averages(average).values()} == {"meta"}


@pytest.mark.gpu
def test_the_average_follows_the_model_to_the_accelerator(accelerator):
    """It moves there with the next update, and a saved one loads there."""
    model = small_model()
    average = ExponentialMovingAverage(model, decay=0.7, warmup=False)
    train(model, average.update)
    saved = average.state_dict()
    inputs = torch.randn(4, 3)
    with average.averaged_weights():
        expected = model.eval()(inputs)
    model.to(accelerator)
    with average.averaged_weights():
        computed = model(inputs.to(accelerator))
    torch.testing.assert_close(computed.cpu(), expected)
    average.update()
    assert all(t.device.type == accelerator.type for t in averages(average).values())
    average.load_state_dict(saved)
    assert all(t.device.type == accelerator.type for t in averages(average).values())


def test_complex_weights_are_averaged_like_those_of_torch():
    """Real and imaginary parts move together."""
    model = nn.Linear(2, 2, dtype=torch.complex64)
    average = ExponentialMovingAverage(model, decay=0.7, warmup=False)
    oracle, update_oracle = torch_average(model, 0.7)
    for factor in (1j, 2 + 1j, -3):
        with torch.no_grad():
            model.weight.mul_(factor)
        average.update()
        update_oracle()
    assert equal(averages(average), dict(oracle.module.named_parameters()))


def test_integer_parameters_are_left_to_the_model():
    """A table of whole numbers has no average; inside, the model's own counts."""
    model = one_weight(1.0)
    model.table = nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    average = ExponentialMovingAverage(model)
    model.table += 5
    average.update()
    assert list(averages(average)) == ["weight"]
    with average.averaged_weights():
        assert model.table.tolist() == [6, 7]


def test_the_module_itself_is_not_copied():
    """A model that cannot be copied can be averaged."""
    model = one_weight(1.0)
    model.lock = threading.Lock()
    with pytest.raises(TypeError, match="pickle"):
        copy.deepcopy(model)
    average = ExponentialMovingAverage(model)
    average.update()
    assert average.model is model


def test_a_saved_average_goes_on_as_if_never_stopped(tmp_path):
    """Saved halfway and loaded, it ends with the bits of the uninterrupted run."""
    model = small_model()
    whole = ExponentialMovingAverage(model, decay=0.75)
    train(model, whole.update, steps=3)
    torch.save(whole.state_dict(), tmp_path / "average.pt")
    resumed = ExponentialMovingAverage(model, decay=0.75)
    resumed.load_state_dict(torch.load(tmp_path / "average.pt", weights_only=True))
    assert resumed.updates == 3
    train(model, whole.update, resumed.update, steps=3)
    assert equal(averages(resumed), averages(whole))


def test_a_state_is_a_copy_both_ways():
    """Later updates change neither the state given nor the state taken."""
    model = one_weight(1.0)
    average = ExponentialMovingAverage(model, decay=0.5, warmup=False)
    average.update()
    state = average.state_dict()
    set_weight(model, 3.0)
    average.update()
    assert state["averages"]["weight"].item() == 1.0 and state["updates"] == 1
    average.load_state_dict(state)
    average.update()
    assert state["averages"]["weight"].item() == 1.0
    assert averages(average)["weight"].item() == 2.0


def test_a_state_of_another_dtype_is_cast_to_that_of_the_average():
    """A float64 average loads into a float32 one."""
    state = ExponentialMovingAverage(one_weight(2.0, torch.float64)).state_dict()
    average = ExponentialMovingAverage(one_weight(1.0))
    average.load_state_dict(state)
    assert equal(averages(average), {"weight": torch.tensor([[2.0]])})


W, V = torch.ones(2, 2), torch.ones(2)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1], r"got <class 'list'>: give what .*Average\.state_dict returned"),
        ({"weight": W, "bias": V}, r"got \['bias', 'weight'\]"),
        ({"updates": 1}, r"\['averages', 'updates'\], got \['updates'\]"),
        ({"updates": -1, "averages": {}}, "updates is -1"),
        ({"updates": True, "averages": {}}, "updates is True"),
        ({"updates": 1, "averages": [W]}, "averages is a list: expected a dict"),
        (
            {"updates": 1, "averages": {"weight": 3}},
            r"averages\['weight'\] .* type int: expected a tensor",
        ),
        ({"updates": 1, "averages": {"weight": W}}, "missing 'bias'. Make"),
        ({"updates": 1, "averages": {"weight": V}}, "missing 'bias'; 'weight' is"),
        (
            {"updates": 1, "averages": {"weight": W, "bias": V, "more": V}},
            "unexpected 'more'",
        ),
        (
            {"updates": 1, "averages": {"weight": W, "bias": W}},
            r"'bias' is floating point of shape \(2, 2\), .* of shape \(2,\)",
        ),
        ({"updates": 1, "averages": {"weight": W, "bias": V.long()}}, "'bias' is int"),
        ({"updates": 1, "averages": {"weight": W + 0j, "bias": V}}, "is complex"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state, message):
    """The error says what is wrong; not a number is loaded."""
    average = ExponentialMovingAverage(nn.Linear(2, 2))
    kept = averages(average)
    with pytest.raises(ValueError, match=message):
        average.load_state_dict(state)
    assert equal(averages(average), kept) and average.updates == 0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (4, r"missing 'a', 'b', 'c', 'd'\. Make"),
        (5, r"missing 'a', 'b', 'c', 'd' and 1 more\. Make"),
        (6, r"missing 'a', 'b', 'c', 'd' and 2 more\. Make"),
    ],
)
def test_a_long_list_of_names_is_cut(weights, message):
    """A foreign state names the first four and counts the rest."""
    model = nn.Module()
    for name in "abcdef"[:weights]:
        model.register_parameter(name, nn.Parameter(torch.ones(1)))
    average = ExponentialMovingAverage(model)
    with pytest.raises(ValueError, match=message):
        average.load_state_dict({"updates": 0, "averages": {}})


@pytest.mark.parametrize("decay", [-0.1, 1, 1.5, math.nan])
def test_a_decay_out_of_range_is_refused(decay):
    """1 would never move, NaN is no number."""
    with pytest.raises(ValueError, match=rf"decay is {decay}: give a number from 0"):
        ExponentialMovingAverage(nn.Linear(1, 1), decay=decay)


def test_parameters_instead_of_a_model_are_refused():
    """The error asks for the module itself."""
    with pytest.raises(TypeError, match=r"type generator: .*, not its parameters"):
        ExponentialMovingAverage(nn.Linear(1, 1).parameters())


def test_a_model_without_weights_is_refused():
    """There would be nothing to average, also where all weights are integers."""
    model = nn.ReLU()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"ReLU has no floating .* to average"):
            ExponentialMovingAverage(model)
        model.table = nn.Parameter(torch.tensor([1]), requires_grad=False)


@pytest.mark.parametrize("layer", [nn.LazyLinear(2), nn.LazyBatchNorm1d(affine=False)])
def test_a_lazy_layer_is_refused_until_it_has_a_shape(layer):
    """The error names the weight; after one batch it is averaged."""
    model = nn.Sequential(nn.Linear(3, 2), layer)
    with pytest.raises(ValueError, match=r"'1\.\w+' has no shape yet: pass one batch"):
        ExponentialMovingAverage(model)
    model(torch.ones(4, 3))
    ExponentialMovingAverage(model).update()
