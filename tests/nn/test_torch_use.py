"""Analog layers in the hands of a user of PyTorch: copies, freezing, shared layers, states, shapes."""

import copy
import io
import pickle
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")

from torch import nn  # noqa: E402

from sptrack.crossbar import PulseScheme  # noqa: E402
from sptrack.devices import ConstantStep, CycleNoise, Device, Spread  # noqa: E402
from sptrack.errors import ParameterError  # noqa: E402
from sptrack.nn import AnalogConv2d, AnalogLinear, AnalogSGD, NetConfig, convert_to_analog  # noqa: E402
from sptrack.tiles import IDEAL_IO, algorithm  # noqa: E402
from sptrack.tracking.compounds import FastUpdate  # noqa: E402

DEVICE = Device(
    response=ConstantStep(w_max=2, w_min=-2), dw_min=1e-3, spread=Spread(), cycle_noise=CycleNoise()
)
IDEAL = {"forward": IDEAL_IO, "backward": IDEAL_IO, "reads": IDEAL_IO}
SGD = algorithm("sgd", **IDEAL)
ONE = {"settings": SGD, "device": DEVICE}
CONFIG = NetConfig(**ONE)


def two_layers(config=CONFIG):
    torch.manual_seed(0)
    return convert_to_analog(nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 4)), config)


def one_step(model, optimizer=None, rows=3):
    optimizer = AnalogSGD(model, lr=0.5) if optimizer is None else optimizer
    optimizer.zero_grad()
    model(torch.linspace(0, 1, rows * 6).reshape(rows, 6)).square().sum().backward()
    optimizer.step()
    return optimizer


def visible(model):
    return [layer.analog_weights() for layer in model if isinstance(layer, AnalogLinear)]


def through_torch(model):
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), through_torch]
)
@pytest.mark.parametrize("name", ["sgd", "e-rider"])
def test_a_copy_is_a_net_of_its_own_that_goes_on_alike(copied, name):
    model = two_layers(NetConfig(settings=algorithm(name), device=DEVICE))
    optimizer = one_step(model)
    other = copied(model)
    held, x = visible(model), torch.rand(2, 6)
    told = other[0].ledger.total()
    for _ in range(3):
        one_step(other)
    assert all(np.array_equal(a, b) for a, b in zip(held, visible(model), strict=True))
    assert told < other[0].ledger.total() == other[2].ledger.total()
    for _ in range(3):
        one_step(model, optimizer)
    assert all(np.array_equal(a, b) for a, b in zip(visible(other), visible(model), strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(held, visible(model), strict=True))
    assert torch.equal(model(x), other(x))


def test_copies_of_an_optimizer_keep_scale_and_layers():
    model = two_layers()
    optimizer = AnalogSGD(model, lr=0.5, gradient_scale=3.0)
    for one in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert one.gradient_scale == 3
        one.zero_grad()
        one.step()
    plain = AnalogSGD(model, lr=0.5)
    plain.load_state_dict(optimizer.state_dict())
    assert plain.gradient_scale == 3
    plain.load_state_dict(torch.optim.SGD(model.parameters(), lr=0.1).state_dict())
    assert plain.gradient_scale == 1
    for value in (-1.0, 0.0, np.nan):
        with pytest.raises(ParameterError, match=f"gradient_scale must be .*, got {value:g}"):
            plain.gradient_scale = value
    with pytest.raises(ParameterError, match="maximize must be False"):
        AnalogSGD(model, lr=0.5, maximize=True)


def test_what_runs_first_need_not_be_registered_first():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(5, 4)
            self.body = nn.Linear(6, 5)

        def forward(self, x):
            return self.out(torch.sigmoid(self.body(x)))

    model = convert_to_analog(Net(), CONFIG)
    before = model.body.bias.detach().clone()
    one_step(model)
    assert min(tile.pulses for layer in (model.body, model.out) for tile in layer.tiles) > 0
    assert not torch.equal(before, model.body.bias)


def test_no_errors_go_back_through_the_layer_that_sees_the_data():
    model = two_layers()
    one_step(model)
    found = model[0].ledger.table()
    assert found["forward", "0/0/W"]["passes"] == 3
    assert ("backward", "0/0/W") not in found
    assert found["backward", "2/0/W"]["passes"] == 3


def test_a_layer_in_two_places_stays_one():
    torch.manual_seed(0)
    shared = nn.Linear(6, 6)
    model = convert_to_analog(nn.Sequential(shared, nn.Sigmoid(), shared), CONFIG)
    assert model[0] is model[2]
    assert isinstance(model[0], AnalogLinear)
    model(torch.rand(3, 6)).sum().backward()
    assert [len(x) for x, _ in model[0]._parts[0].pending] == [3, 3]
    assert model[0].tiles[0].passes == 3 * 3  # forward twice, backward through the second place


def test_weights_that_two_layers_share_are_refused_and_the_net_stays():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    with pytest.raises(ParameterError, match="layers 0 and 1 must not share a weight"):
        convert_to_analog(model, CONFIG)
    for second, told in (
        (nn.LazyLinear(4), "layer 1 must have its size before"),
        (nn.Conv2d(4, 4, 3, groups=2), "groups of the analog convolution 1 must be 1, got 2"),
        (
            nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
            "padding_mode of .* 1 must be zeros, got circ",
        ),
    ):
        model = nn.Sequential(nn.Linear(4, 4), second)
        with pytest.raises(ParameterError, match=told):
            convert_to_analog(model, CONFIG)
        assert type(model[0]) is nn.Linear


def test_each_layer_may_have_an_algorithm_of_its_own():
    config = replace(CONFIG, layers={"2": algorithm("agad")})
    model = two_layers(config)
    assert [layer.tiles[0].settings.name for layer in (model[0], model[2])] == ["sgd", "agad"]
    one_step(model)
    with pytest.raises(ParameterError, match="unknown layer '1'; choose from 0, 2"):
        two_layers(replace(config, layers={"1": SGD}))


def test_what_is_frozen_is_not_pulsed_and_still_passes_errors_on():
    torch.manual_seed(0)
    digital = nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 4)).eval()
    digital[2].requires_grad_(False)
    model = convert_to_analog(digital, CONFIG)
    assert [one.requires_grad for one in model[2].parameters()] == [False, False]
    assert not model[2].training
    model(torch.rand(3, 6)).sum().backward()
    assert [len(layer._parts[0].pending) for layer in (model[0], model[2])] == [1, 0]
    one_step(model)
    assert model[2].tiles[0].pulses == 0
    assert model[0].tiles[0].pulses > 0
    model[2].requires_grad_(True)
    one_step(model)
    assert model[2].tiles[0].pulses > 0


def test_arrays_alone_learn():
    model = two_layers()
    before = [one.detach().clone() for one in model.parameters()]
    one_step(model, AnalogSGD(model, lr=0.5, digital=False))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert min(layer.tiles[0].pulses for layer in (model[0], model[2])) > 0


@pytest.mark.parametrize("drop", ["model", "optimizer", "zeros"])
def test_dropped_gradients_do_not_reach_the_arrays(drop):
    model = two_layers()
    optimizer = AnalogSGD(model, lr=0.5)
    model(torch.rand(3, 6)).sum().backward()
    if drop == "model":
        model.zero_grad()
    else:
        optimizer.zero_grad(set_to_none=drop == "optimizer")
    optimizer.step()
    assert model[0].ledger.total() == 0


def test_gradients_of_inputs_alone_leave_no_samples():
    model = two_layers()
    x = torch.rand(3, 6, requires_grad=True)
    optimizer = AnalogSGD(model, lr=0.5)
    torch.autograd.grad(model(x).sum(), x)
    optimizer.step()
    assert model[0].ledger.total() == 0


def test_samples_do_not_pile_up_under_another_optimizer():
    model = two_layers()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(5):
        one_step(model, optimizer)
    assert len(model[0]._parts[0].pending) == 1


def test_gradients_of_several_batches_add_up():
    model = two_layers()
    optimizer = AnalogSGD(model, lr=0.5)
    for _ in range(2):
        model(torch.rand(3, 6)).sum().backward()
    assert [len(x) for x, _ in model[0]._parts[0].pending] == [3, 3]
    optimizer.step()
    assert model[0].ledger.total() > 0


def test_layers_of_one_name_are_refused():
    model = nn.Sequential(AnalogLinear(6, 6, **ONE), AnalogLinear(6, 6, **ONE))
    with pytest.raises(
        ParameterError, match="names of analog layers must differ, got 'layer' more than once"
    ):
        AnalogSGD(model, lr=0.1)
    AnalogSGD(nn.Sequential(AnalogLinear(6, 6, **ONE), AnalogLinear(6, 6, name="second", **ONE)), lr=0.1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"settings": algorithm("tt-v2")}, "settings"),
        ({"device": replace(DEVICE, dw_min=2e-3)}, "device"),
        ({"seed": 1}, "seed"),
        ({"device_seed": 1}, "device_seed"),
    ],
)
def test_a_state_goes_with_its_settings(changes, told):
    config = NetConfig(settings=algorithm("agad"), device=DEVICE)
    model = two_layers(config)
    one_step(model)
    other = two_layers(replace(config, **changes))
    with pytest.raises(ParameterError, match=f"state of 0: {told} must be that of the layer"):
        other.load_state_dict(model.state_dict())
    assert other[0].ledger.total() == 0


def test_a_state_that_does_not_fit_changes_nothing():
    small, large = AnalogLinear(6, 5, **ONE), AnalogLinear(6, 700, **ONE)
    one_step(small)
    held = [part.scale.copy() for part in large._parts]
    with pytest.raises(ParameterError, match="must have shape"):
        large.set_extra_state(small.get_extra_state())
    assert all(np.array_equal(a, part.scale) for a, part in zip(held, large._parts, strict=True))
    content = small.get_extra_state()
    for damaged in (content[: len(content) // 2], torch.zeros(100, dtype=torch.uint8)):
        with pytest.raises(ParameterError, match="state of layer: not that of an analog layer"):
            small.set_extra_state(damaged)


@pytest.mark.parametrize("kernel", [2, 3, (1, 4)])
@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_convolutions_take_the_arguments_of_torch(kernel, padding):
    torch.manual_seed(2)
    digital = nn.Conv2d(2, 5, kernel, 1, padding)
    analog = AnalogConv2d.from_digital(digital, **ONE)
    alike = AnalogConv2d(2, 5, kernel, 1, padding, **ONE)
    x = torch.randn(4, 2, 9, 10, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    assert alike(x).shape == digital(x).shape
    assert torch.allclose(analog(x), digital(y), atol=2e-5)
    analog(x).square().sum().backward()
    digital(y).square().sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-4)
    assert torch.allclose(analog(x[0]), digital(x[0]), atol=2e-5)
    with pytest.raises(
        ParameterError, match=r"convolution layer must have the shape \[n, 2, rows, columns\]"
    ):
        analog(torch.zeros(4, 3, 9, 10))


@pytest.mark.parametrize(
    ("layer", "given", "wanted"),
    [
        (AnalogLinear(6, 4, **ONE), (0, 6), (0, 4)),
        (AnalogLinear(6, 4, **ONE), (0, 3, 6), (0, 3, 4)),
        (AnalogLinear(6, 4, **ONE), (6,), (4,)),
        (AnalogConv2d(2, 4, 3, **ONE), (0, 2, 5, 5), (0, 4, 3, 3)),
    ],
)
def test_empty_and_single_inputs(layer, given, wanted):
    optimizer = AnalogSGD(layer, lr=0.1)
    found = layer(torch.zeros(given))
    assert tuple(found.shape) == wanted
    found.sum().backward()
    optimizer.step()
    assert layer.bias.grad is not None


def test_layers_print_their_sizes():
    assert (
        repr(AnalogLinear(6, 4, **ONE)) == "AnalogLinear(in_features=6, out_features=4, bias=True, tiles=1)"
    )
    told = repr(AnalogConv2d(2, 5, 3, stride=2, **ONE))
    assert told == "AnalogConv2d(2, 5, kernel_size=(3, 3), stride=(2, 2), tiles=1)"


@pytest.mark.parametrize("layer", ["linear", "convolution", "tiles"])
def test_arrays_take_the_digital_step_on_average(layer):
    """On a fine linear device the mean of 40 steps of long trains is -lr d x within 10 percent."""
    long = algorithm("sgd", fast=FastUpdate(rate=0.0, scheme=PulseScheme(train_length=1000)), **IDEAL)
    torch.manual_seed(3)
    made = {
        "linear": lambda: (nn.Linear(6, 4), (8, 6)),
        "convolution": lambda: (nn.Conv2d(2, 3, 3, stride=2, padding=1), (4, 2, 7, 7)),
        "tiles": lambda: (nn.Linear(600, 530), (4, 600)),
    }
    digital, shape = made[layer]()
    kind = AnalogConv2d if layer == "convolution" else AnalogLinear
    x = torch.rand(shape)
    digital(x).square().mean().backward()
    wanted = -digital.weight.grad.numpy().reshape(len(digital.weight), -1)
    moved = np.zeros_like(wanted)
    for seed in range(4):
        analog = kind.from_digital(digital, seed=seed, settings=long, device=DEVICE)
        optimizer = AnalogSGD(analog, lr=0.5, digital=False)
        before = analog.analog_weights()
        for _ in range(10):
            optimizer.zero_grad()
            analog(x).backward((2 * digital(x) / digital(x).numel()).detach())  # errors of the start
            optimizer.step()
        moved += (analog.analog_weights() - before) / (4 * 10 * 0.5)
    slope = float((moved * wanted).sum() / (wanted**2).sum())
    assert slope == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("made", [lambda: AnalogLinear(6, 4, **ONE), lambda: AnalogConv2d(2, 3, 3, **ONE)])
def test_a_second_derivative_is_refused(made):
    """It would lack the part through the arrays, as in a gradient penalty; torch says so by its own rule."""
    layer = made()
    x = torch.rand((5, 6) if isinstance(layer, AnalogLinear) else (2, 2, 5, 5), requires_grad=True)
    (first,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.square().sum().backward()
