"""Fast checks of what a bad result would not give away: tables, flips, schedule, resume, widening, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import generate  # noqa: E402
import labels  # noqa: E402
import train  # noqa: E402
from average import average  # noqa: E402
from network import Config, UNet, cost, widen  # noqa: E402

SMALL = Config(widths=(4, 4, 8, 8, 8), top=4)
LARGE = Config(widths=(4, 8, 12, 8, 16), top=8, decoder=(1, 2, 2, 1))


def name_of(class_: int) -> str:
    return labels.CLASSES[class_][1]


def toy_pool(folder: Path) -> Path:
    """A pool of two entries of 48^3: random blocks of gen indices."""
    rs = np.random.RandomState(0)
    blocks = rs.randint(0, len(labels.GEN), (2, 6, 6, 6)).astype(np.uint8)
    blocks.repeat(8, 1).repeat(8, 2).repeat(8, 3).tofile(folder / "pool.u8")
    (folder / "pool.json").write_text('{"n": 2, "maps": [1], "shape": [48, 48, 48], "seed": 0}')
    return folder


# -------------------------------------------------------------------------------------------------------------- labels
def test_label_tables_agree():
    assert labels.NCLASS == 33 and len(labels.COLOURS) == 33
    assert (np.diff(labels.CLASS_IDS) > 0).all()
    assert len(set(labels.GEN)) == 54 == len(labels.SEG) == len(labels.TISSUE)
    assert (labels.CLASS_IDS[labels.GEN_TO_CLASS] == labels.SEG).all()
    assert set(labels.SEG) == set(labels.CLASS_IDS)
    # a label that is predicted at all is predicted as itself, unless it is merged
    merged = {72, 85, 25, 57, 30, 62, 136, 137, 163, 164}
    for g, s in zip(labels.GEN, labels.SEG):
        assert s == g or (s == 0 and g >= 500) or g in merged


def test_sides_are_mirror_images_in_every_table():
    swap = labels.FLIP_CLASS
    assert (swap[swap] == np.arange(33)).all()
    for i, j in enumerate(swap):
        want = name_of(i)
        if want.startswith("left "):
            want = "right " + want[5:]
        elif want.startswith("right "):
            want = "left " + want[6:]
        assert name_of(j) == want
        assert labels.COLOURS[i] == labels.COLOURS[j]
    flip = labels.FLIP_GEN
    assert (flip[flip] == np.arange(54)).all()
    assert (labels.GEN_TO_CLASS[flip] == swap[labels.GEN_TO_CLASS]).all()
    assert (labels.TISSUE[flip] == labels.TISSUE).all()
    assert (flip[: labels.N_NEUTRAL] == np.arange(labels.N_NEUTRAL)).all()


# ----------------------------------------------------------------------------------------------------------- generator
def test_a_flipped_sample_has_left_where_it_should_be():
    """Left cortex fills the half of small x, right the other: whether flipped or not, left stays at small x."""
    left, right = (int(np.flatnonzero(labels.GEN == i)[0]) for i in (3, 42))
    gen = torch.full((32, 32, 32), left, dtype=torch.uint8)
    gen[16:] = right
    intensities = (np.linspace(0, 200, 54).astype(np.float32), np.zeros(54, np.float32))
    flipped = 0
    for seed in range(12):
        s = generate.synthesise(gen, np.random.RandomState(seed), 1.0, intensities, thick=False)
        assert {name_of(c) for c in s.first[:8].unique().tolist()} <= {"left cerebral cortex", "background"}
        assert {name_of(c) for c in s.first[8:].unique().tolist()} <= {"right cerebral cortex", "background"}
        rs = np.random.RandomState(seed)
        rs.randint(2**31)
        flipped += rs.uniform() < 0.5
    assert 0 < flipped < 12


def test_shares_of_two_classes():
    block = torch.tensor([1, 1, 1, 2, 2, 3, 1, 1], dtype=torch.uint8).reshape(2, 2, 2)
    first, second, share = (t.item() for t in generate.two_majorities(block))
    assert (first, second) == (1, 2) and share == pytest.approx(5 / 7)
    first, second, share = (t.item() for t in generate.two_majorities(torch.full((2, 2, 2), 9, dtype=torch.uint8)))
    assert (first, second, share) == (9, 9, 1.0)


def test_lesions_lie_in_white_matter_around_the_ventricles():
    white, ventricle = torch.zeros(2, 1, 1, 32, 32, 32)
    white[..., 4:28, 4:28, 4:28] = 1
    ventricle[..., 12:20, 12:20, 12:20] = 1
    white -= ventricle
    parts, inner, outer = [], 0.0, 0.0
    for seed in range(60):
        rs, g = np.random.RandomState(seed), torch.Generator().manual_seed(seed)
        lesion = generate._lesions(rs, g, white, ventricle)
        assert lesion.min() >= 0 and (lesion <= white).all()
        parts.append(float((lesion > 0.5).sum() / white.sum()))
        inner += float(lesion[..., 9:23, 9:23, 9:23].sum())
        outer += float(lesion.sum())
    assert min(parts) > 0.001 and 0.15 < max(parts) <= 0.21
    share_of_shell = float(white[..., 9:23, 9:23, 9:23].sum() / white.sum())
    assert inner / outer > 1.5 * share_of_shell
    none = generate._lesions(np.random.RandomState(0), torch.Generator(), 0.4 * white, ventricle)
    assert not none.any()


def test_looks_of_one_ramp_keep_structures_between_grey_and_white():
    """In most looks the thalamus lies between cortex and white matter, as in real contrasts."""
    between = []
    for seed in range(400):
        mean, _ = generate.draw_intensities(np.random.RandomState(seed), 0.0)
        cortex, white, thalamus = (mean[list(labels.GEN).index(i)] for i in (3, 2, 10))
        between.append(min(cortex, white) <= thalamus <= max(cortex, white))
    # a third of independent draws and nearly all of the 40 % on one ramp
    assert 0.5 < np.mean(between) < 0.72


def test_samples_are_a_function_of_the_seed(tmp_path):
    synth = generate.Synth(toy_pool(tmp_path), (16, 16, 16), 0.5)
    a, b, c = synth.sample(3), synth.sample(3), synth.sample(4)
    assert torch.equal(a.image, b.image) and torch.equal(a.first, b.first) and torch.equal(a.share, b.share)
    assert not torch.equal(a.image, c.image)
    assert a.image.shape == (16, 16, 16) and a.image.min() >= 0 and a.image.max() <= 1
    assert a.first.max() < 33 and a.share.min() >= 0.5 and a.share.max() <= 1


# ------------------------------------------------------------------------------------------------------------- network
def test_widening_keeps_the_function():
    torch.manual_seed(0)
    small = UNet(SMALL)
    for p in small.parameters():
        if p.ndim == 1:
            torch.nn.init.normal_(p, std=0.1)
    large = widen(small, LARGE)
    x = torch.rand(2, 1, 16, 32, 16)
    with torch.no_grad():
        a, b = small(x), large(x)
    assert cost(large)[1] > cost(small)[1]
    assert torch.allclose(a, b, atol=1e-4 * float(a.abs().max()))
    large(x).square().mean().backward()
    assert all(
        p.grad is not None and p.grad.abs().max() > 0 for p in large.parameters() if p.ndim > 1 and p.shape[1] > 1
    )


def test_widening_refuses_to_shrink():
    with pytest.raises(ValueError):
        widen(UNet(LARGE), SMALL)


# ------------------------------------------------------------------------------------------------------------ training
def test_the_mean_of_states_is_that_of_their_averages():
    torch.manual_seed(0)
    states = [dict(ema=UNet(SMALL).state_dict(), config=SMALL.to_dict()) for _ in range(3)]
    mean = average(states)
    for k, v in mean.items():
        torch.testing.assert_close(v, sum(s["ema"][k] for s in states) / 3)
    with pytest.raises(ValueError, match="different networks"):
        average(states + [dict(states[0], config=LARGE.to_dict())])


def test_schedule_is_a_function_of_the_step():
    s = train.Schedule.parse("0:1e-5,100:1e-3,200:1e-3,300:1e-5")
    assert s(0) == 1e-5 and s(50) == pytest.approx(1e-4) and s(100) == pytest.approx(1e-3)
    assert s(150) == pytest.approx(1e-3) and s(250) == pytest.approx(1e-4) and s(10**6) == 1e-5
    with pytest.raises(ValueError):
        train.Schedule.parse("10:1e-3,5:1e-4")


def test_loss_has_the_gradient_of_its_plain_form():
    torch.manual_seed(0)
    logits = torch.randn(1, 33, 4, 4, 4, dtype=torch.float32, requires_grad=True)
    first, second = (torch.randint(0, 33, (1, 4, 4, 4), dtype=torch.uint8) for _ in range(2))
    share, weight = torch.rand(1, 4, 4, 4) * 0.5 + 0.5, torch.rand(33) + 0.5
    loss, dice, present = train.DiceCE.apply(logits, first, second, share, weight)
    (grad,) = torch.autograd.grad(loss, logits)

    def one_hot(y):
        return torch.nn.functional.one_hot(y.long(), 33).permute(0, 4, 1, 2, 3).float()

    p, axes = logits.softmax(1), (0, 2, 3, 4)
    hard = one_hot(first)
    soft = (hard * share[:, None] + one_hot(second) * (1 - share[:, None])) * weight.view(1, -1, 1, 1, 1)
    plain_dice = (2 * (p * hard).sum(axes) + 1) / (p.sum(axes) + hard.sum(axes) + 1)
    wd = (hard.sum(axes) > 0).float()
    wd[0] *= 0.5
    plain = (wd / wd.sum() * (1 - plain_dice)).sum() - (soft * p.log()).sum() / soft.sum()
    (plain_grad,) = torch.autograd.grad(plain, logits)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    assert torch.allclose(dice, plain_dice.detach()) and torch.equal(present, hard.sum(axes) > 0)
    assert torch.allclose(grad, plain_grad, atol=1e-7)


def run(folder: Path, *options: str) -> dict:
    """train.py in this process on the toy pool; its state."""
    argv = ["train.py", "--data", str(folder), "--run", str(folder / "run"), "--log-every", "1", *options]
    with pytest.MonkeyPatch.context() as m:
        m.setattr("sys.argv", argv)
        train.main()
    return torch.load(folder / "run" / "state.pt", weights_only=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="sums on the GPU are not bit-exact")
def test_a_resumed_run_takes_the_same_steps(tmp_path):
    options = ["--widths", "4,4,8,8,8", "--top", "4", "--crop", "16,16,16", "--fp32", "--threads", "1"]
    options += ["--rate", "0:1e-3,6:1e-4"]
    states = {}
    for name, stops in (("whole", [4]), ("parts", [2, 3, 4])):
        folder = tmp_path / name
        folder.mkdir()
        toy_pool(folder)
        for i, stop in enumerate(stops):
            states[name] = run(folder, *(["--resume", "--threads", "1"] if i else options), "--steps", str(stop))
    a, b = states["whole"], states["parts"]
    assert a["done"] == b["done"] == 4
    for part in ("net", "ema"):
        assert all(torch.equal(a[part][k], b[part][k]) for k in a[part])
    moments = [s["opt"]["state"] for s in (a, b)]
    assert all(torch.equal(moments[0][i]["exp_avg_sq"], moments[1][i]["exp_avg_sq"]) for i in moments[0])


# -------------------------------------------------------------------------------------------------------------- export
@pytest.mark.parametrize(("store", "tolerance"), [("fp32", 1e-4), ("fp16", 2e-2), ("int8", 1e-1)])
def test_export_gives_the_same_logits_and_can_be_trained_on(tmp_path, store, tolerance):
    pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    import onnx

    import export
    import weights

    torch.manual_seed(0)
    net = UNet(LARGE).eval()
    file = tmp_path / "net.onnx"
    onnx.save(export.to_onnx(net, "net", store), file)
    back = weights.load(file)
    assert back.config == LARGE
    x = torch.rand(2, 1, 16, 32, 16)
    got = ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"image": x.numpy()})[0]
    with torch.no_grad():
        for reference, tolerance in ((net, tolerance), (back, 1e-4)):
            want = reference(x).numpy()
            assert np.abs(got - want).max() <= tolerance * np.abs(want).max()


# ---------------------------------------------------------------------------------------------------------- evaluation
def test_grid_and_back_is_nearly_the_identity():
    import evaluate

    ids = np.zeros((40, 48, 36), np.int32)
    ids[8:24, 10:30, 8:28] = 2
    spacing = [1.0, 1.0, 1.0]
    want = evaluate.reference_on_grid(ids, spacing)
    assert want.shape == (32, 32, 32)
    logits = np.stack([(want == i).astype(np.float32) for i in labels.CLASS_IDS])
    assert evaluate.dice(evaluate.from_grid(logits, ids.shape, spacing), ids)[2] > 0.9
    image = evaluate.to_grid(ids.astype(np.float32), spacing)
    assert image.shape == want.shape and image.min() == 0 and image.max() == 1


def test_dice():
    import evaluate

    want = np.array([2, 2, 3, 0, 42])
    got = np.array([2, 3, 3, 41, 0])
    assert evaluate.dice(got, want) == {2: pytest.approx(2 / 3), 3: pytest.approx(2 / 3), 42: 0.0}


# -------------------------------------------------------------------------------------------------------- hippocampus
def test_patches_of_the_valid_network_agree_where_they_overlap_in_step():
    from hippocampus.network import FACTOR, HALO, ValidConfig, ValidUNet

    net = ValidUNet(ValidConfig(widths=(4, 4, 8))).eval()
    x = torch.randn(1, 1, 58, 54, 62)
    with torch.no_grad():
        a, b = net(x[..., :58]), net(x[..., FACTOR:])
    assert a.shape[2:] == (58 - 2 * HALO, 54 - 2 * HALO, 58 - 2 * HALO)
    assert torch.equal(a[..., FACTOR:], b[..., : -FACTOR])


def test_quantised_weights_are_near_and_zero_stays_zero():
    from export import quantised

    w = np.random.default_rng(0).standard_normal((5, 7, 3, 3, 3)).astype(np.float32)
    w[2] = 0
    w[3] *= 1e-3
    values, scales = quantised(w)
    assert values.dtype == np.int8 and scales.shape == (5, 1, 1, 1, 1) and np.all(values[2] == 0)
    step = np.abs(w).max(axis=(1, 2, 3, 4)) / 127
    error = np.sqrt(((values * scales - w) ** 2).mean(axis=(1, 2, 3, 4)))
    assert np.all(error <= 0.3 * step + 1e-20)


def test_the_exported_valid_network_is_the_trained_one(tmp_path):
    from export import save_and_compare
    from hippocampus.export import to_onnx
    from hippocampus.network import ValidConfig, ValidUNet

    net = ValidUNet(ValidConfig()).eval()
    session = save_and_compare(to_onnx(net, "fp32"), net, tmp_path / "h.onnx", (42, 46, 50), 1)
    x = np.random.RandomState(1).rand(1, 1, 46, 42, 42).astype(np.float32)
    got = session.run(None, {"image": x})[0]
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    assert got.shape == (1, 3, 8, 4, 4)
    assert np.abs(got - want).max() < 2e-2 * np.abs(want).max()


def test_a_stored_case_is_read_as_it_was_written(tmp_path):
    import golden

    image = np.random.RandomState(0).randint(0, 256, (3, 4, 5)).astype(np.uint8)
    classes = np.arange(6, dtype=np.uint8)
    golden.write(tmp_path / "g", image, classes, 0.5, -1.0)
    got, found = golden.read(tmp_path / "g")
    assert (got == image * np.float32(0.5) - 1).all() and (found == classes).all()
