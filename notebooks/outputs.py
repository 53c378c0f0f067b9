"""Which outputs are stored: no times, no models of widgets, and the old ones where only rounding differs."""

import base64
import re

from asyrp_lib.report.figures import same_image

#: A number that rounding may change, in its last place: one with a decimal point.
ROUNDED = re.compile(r"(\d+)\.(\d+)(?:e([+-]\d+))?")
WIDGET = "application/vnd.jupyter.widget-view+json"


def tidy(notebook) -> None:
    """Keep what belongs in a repository: images of widgets, no times, no error streams, one kernel name."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            data = output.get("data", {})
            was_widget = data.pop(WIDGET, None) is not None  # its model is named at random and not stored
            if output.get("name") == "stderr" or (was_widget and "image/png" not in data):
                continue
            if kept and output.output_type == kept[-1].output_type == "stream":  # stderr had come between
                kept[-1].text += output.text
            else:
                kept.append(output)
        cell.outputs = kept


def near(a: str, b: str) -> bool:
    """Whether two texts are equal but for one unit in the last place of numbers with a decimal point.

    Where a number is below ten units, as 0.1 is, one more is no rounding to its reader.
    """

    def close(x: re.Match, y: re.Match) -> bool:
        m, n = (int(part[1] + part[2]) for part in (x, y))
        return x[3] == y[3] and len(x[2]) == len(y[2]) and abs(m - n) <= min(1, m // 10, n // 10)

    places = (ROUNDED.finditer(text) for text in (a, b))
    return ROUNDED.sub("\0", a) == ROUNDED.sub("\0", b) and all(map(close, *places))


def alike(old: list, new: list) -> bool:
    """Whether the outputs of a cell are the same but for rounding, in texts and in images."""

    def same(key: str, a, b) -> bool:
        if key == "image/png":
            return same_image(*map(base64.b64decode, (a, b)))
        return near(a, b) if isinstance(a, str) and isinstance(b, str) else a == b

    flat = lambda output: {**output, **output.get("data", {}), "data": None, "execution_count": None}
    return len(old) == len(new) and all(
        a.keys() == b.keys() and all(same(key, a[key], b[key]) for key in a)
        for a, b in zip(map(flat, old), map(flat, new))
    )


def settle(notebook, stored) -> None:
    """Put the stored outputs back into each cell whose new ones differ by rounding only."""
    known = {cell.get("id"): cell for cell in stored.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        old = known.get(cell.get("id"))  # files before nbformat 4.5 have none
        if (
            old
            and cell.cell_type == "code"
            and old.source == cell.source
            and alike(old.outputs, cell.outputs)
        ):
            cell.outputs = old.outputs
