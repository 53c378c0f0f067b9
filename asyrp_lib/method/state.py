"""What a training run keeps so that it can go on after a kill at any moment."""

import json
import math
from contextlib import suppress
from pathlib import Path

import pandas as pd
import torch

from ..deltas import Delta
from ..errors import TrainingError
from ..store.files import atomic_write
from ..store.weights import load_strictly


class State:
    """Where a run stands, in memory and, with a folder, in its `state.pt`; f_t and optimiser follow.

    `identity` is everything the run depends on, expressible in JSON; a state of another one is refused.
    """

    def __init__(self, folder: Path | None, identity: dict, delta: Delta, optimiser):
        self.file = Path(folder) / "state.pt" if folder else None
        self.identity, self.delta, self.optimiser = identity, delta, optimiser
        self.done, self.seconds, self.rows, self.names, self.last = 0, 0.0, [], (), {}
        if self.file is not None and self.file.exists():
            self._load()

    def _load(self) -> None:
        try:
            kept = torch.load(self.file, map_location=next(self.delta.parameters()).device, weights_only=True)
            if (other := dict(json.loads(kept["identity"]))) == self.identity:
                self.done, self.names = int(kept["done"]), tuple(kept["names"])
                self.seconds = float(kept.get("seconds", math.nan))  # states of 0.1 don't say
                self.rows = [(int(e), int(b), int(t), *parts) for e, b, t, *parts in kept["rows"].tolist()]
                load_strictly(self.delta, kept["delta"], self.file)
                self.optimiser.load_state_dict(kept["optimiser"])
                if self.done < 1 or not all(p.isfinite().all() for p in self.delta.parameters()):
                    raise ValueError
        except Exception as error:  # pickle, zip, key and OS errors alike mean: no state of ours
            raise TrainingError(
                f"{self.file} is damaged ({type(error).__name__}); expected the state of a run; delete it."
            ) from error
        if other != self.identity:
            differs = [key for key in self.identity if other.get(key) != self.identity[key]]
            raise TrainingError(
                f"{self.file} belongs to another run (other {', '.join(differs)}); expected the same "
                "settings, texts, images and networks; give another folder or delete it."
            )

    def add(self, epoch: int, batch: int, t: int, parts: dict[str, float]) -> None:
        """One row of the history."""
        self.names, self.last = tuple(parts), parts
        self.rows.append((epoch, batch, t, *parts.values()))

    def history(self) -> pd.DataFrame:
        """All rows: epoch, batch, t and the parts of the loss; see `train`."""
        history = pd.DataFrame(self.rows, columns=["epoch", "batch", "t", *self.names])
        history.attrs["seconds"] = self.seconds
        return history

    def save(self) -> None:
        """Write the state, atomically; TrainingError, and no write, if f_t is no longer finite."""
        if not all(bool(p.isfinite().all()) for p in self.delta.parameters()):
            raise TrainingError(
                "f_t has weights that are not finite; expected numbers; lower lr, train again."
            )
        if self.file is None:
            return
        state = {
            "identity": json.dumps(self.identity),
            "delta": self.delta.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "names": list(self.names),
            "rows": torch.tensor(self.rows, dtype=torch.float64),
        }
        with atomic_write(self.file) as temporary:
            torch.save(state, temporary)


def batches_done(folder: Path) -> int:
    """Optimiser batches that a run's folder holds; 0 without a state that can be read."""
    with suppress(Exception):  # a damaged one is named when it is trained on
        return int(torch.load(Path(folder) / "state.pt", map_location="cpu", weights_only=True)["done"])
    return 0
