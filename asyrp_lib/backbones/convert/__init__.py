"""Official checkpoints as `UNet2DModel`s: the DDPM family (SDEdit's files) and OpenAI's (iDDPM, P2, ADM)."""

from .ddpm import DDPM, DDPMConfig, ddpm_arguments, ddpm_name, load_ddpm_checkpoint
from .official import load_official_unet, official_state
from .openai import ADM, P2, OpenAIConfig, load_openai_checkpoint, openai_arguments, openai_name
