"""Places: an f_t at each, evaluated in the place it was trained at."""

import pytest

from asyrp_lib.experiments import places
from asyrp_lib.experiments.rows import joined, numbers, pick
from asyrp_lib.method import cut


def test_aim_is_what_moved_as_aimed_over_what_leaked():
    table = [("h", 2.0, 1.0), ("h", 4.0, 2.0), ("ε", 1.0, 2.0)]
    rows = joined([numbers({"aimed": a, "leaked": b}, variant=place) for place, a, b in table])
    assert places.aim(rows) == pytest.approx({"h": 2.0, "ε": 0.5})
    where = [{"edit": "a", "seed": 0, "image": i} for i in range(3)]
    parts = [numbers({"aimed": a, "leaked": b}, variant=place, **w) for w, (place, a, b) in zip(where, table)]
    found = places.aims(joined(parts))
    assert found["h"]["a"].mean == pytest.approx(2.0) and found["h"]["a"].faces == 2
    assert found["ε"]["a"].mean == pytest.approx(0.5)


def test_every_place_has_its_f_t_its_loss_and_its_scores(tiny):
    where = ["h", "skip 1", "up 0", "ε"]
    how = {"images": 2, "epochs": 1, "trainings": 2}
    rows = places.measure(tiny, n=2, names=["warm"], places=where, **how, progress=False)
    assert set(rows["variant"]) == set(where) < set(cut.places(tiny.unet)) and set(rows["seed"]) == {0, 1}
    for place in where:
        assert list(pick(rows, "distance", variant=place)["image"]) == [0, 1]
        assert (pick(rows, "length", variant=place)["value"] > 0).all()
        assert len(pick(rows, "clip", variant=place)) == len(pick(rows, "loss", variant=place)) == 2
        assert pick(rows, "loss", variant=place)["value"].nunique() == 2, "of other seeds"
    sizes = pick(rows, "parameters", seed=0).set_index("variant")["value"]
    channels = {place: cut.Cut(tiny.unet, place).h_channels for place in where}
    E = tiny.unet.temb_dim
    assert sizes.to_dict() == {place: 2 * C * C + C * E + 5 * C for place, C in channels.items()}
