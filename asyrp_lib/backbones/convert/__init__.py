"""Official checkpoints as `UNet2DModel`s: the DDPM family (SDEdit's files) and OpenAI's (iDDPM, P2, ADM)."""

from .ddpm import DDPMConfig, ddpm_arguments, ddpm_name, load_ddpm_checkpoint
from .official import load_official_unet, official_state
from .openai import OpenAIConfig, load_openai_checkpoint, openai_arguments, openai_name

__all__ = [
    "DDPMConfig",
    "OpenAIConfig",
    "ddpm_arguments",
    "ddpm_name",
    "load_ddpm_checkpoint",
    "load_official_unet",
    "load_openai_checkpoint",
    "official_state",
    "openai_arguments",
    "openai_name",
]
