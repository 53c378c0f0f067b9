"""The command line: what works ends with 0, what cannot with one sentence, 2, and nothing half-written."""

import pytest
from PIL import Image

from asyrp_lib.cli import main


@pytest.fixture
def face(tmp_path):
    """A picture of the domain's size."""
    import asyrp_lib as al

    domain = al.load_domain("synthfaces", device="cpu")
    path = tmp_path / "face.png"
    al.write_image(path, domain.images("test", 1)[0])
    return path


def fails(capsys, *arguments) -> str:
    assert main([str(a) for a in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_edit_writes_a_picture(face, tmp_path):
    out = tmp_path / "out.png"
    assert (
        main(["edit", str(face), "--edit", "smiling", "--strength", "1", "--steps", "4", "--out", str(out)])
        == 0
    )
    with Image.open(out) as picture:
        assert picture.size == Image.open(face).size


def test_invert_writes_x_T(face, tmp_path):
    from asyrp_lib.store.weights import read_weights

    out = tmp_path / "x_T.safetensors"
    assert main(["invert", str(face), "--steps", "4", "--out", str(out)]) == 0
    assert read_weights(out)[0]["x_T"].ndim == 4


@pytest.mark.parametrize(
    "extra, sentence",
    [
        (["--edit", "wink"], "Unknown edit"),
        (["--edit", "smiling", "--domain", "mars"], "Unknown domain"),
        (["--edit", "smiling", "--steps", "0"], "steps = 0"),
        (["--edit", "smiling", "--steps", "1001"], "steps = 1001"),
        (["--edit", "smiling", "--t-edit", "1000"], "t_edit = 1000"),
        (["--edit", "smiling", "--t-edit", "-1"], "t_edit = -1"),
        (["--edit", "smiling", "--strength", "1", "--strength", "2"], "2 strengths for 1 edits"),
    ],
)
def test_wrong_settings_end_with_one_sentence(face, tmp_path, capsys, extra, sentence):
    out = tmp_path / "out.png"
    assert sentence in fails(capsys, "edit", face, *extra, "--out", out)
    assert [p.name for p in tmp_path.iterdir()] == ["face.png"]


def test_a_file_that_is_no_picture_ends_with_one_sentence(tmp_path, capsys):
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    assert "no image" in fails(capsys, "edit", text, "--edit", "smiling", "--out", tmp_path / "out.png")
    assert "No file" in fails(
        capsys, "edit", tmp_path / "none.png", "--edit", "smiling", "--out", tmp_path / "out.png"
    )


def test_a_picture_of_another_size_is_refused_with_an_offer_that_works(tmp_path, capsys):
    big, out = tmp_path / "big.png", tmp_path / "out.png"
    Image.new("RGB", (90, 70), (200, 150, 120)).save(big)
    assert "--resize" in fails(capsys, "edit", big, "--edit", "smiling", "--out", out)
    assert main(["edit", str(big), "--edit", "smiling", "--steps", "3", "--resize", "--out", str(out)]) == 0


def test_help_is_answered_for_every_command(capsys):
    for command in ("edit", "invert", "train", "curve", "reproduce", "bench", "pretrain"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "--" in capsys.readouterr().out
