"""Analog layers, optimizer, resumable training."""

import gzip
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")

from torch import nn  # noqa: E402

from sptrack.blocks import CustomFilter  # noqa: E402
from sptrack.crossbar import PulseScheme  # noqa: E402
from sptrack.devices import (  # noqa: E402
    ConstantStep,
    CustomResponse,
    CycleNoise,
    Device,
    Reference,
    SoftBounds,
    Spread,
)
from sptrack.errors import ParameterError  # noqa: E402
from sptrack.nn import AnalogConv2d, AnalogLinear, AnalogSGD, NetConfig, convert_to_analog  # noqa: E402
from sptrack.nn.config import train_settings  # noqa: E402
from sptrack.nn.data import Images, load_images, read_idx  # noqa: E402
from sptrack.nn.layers import digest_of  # noqa: E402
from sptrack.nn.nets import build_net  # noqa: E402
from sptrack.nn.training import Trainer, TrainingError, TrainSettings  # noqa: E402
from sptrack.tiles import ALGORITHMS, IDEAL_IO, algorithm  # noqa: E402
from sptrack.tracking.compounds import FastUpdate  # noqa: E402

IDEAL = {"forward": IDEAL_IO, "backward": IDEAL_IO, "reads": IDEAL_IO}
FINE = Device(
    response=ConstantStep(w_max=2, w_min=-2), dw_min=1e-3, spread=Spread(), cycle_noise=CycleNoise()
)
NOISY = Device(
    response=SoftBounds(),
    dw_min=0.02,
    write_noise=0.5,
    cycle_noise=CycleNoise(std=0.3, additive=True),
    spread=Spread(dw_min=0.2),
    reference=Reference(mean=0.1, std=0.05),
)


LONG = FastUpdate(rate=0.0, scheme=PulseScheme(train_length=1000))
SGD = algorithm("sgd", fast=LONG, **IDEAL)


def sgd(device=FINE):
    return {"settings": SGD, "device": device}


def images(n=40, side=4, classes=3):
    rng = np.random.default_rng(0)
    labels = torch.arange(n) % classes
    centres = rng.uniform(0, 1, (classes, side * side))
    x = 0.7 * centres[labels] + 0.3 * rng.uniform(0, 1, (n, side * side))
    x = torch.tensor(x, dtype=torch.float32).reshape(n, 1, side, side)
    return Images(x, labels, x[: n // 2], labels[: n // 2])


@pytest.mark.parametrize("shape", [(6, 4), (600, 530)])
def test_a_layer_with_ideal_converters_is_the_digital_one(shape):
    torch.manual_seed(1)
    digital = nn.Linear(*shape)
    analog = AnalogLinear.from_digital(digital, **sgd())
    x = torch.randn(3, 5, shape[0])
    assert torch.allclose(analog(x), digital(x), atol=2e-5)
    assert len(analog.tiles) == (1 if shape[0] < 512 else 4)
    assert analog.analog_weights() == pytest.approx(digital.weight.detach().numpy(), abs=1e-6)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16])
def test_inputs_that_the_kernels_cannot_share_are_refused(kind):
    linear, conv = (
        convert_to_analog(one, NetConfig(settings=algorithm("agad"), device=Device(dw_min=0.01)))
        for one in (nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Conv2d(1, 2, 3)))
    )
    for net, shape in ((linear, (1, 3)), (conv, (1, 1, 4, 4))):
        with pytest.raises(ParameterError, match=f"float32 on the CPU, got {kind}"):
            net(torch.zeros(shape, dtype=kind))


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, (2, 1), 2)])
def test_a_convolution_is_the_digital_one(stride, padding, dilation):
    torch.manual_seed(2)
    digital = nn.Conv2d(2, 5, 3, stride=stride, padding=padding, dilation=dilation)
    analog = AnalogConv2d.from_digital(digital, **sgd())
    x = torch.randn(4, 2, 9, 10, requires_grad=True)
    y = torch.randn(4, 2, 9, 10).copy_(x.detach()).requires_grad_()
    assert torch.allclose(analog(x), digital(y), atol=1e-5)
    analog(x).square().sum().backward()
    digital(y).square().sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-4)


def test_analog_sgd_takes_the_digital_step():
    """On a fine linear device the pulsed step is -lr d x on average: its noise is known from the trains."""
    torch.manual_seed(3)
    digital = nn.Linear(6, 4)
    analog = AnalogLinear.from_digital(digital, **sgd())
    x = torch.rand(8, 6)
    before = analog.analog_weights()
    optimizer = AnalogSGD(analog, lr=0.5, digital=False)
    for layer in (digital, analog):
        layer.zero_grad()
        layer(x).square().mean().backward()
    optimizer.step()
    moved = analog.analog_weights() - before
    wanted = -0.5 * digital.weight.grad.numpy()
    assert np.corrcoef(moved.ravel(), wanted.ravel())[0, 1] > 0.98
    assert moved.sum() == pytest.approx(wanted.sum(), rel=0.1)


def test_tensors_share_memory_with_the_kernels():
    layer = AnalogLinear(6, 4, **sgd())
    shown = torch.from_numpy(layer.tiles[0].w_array._shown)
    held = shown.clone()
    d = np.ones((1, 4), np.float32)
    layer.tiles[0].update(np.ones((1, 6), np.float32), d, 0.01)
    layer.tiles[0].w_array.weights  # noqa: B018 - renews what is seen
    assert not torch.equal(shown, held)


def test_conversion_replaces_all_layers():
    net = convert_to_analog(build_net("lenet5", (1, 28, 28), 10, 0), NetConfig(device=FINE))
    kinds = [type(one) for one in net if not isinstance(one, nn.Tanh | nn.MaxPool2d | nn.Flatten)]
    assert kinds == [AnalogConv2d, AnalogConv2d, AnalogLinear, AnalogLinear]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_resumed_training_is_unbroken_training(name, tmp_path):
    settings = TrainSettings(settings=algorithm(name, hold=1), device=NOISY, batch=8, seed=2)
    data = images()
    whole = Trainer(settings, data)
    assert whole.run(3)
    first = Trainer(settings, data)
    count = iter(range(100))
    assert not first.run(3, stopped=lambda: next(count) == 6)  # within the second epoch
    first.save(tmp_path / "state.pt")
    second = Trainer(settings, data)
    second.load(tmp_path / "state.pt")
    assert second.run(3)
    for run in (whole, second):
        for record in run.history:
            record.pop("seconds")
    assert whole.history == second.history
    states = whole.model.state_dict(), second.model.state_dict()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_training_learns_and_counts(tmp_path):
    path = tmp_path / "one.py"
    layers = "nn.Sequential(nn.Flatten(), nn.Linear(16, classes))"
    path.write_text(f"from torch import nn\n\n\ndef net(shape, classes):\n    return {layers}\n")
    run = Trainer(TrainSettings(net=str(path), settings=SGD, device=FINE, lr=0.1), images(60))
    run.run(15)
    assert run.history[-1]["accuracy"] > 90
    assert run.history[-1]["pulses"] == run.pulses
    assert run.history[-1]["passes"] > 0


def test_random_layers_are_seeded_resumed_and_off_in_tests(tmp_path):
    """Dropout and batch normalization: runs of one seed are one, broken or not; test images teach nothing."""
    path = tmp_path / "one.py"
    layers = "nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, classes)"
    path.write_text(
        f"from torch import nn\n\n\ndef net(shape, classes):\n    return nn.Sequential({layers})\n"
    )
    settings, data = TrainSettings(net=str(path), settings=SGD, device=FINE, batch=8, lr=0.1), images()
    runs = [Trainer(settings, data) for _ in range(3)]
    assert int(runs[0].model[0].num_batches_tracked) == 0
    before = torch.get_rng_state()
    assert runs[0].run(2)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    count = iter(range(100))
    assert not runs[1].run(2, stopped=lambda: next(count) == 6)
    runs[1].save(tmp_path / "state.pt")
    torch.manual_seed(8)
    runs[2].load(tmp_path / "state.pt")
    assert runs[2].run(2)
    whole, resumed = runs[0].model.state_dict(), runs[2].model.state_dict()
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
    assert int(runs[0].model[0].num_batches_tracked) == 10
    assert runs[0].accuracy() == runs[0].accuracy()
    assert runs[0].model.training


def test_the_ledger_counts_passes_and_renewals():
    run = Trainer(TrainSettings(settings=algorithm("e-rider"), device=NOISY, batch=8), images(40))
    run.run(1)
    ledger, tiles = run.ledger, [tile for layer in run.layers for tile in layer.tiles]
    shown = 5 * 8 + len(run.images.test)
    first, last = (tile.w_array.name for tile in (tiles[0], tiles[-1]))
    table = ledger.table()
    for phase in ("forward", "residual-forward"):
        assert table[phase, first]["passes"] >= shown
    assert table["backward", last]["passes"] == 40
    assert ledger.total("passes") == sum(tile.passes for tile in tiles) == run.history[-1]["passes"]
    assert ledger.total() == run.pulses
    # P starts a first period: no reference is renewed before it ends
    assert ledger.total("programs") == 0
    moved = Trainer(TrainSettings(settings=algorithm("rider"), device=NOISY, batch=8), images(40))
    moved.run(1)
    assert 0 < moved.history[-1]["programs"] <= moved.history[-1]["reads"]  # a read of 0 may change nothing


@pytest.mark.parametrize("digital", [True, False])
def test_digital_parameters_learn_unless_they_are_frozen(digital):
    run = Trainer(TrainSettings(settings=SGD, device=FINE, lr=0.1, digital=digital), images(60))
    before = [one.detach().clone() for one in run.model.parameters()]
    run.run(1)
    assert all(torch.equal(a, b) != digital for a, b in zip(before, run.model.parameters(), strict=True))
    assert run.pulses > 0


def test_a_loss_that_is_not_finite_ends_the_run():
    data = images()
    data.train[3] = np.nan
    with pytest.raises(TrainingError, match="loss is nan in epoch 1, batch"):
        Trainer(TrainSettings(device=FINE), data).run(1)


def test_state_of_another_run_is_refused(tmp_path):
    Trainer(TrainSettings(device=FINE), images()).save(tmp_path / "a.pt")
    with pytest.raises(ParameterError, match="other settings"):
        Trainer(TrainSettings(device=FINE, seed=1), images()).load(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"nothing")
    with pytest.raises(ParameterError, match="not the state of a training run"):
        Trainer(TrainSettings(device=FINE), images()).load(tmp_path / "b.pt")


def test_functions_of_a_user_go_with_a_state(tmp_path):
    """A response and a filter from two functions each; what is told of them is the same in every process."""
    own = Device(
        response=CustomResponse(q_plus=lambda w: 1.0 - w, q_minus=lambda w: 1.0 + w),
        dw_min=0.02,
        reference=Reference(mean=0.1, std=0.05),
    )
    settings = TrainSettings(
        settings=algorithm("agad", reference=CustomFilter(update=_halved), hold=1), device=own, batch=8
    )
    whole, first, second = (Trainer(settings, images()) for _ in range(3))
    whole.run(2)
    first.run(1)
    first.save(tmp_path / "state.pt")
    second.load(tmp_path / "state.pt")
    second.run(2)
    assert all(
        torch.equal(a, b)
        for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True)
    )
    assert digest_of(replace(own, dw_min=0.03)) != digest_of(own)


def _halved(memory, x):
    memory[0] += 0.5 * (x - memory[0])
    return memory[0]


def test_a_state_that_was_cut_or_changed_is_refused(tmp_path):
    path, run = tmp_path / "a.pt", Trainer(TrainSettings(device=FINE), images())
    run.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    flipped = [(place, content) for place in rng.integers(0, 8 * len(content), 80)]
    cut = [(0, content[:end]) for end in rng.integers(1, len(content), 20)]
    for place, kept in flipped + cut:
        damaged = bytearray(kept)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ParameterError, match=r"a\.pt: not the state of a training run"):
            run.load(path)
    path.write_bytes(b"")
    with pytest.raises(ParameterError, match="no checksum"):
        run.load(path)
    with pytest.raises(ParameterError, match="b.pt: not the state of a training run .No such file"):
        run.load(tmp_path / "b.pt")


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_idx_files(tmp_path):
    x, y = np.arange(5 * 3 * 3).reshape(5, 3, 3), np.arange(5) % 2
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz")
    for name, array in zip(names, (x, y, x), strict=True):
        content = idx(array)
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(
        ParameterError, match=r"t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz is missing"
    ):
        load_images(str(tmp_path))
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(idx(y))
    found = load_images(str(tmp_path))
    assert found.train.shape == (5, 1, 3, 3)
    assert found.train[1, 0, 0, 0] == pytest.approx(9 / 255)
    labels.write_bytes(idx(y)[:-1])
    with pytest.raises(ParameterError, match="holds 4 bytes, its head says 5"):
        load_images(str(tmp_path))
    labels.write_bytes(idx(y[:4]))
    with pytest.raises(ParameterError, match="must go together"):
        load_images(str(tmp_path))
    for sides, told in (((65536,) * 4, "holds 5 bytes"), ((1,) * 4 + (5,), "must have 1 to 3 dimensions")):
        head = bytes([0, 0, 8, len(sides)]) + b"".join(n.to_bytes(4, "big") for n in sides)
        labels.write_bytes(head + bytes(5))
        with pytest.raises(ParameterError, match=told):
            load_images(str(tmp_path))
    packed = bytearray(gzip.compress(idx(x)))
    packed[10] = 0xFF  # a block of a kind that there is not
    (tmp_path / names[2]).write_bytes(packed)
    labels.write_bytes(idx(y))
    with pytest.raises(ParameterError, match="cannot be read"):
        load_images(str(tmp_path))
    labels.write_bytes(b"GIF89a")
    with pytest.raises(ParameterError, match="not an IDX file"):
        read_idx(labels)


def test_nets_of_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from torch import nn\ndef net(shape, classes):\n    return nn.Linear(4, classes)\n")
    with pytest.raises(ParameterError, match="must give"):
        build_net(str(path), (1, 4, 4), 3, 0)
    path.write_text("def other(): pass")
    with pytest.raises(ParameterError, match="a function net"):
        build_net(str(path), (1, 4, 4), 3, 0)
    path.write_text("1 / 0")
    with pytest.raises(ParameterError, match="ZeroDivisionError"):
        build_net(str(path), (1, 4, 4), 3, 0)
    with pytest.raises(ParameterError, match="lenet5 needs images"):
        build_net("lenet5", (1, 8, 8), 10, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"beyond_bounds": "yes"}, "tile.beyond_bounds must be true or false, got 'yes'"),
        ({"frozen": 1}, "tile.frozen must be true or false, got 1"),
        ({"hold": 1.5}, "tile.hold must be"),
        ({"gamma": float("nan")}, "tile.gamma must be"),
        ({"fast_lr": "a"}, "tile.fast_lr must be"),
    ],
)
def test_values_of_a_table_must_be_of_their_kind(given, told):
    with pytest.raises(ParameterError, match=f"^run.toml: {told}"):
        train_settings({"tile": given}, "run.toml")
    assert train_settings({"tile": {"beyond_bounds": True, "gamma": 1}}, "run.toml").settings.beyond_bounds


def test_tables_reach_converters_and_trains():
    tables = {"io": {"output_noise": 0.2, "bound_management": False}}
    tables["tile"] = {"train_length": 31, "transfer_every": 3, "scale_fast_lr": True}
    made = train_settings(tables, "run.toml").settings
    assert [io.output_noise for io in (made.forward, made.backward, made.reads)] == [0.2] * 3
    assert [io.bound_management for io in (made.forward, made.backward)] == [False] * 2
    assert (made.fast.scheme.train_length, made.transfer.every, made.fast.scaled) == (31, 3, True)
    for table, told in (
        ({"output_nois": 1.0}, "unknown key 'output_nois' in \\[io\\].*output_noise"),
        ({"output_noise": "a"}, "io.output_noise must be a finite number, got 'a'"),
        ({"noise_management": 1}, "io.noise_management must be true or false, got 1"),
        (3, "io must be a table, got 3"),
    ):
        with pytest.raises(ParameterError, match=told):
            train_settings({"io": table}, "run.toml")
