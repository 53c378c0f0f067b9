# The public names and where they live: type checkers read this file, and __init__.py takes its names from it.
from .api import (
    edit as edit,
    edit_photo as edit_photo,
    generate as generate,
    invert as invert,
    per_time_mean as per_time_mean,
    train_delta as train_delta,
)
from .deltas import (
    ConvDelta as ConvDelta,
    Delta as Delta,
    GlobalDelta as GlobalDelta,
    MidBlockDelta as MidBlockDelta,
    PerTimeDelta as PerTimeDelta,
    PreNormConvDelta as PreNormConvDelta,
    StudyDelta as StudyDelta,
    StudySettings as StudySettings,
    load_delta as load_delta,
    load_official_delta as load_official_delta,
    save_delta as save_delta,
)
from .domains import DOMAINS as DOMAINS, Domain as Domain, load_domain as load_domain, t_edit_of as t_edit_of
from .domains.edits import Edit as Edit
from .errors import (
    AsyrpError as AsyrpError,
    DomainError as DomainError,
    FileError as FileError,
    GridError as GridError,
    ImageError as ImageError,
    OfflineError as OfflineError,
    TrainingError as TrainingError,
    UnknownNameError as UnknownNameError,
    WeightsError as WeightsError,
)
from .method.hspace import HSpaceUNet as HSpaceUNet
from .method.process import global_mean as global_mean
from .method.schedule import NoiseSchedule as NoiseSchedule
from .method.train import TrainSettings as TrainSettings
from .report.panel import Panel as Panel
from .store.images import read_image as read_image, write_image as write_image

__all__: list[str]
__version__: str
