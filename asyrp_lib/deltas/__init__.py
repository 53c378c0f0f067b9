"""Δh_t: what shifts h."""

from .base import Delta, build_delta, combine, load_delta, save_delta
from .conv import OFFICIAL_GROUPS, ConvDelta, PreNormConvDelta, export_official_delta, load_official_delta
from .fixed import FreeDelta, GlobalDelta, PerTimeDelta
from .study import MidBlockDelta, StudyDelta, StudySettings
