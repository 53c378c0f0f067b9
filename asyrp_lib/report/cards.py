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
    for network in NETWORKS:
        state, config = read_weights(weights_file(network))
        card, file = config["card"], weights_file(network)
        cells = [
            f"`{file.name}`",
            f"{sum(tensor.numel() for tensor in state.values()):,}",
            f"{file.stat().st_size / 1e6:.1f}",
            f"{card['images']:,}",
            f"{card['seconds'] / 3600:.1f}",
            _score(card),
        ]
        lines.append(cells)
    head = ["file", "numbers", "MB", "images seen", "hours", "score"]
    return table_of(pd.DataFrame(lines, columns=head))


def factors() -> str:
    """R² of each factor by each oracle, on audit faces, clean / disturbed."""
    cards = {name: read_weights(weights_file(name))[1]["card"] for name in NETWORKS if "oracle" in name}
    columns = {
        name: {
            factor: f"{r2:.2f} / {card['r2_disturbed'][factor]:.2f}"
            for factor, r2 in card["r2_clean"].items()
        }
        for name, card in cards.items()
    }
    return table_of(pd.DataFrame(columns).rename_axis("factor").reset_index())


def _score(card: dict) -> str:
    if "zero_shot" in card:
        worst = min(card["zero_shot"], key=card["zero_shot"].__getitem__)
        return f"zero-shot at least {card['zero_shot'][worst]:.3f} ({worst})"
    if "r2_clean" in card:
        worst = min(card["r2_clean"], key=card["r2_clean"].__getitem__)
        return f"R² at least {card['r2_clean'][worst]:.2f} ({worst})"
    if "pixel_accuracy" in card:
        return f"pixel accuracy {card['pixel_accuracy']:.3f}"
    return f"loss {card['loss']:.4f}"


if __name__ == "__main__":
    rewrite(CARD, MARKERS, f"{table()}\n\n{factors()}")
