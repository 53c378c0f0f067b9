"""Grids: what a file may say, and which cells it makes."""

from pathlib import Path

import pytest

from asyrp_lib.errors import AsyrpError, SettingsError, UnknownNameError, WeightsError
from asyrp_lib.runs.grid import Grid, cells, read_grid
from asyrp_lib.runs.run import config_for

ABLATIONS = sorted((Path(__file__).parents[1] / "ablations").glob("*.yaml"))


def small(**changes) -> Grid:
    """Two numbers of groups and two seeds, two epochs each."""
    vary = {"training.seed": [0, 1], "delta.groups": [2, 4]}
    plain = {"name": "groups", "vary": vary, "domain": "tiny", "edit": "warm", "train_images": 2, "faces": 2}
    return Grid(**plain | {"epochs": [1, 2], "training": {"t_edit": 700}} | changes)


def test_every_combination_is_a_cell_with_the_seed_last(tiny):
    table = cells(small(), tiny)
    assert list(table) == [f"groups {g}, seed {s}" for g in (2, 4) for s in (0, 1)]
    cell = table["groups 4, seed 1"]
    assert cell.settings == {"groups": 4, "seed": 1} and cell.variant == "groups 4"
    config = cell.config
    assert (config.delta["groups"], config.training.seed, config.training.t_edit) == (4, 1, 700)
    assert config.training.epochs == 2 and config.images == 2 and config.edit.name == "warm"


def test_one_cell_alone_is_called_all(tiny):
    (cell,) = cells(small(vary={"training.seed": [3]}), tiny).values()
    assert (cell.label, cell.variant) == ("seed 3", "all")


def test_a_value_may_look_like_a_label_and_two_axes_may_end_in_the_same_word(tiny):
    strange = {"f_t": {"a, seed 9": {}, "b": {"training": {"lr": 1.0}}}, "training.seed": [0]}
    assert [cell.variant for cell in cells(small(vary=strange), tiny).values()] == ["f_t a, seed 9", "f_t b"]
    study = {"kind": "StudyDelta", "layout": "conv", "groups": 4}
    alike = {"delta.groups": [4], "training.steps": [40], "steps": {"few": {}, "more": {"train_images": 3}}}
    table = cells(small(delta=study, vary=alike), tiny)
    assert [list(cell.settings) for cell in table.values()] == [["groups", "training.steps", "steps"]] * 2


def test_alternatives_have_names_and_change_several_settings_at_once(tiny):
    f_t = {
        "paper": {"delta": {"kind": "ConvDelta", "groups": 4}, "training": {"optimiser": "sgd", "lr": 0.5}},
        "pc": {"delta": {"kind": "StudyDelta", "groups": 4}, "training": {"optimiser": "adamw"}},
        "mid block": {"delta": {"kind": "MidBlockDelta", "groups": 4}},
    }
    table = cells(small(vary={"f_t": f_t, "training.lr": [0.1, 0.2], "train_images": [2]}), tiny)
    assert list(table)[:2] == [f"f_t paper, lr {lr}, train_images 2" for lr in (0.1, 0.2)]
    first, last = table["f_t paper, lr 0.1, train_images 2"].config, list(table.values())[-1].config
    assert first.training.optimiser == "sgd" and first.training.lr == 0.1, (
        "a single setting has the last word"
    )
    assert first.training.t_edit == last.training.t_edit == 700, "what all share stays"
    assert last.delta == {"kind": "MidBlockDelta", "groups": 4} and last.training.optimiser == "adam"


def test_one_f_t_has_one_digest_however_it_is_said(tiny):
    configured = lambda delta: config_for(tiny, "warm", delta=delta, t_edit=700)
    short = configured({"kind": "StudyDelta", "groups": 4})
    long = configured({"kind": "StudyDelta", "groups": 4, "layout": "pc", "heads": 1})
    assert short == long and short.digest(tiny) == long.digest(tiny)
    study = {"kind": "StudyDelta", "groups": 4}
    axes = [{"delta.heads": [1, 2]}, {"delta.depth": [1, 2]}, {"delta.layout": ["pc", "p"]}]
    firsts = [next(iter(cells(small(delta=study, vary=vary), tiny).values())).config for vary in axes]
    assert firsts[0] == firsts[1] == firsts[2], "the plain cell of every grid is one run"
    assert configured(None).delta == tiny.delta_config, "what a domain says stays as it says it"


def test_options_without_a_kind_change_the_domains_own_f_t(tiny):
    tiny.delta_config = {"kind": "PreNormConvDelta", "groups": 4}
    config = config_for(tiny, "warm", delta={"groups": 2}, t_edit=700)
    assert config.delta == {"kind": "PreNormConvDelta", "groups": 2}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vary": {"delta": [{}]}}, "'delta'"),
        ({"vary": {"delta": {"a": {}}}}, "'delta'"),
        ({"vary": {"score": {"a": {}}}}, "'score'"),
        ({"vary": {"colour": [1]}}, "'colour'"),
        ({"vary": {"training.colour": [1]}}, "colour"),
        ({"vary": {"edit.name": ["warm"]}}, "'edit.name'"),
        ({"vary": {"training.seed": [0, 0]}}, "same run"),
        ({"vary": {"training.lr": [-1]}}, "lr"),
        ({"vary": {"training.epochs": [1, 2]}}, "training.epochs.*the list epochs"),
        ({"training": {"epochs": 3}}, "training.epochs.*the list epochs"),
        ({"vary": {"f_t": {"a": {"training": {"epochs": 3}}}}}, "training.epochs.*the list epochs"),
        ({"vary": {"f_t": {"a": {"delta": 3}}}}, "'a' of 'f_t' sets delta"),
        ({"vary": {"f_t": {"a": {"lr": 3}}}}, "'a' of 'f_t' sets lr"),
        ({"delta": {"kind": "StudyDelta", "groups": 4}, "vary": {"delta.heads": [[1]]}}, "heads"),
        (
            {"delta": {"kind": "StudyDelta", "groups": 4, "layout": "conv"}, "vary": {"delta.heads": [1, 2]}},
            "same run",
        ),
    ],
)
def test_what_makes_no_cell_is_one_sentence(tiny, changes, words):
    with pytest.raises(SettingsError, match=words):
        cells(small(**changes), tiny)


@pytest.mark.parametrize(
    ("delta", "error", "words"),
    [
        (None, UnknownNameError, "ConvDelta cannot be built.*heads"),
        ({"kind": "StudyDelta", "groups": 4, "layout": "c"}, WeightsError, "3 heads do not divide"),
        ({"kind": "Nonsense"}, UnknownNameError, "Unknown kind"),
    ],
)
def test_an_f_t_that_cannot_be_built_is_said_before_anything_is_trained(tiny, delta, error, words):
    with pytest.raises(error, match=words):
        cells(small(delta=delta, vary={"delta.heads": [3]}), tiny)


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "name: x": "lacks vary",
        "- 1": "holds a list",
        "name: x\nvary: {a: [1]}\nheds: 3": "heds",
        "name: [": "can't be read",
        "name: x\nvary: {}": "vary",
        "name: x\nvary: {a: [1]}\nvary: {b: [1]}": "says vary twice",
        "name: x\nvary: {a: [1], a: [2]}": "says a twice .*line 2",
        "name: x\nvary: {training.seed: []}": "vary",
        "name: x\nvary: {f_t: {}}": "vary",
        "name: x\nvary: {a: [1]}\nfaces: none": "faces = 'none'",
        "name: ../../x\nvary: {a: [1]}": "name = '../../x'",
        "name: x\nvary: {a: [1]}\nsplit: sealed": "split = 'sealed'",
        "name: x\nvary: {a: [1]}\nstrengths: [1000]": "strengths",
        "name: x\nvary: {a: [1]}\nstrengths: []": "strengths",
        "name: x\nvary: {a: [1]}\nepochs: []": "epochs",
        "name: x\nvary: {a: [1]}\nepochs: [4, 1]": "epochs = .4, 1.*rise",
        "name: x\nvary: {a: [1]}\nepochs: [1, 1]": "epochs = .1, 1.*rise",
    }.items(),
)
def test_a_file_that_makes_no_grid_is_refused_on_reading_with_what_was_wrong(text, words, tmp_path):
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_grid(tmp_path / "grid.yaml")


def test_a_file_is_read_and_another_domain_may_take_the_place_of_its_own(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("name: heads\nvary: {delta.heads: [1, 2]}\nepochs: [2]\n")
    grid = read_grid(file)
    assert (grid.vary, grid.epochs, grid.domain) == ({"delta.heads": [1, 2]}, [2], "synthfaces")
    assert read_grid(file, "celeba_hq").domain == "celeba_hq"
    with pytest.raises(SettingsError, match="can't be read"):
        read_grid(tmp_path / "none.yaml")


@pytest.mark.parametrize("file", [f for f in ABLATIONS if f.stem != "slurm"], ids=lambda f: f.stem)
def test_the_shipped_grids_are_read_and_all_their_cells_can_be_built(file):
    from asyrp_lib.domains import load_domain

    grid = read_grid(file)
    try:
        table = cells(grid, load_domain(grid.domain, device="cpu"))
    except AsyrpError as error:
        pytest.fail(str(error))
    assert len(table) > 1
