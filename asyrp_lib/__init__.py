"""Asyrp: editing in the semantic latent space of a frozen diffusion model (Kwon et al. 2023, arXiv 2210.10960)."""
from .domains import DOMAINS, Domain, load_domain  # first: domain.py imports the api, the api domains.edits
from .api import edit, invert, t_edit_of, train_delta
from .deltas import ConvDelta, Delta, GlobalDelta, PerTimeDelta, PreNormConvDelta, load_delta, load_official_delta, save_delta
from .domains.edits import Edit
from .errors import (AsyrpError, DomainError, GridError, ImageError, OfflineError, TrainingError, UnknownNameError, WeightsError)
from .method.hspace import HSpaceUNet
from .method.process import generate, global_mean, per_time_mean
from .method.schedule import NoiseSchedule
from .method.train import TrainSettings
from .report.panel import Panel
from .store.images import read_image, write_image

__version__ = "0.1.0"
__all__ = ["AsyrpError", "ConvDelta", "DOMAINS", "Delta", "Domain", "DomainError", "Edit", "GlobalDelta", "GridError", "HSpaceUNet", "ImageError",
           "NoiseSchedule", "OfflineError", "Panel", "PerTimeDelta", "PreNormConvDelta", "TrainSettings", "TrainingError",
           "UnknownNameError", "WeightsError", "edit", "generate", "global_mean", "invert", "load_delta", "load_domain",
           "load_official_delta", "per_time_mean", "read_image", "save_delta", "t_edit_of", "train_delta", "write_image"]
