"""Errors of the suite: each message says in one sentence what was wrong, what was expected, what to do."""


class AsyrpError(Exception):
    """Base of everything the suite raises on purpose: one line, cut in the middle if it is long."""

    def __init__(self, text: str = ""):
        text = " ".join(str(text).split())
        super().__init__(text if len(text) < 400 else f"{text[:240]} … {text[-140:]}")


class GridError(AsyrpError, ValueError):
    """A number of steps, a timestep, or an interval that does not fit the time grid."""


class ImageError(AsyrpError, ValueError):
    """Images of the wrong shape, type or number."""


class WeightsError(AsyrpError):
    """Weights that are missing, truncated, or of another architecture."""


class FileError(AsyrpError):
    """A file that can't be written (disk full, no permission, another writer) or does not fit."""


class UnknownNameError(AsyrpError, KeyError):
    """A name (domain, edit, factor, ...) that is not in the list; the message gives the known ones."""

    def __str__(self) -> str:
        # KeyError would print the repr, quotes and escapes included
        return str(self.args[0]) if self.args else ""


class TrainingError(AsyrpError):
    """A training run that cannot go on, e.g. because its loss is no longer finite."""


class OfflineError(AsyrpError):
    """Optional weights that are neither cached nor reachable."""


class DomainError(AsyrpError):
    """What a domain cannot do: it has no such f_t, or its truth is not known."""


class SettingsError(AsyrpError, ValueError):
    """A setting outside its range, of the wrong type, or that is not known."""
