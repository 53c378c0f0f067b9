"""Asyrp: editing in the semantic latent space of a frozen diffusion model (Kwon et al. 2023, 2210.10960).

Each public name is imported when it is first asked for, so that `import asyrp_lib` itself loads nothing heavy.
"""

from importlib import import_module

__version__ = "0.2.0"

#: module -> the public names that live there
_HOMES = {
    "api": "edit edit_photo generate invert per_time_mean train_delta",
    "deltas": "ConvDelta Delta GlobalDelta PerTimeDelta PreNormConvDelta load_delta load_official_delta save_delta",
    "domains": "DOMAINS Domain load_domain t_edit_of",
    "domains.edits": "Edit",
    "errors": "AsyrpError DomainError GridError ImageError OfflineError TrainingError UnknownNameError WeightsError",
    "method.hspace": "HSpaceUNet",
    "method.process": "global_mean",
    "method.schedule": "NoiseSchedule",
    "method.train": "TrainSettings",
    "report.panel": "Panel",
    "store.images": "read_image write_image",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
