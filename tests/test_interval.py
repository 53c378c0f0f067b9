import json

import numpy as np
import pytest
import torch
from toys import GOLDEN, IdealGaussian, official_folder, randn, tiny_model

from asyrp_lib.errors import GridError
from asyrp_lib.measure.curve import store_curve
from asyrp_lib.method.interval import perceptual_curves, t_boost_from_curve, t_edit_from_curve

T, D = [0, 100, 200, 300], [0.0, 0.2, 0.33, 1.2]


def squared(a, b):
    return (a - b).square().mean((1, 2, 3))


def test_t_edit_is_the_smallest_time_that_reaches_the_threshold_times_the_cosine():
    assert t_edit_from_curve(T, D, 1.0) == 200  # reached exactly counts
    assert t_edit_from_curve(T, D, 0.6) == 100
    assert t_edit_from_curve(T, D, 1.0, threshold=0.34) == 300
    assert t_edit_from_curve(T[::-1], D[::-1], 1.0) == 200


def test_a_smaller_cosine_gives_a_longer_editing_interval():
    edits = [t_edit_from_curve(T, D, cosine) for cosine in (1.0, 0.9, 0.6, 0.1)]
    assert edits == sorted(edits, reverse=True) and edits[0] > edits[-1]


def test_t_boost_is_the_smallest_time_that_reaches_the_threshold():
    assert t_boost_from_curve(T, D) == 300 and t_boost_from_curve(T, D, threshold=0.1) == 100


def test_a_curve_that_never_gets_there_is_refused():
    with pytest.raises(GridError, match="reaches 1.200 and never 1.300"):
        t_boost_from_curve(T, D, threshold=1.3)


def test_a_curve_with_unequal_columns_is_refused():
    with pytest.raises(GridError, match="4 timesteps and 3 distances"):
        t_boost_from_curve(T, D[:3])


def test_curves_start_at_the_image_and_move_away_from_it():
    x0 = 0.3 + 0.4 * randn(5, 3, 4, 4)
    curve = perceptual_curves(IdealGaussian(), x0, squared, steps=20, progress=False)
    assert list(curve) == ["t", "x_t", "P_t"] and len(curve) == 20 and curve.t.iloc[-1] == 999
    assert curve.x_t[0] == 0 and curve.x_t.is_monotonic_increasing and curve.P_t.is_monotonic_increasing
    # at T the ideal model knows nothing but the mean: P_t is as far away as the data spread
    assert curve.P_t.iloc[-1] == pytest.approx(float((x0 - 0.3).square().mean()), rel=0.05)


def test_curves_do_not_depend_on_the_batch_size():
    model, x0 = tiny_model(), randn(3, 3, 16, 16).clamp(-1, 1)
    whole = perceptual_curves(model, x0, squared, steps=4, progress=False)
    parts = perceptual_curves(model, x0, squared, steps=4, batch_size=2, progress=False)
    assert torch.allclose(torch.tensor(whole.to_numpy()), torch.tensor(parts.to_numpy()), rtol=1e-4)


@pytest.mark.parametrize(
    "row",
    json.loads((GOLDEN / "t_edit_official.json").read_text()),
    ids=lambda r: f"{r['dataset']}-{r['cosine']:.2f}-{r['lpips_edit_th']}-{r['lpips_addnoise_th']}",
)
def test_t_edit_and_t_boost_are_those_the_original_code_chose(row):
    folder = official_folder("ASYRP_OFFICIAL_LPIPS", "official_lpips")
    files = (folder / f"{row['dataset']}_LPIPS_distance_{of}.tsv" for of in ("x", "x0_t"))
    x_t, P_t = (np.loadtxt(file, unpack=True) for file in files)  # t, tab, mean LPIPS
    assert t_edit_from_curve(*P_t, row["cosine"], row["lpips_edit_th"]) == row["t_edit"]
    boost = x_t if row["add_noise_from_xt"] else P_t
    assert t_boost_from_curve(*boost, row["lpips_addnoise_th"]) == row["t_addnoise"]


def test_the_curve_of_a_domain_is_kept_with_what_made_it(toy, monkeypatch, tmp_path):
    class Distance:
        scale = 1.0
        calibrated = lambda self, x_0, x_T: self
        __call__ = lambda self, a, b: (a - b).flatten(1).norm(dim=1)

    toy.distance = Distance()
    monkeypatch.setattr("asyrp_lib.store.results.data_dir", lambda: tmp_path)
    data, file = store_curve(toy, 2, 10)
    kept = json.loads(file.read_text())
    assert file == tmp_path / "results" / "toy_curve.json" and kept["data"] == data
    assert list(data["curve"]) == ["t", "x_t", "P_t"] and data["t_boost"] in data["curve"]["t"]
    assert kept["provenance"]["digests"] == {"unet": toy.unet.digest()}
