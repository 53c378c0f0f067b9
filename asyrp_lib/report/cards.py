"""The numbers of the model cards, from the files themselves; python -m asyrp_lib.report.cards writes them."""

import pandas as pd

from ..domains.synthfaces import NETWORKS, weights_file
from ..store.paths import data_dir
from ..store.weights import read_weights
from .claims import rewrite, table_of

#: The model card's tables stand between these.
MARKERS = ("<!-- numbers: made by python -m asyrp_lib.report.cards -->", "<!-- end of numbers -->")
CARD = data_dir() / "weights" / "synthfaces" / "README.md"


def table() -> str:
    """Size and training of every shipped network, and what it scored on faces that nothing is trained on."""
    lines = []
    for file in map(weights_file, NETWORKS):
        state, config = read_weights(file)
        card = config["card"]
        line = {
            "file": f"`{file.name}`",
            "numbers": f"{sum(tensor.numel() for tensor in state.values()):,}",
            "MB": f"{file.stat().st_size / 1e6:.1f}",
            "images seen": f"{card['images']:,}",
            "hours": f"{card['seconds'] / 3600:.1f}",
            "score": _score(card),
        }
        lines.append(line)
    return table_of(pd.DataFrame(lines))


def factors() -> str:
    """R² of each factor by each oracle, on audit faces, clean / disturbed."""
    cards = {name: read_weights(weights_file(name))[1]["card"] for name in NETWORKS if "oracle" in name}
    of = lambda card, factor: f"{card['r2_clean'][factor]:.2f} / {card['r2_disturbed'][factor]:.2f}"
    columns = {
        name: {factor: of(card, factor) for factor in card["r2_clean"]} for name, card in cards.items()
    }
    return table_of(pd.DataFrame(columns).rename_axis("factor").reset_index())


def _score(card: dict) -> str:
    for kind, said, form in (("zero_shot", "zero-shot", ".3f"), ("r2_clean", "R²", ".2f")):
        if kind in card:
            worst = min(card[kind], key=card[kind].__getitem__)
            return f"{said} at least {card[kind][worst]:{form}} ({worst})"
    if "pixel_accuracy" in card:
        return f"pixel accuracy {card['pixel_accuracy']:.3f}"
    return f"loss {card['loss']:.4f}"


if __name__ == "__main__":
    rewrite(CARD, MARKERS, f"{table()}\n\n{factors()}")
