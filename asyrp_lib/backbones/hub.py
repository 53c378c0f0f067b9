"""Networks of the Hugging Face Hub, as folders."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from ..errors import OfflineError, WeightsError


def hub_folder(repo: str, revision: str | None = None) -> Path:
    """U-Net and scheduler of a Hub repository "owner/name" in diffusers format, as a folder of the Hub's
    cache.
    Raises WeightsError: no such repository or `revision` (commit, tag or branch; None: main), or no U-Net in
    it; OfflineError: not cached, and the Hub is out of reach.
    """
    for suffix in ("safetensors", "bin"):  # pickles only where there is nothing else
        files = ["config.json", "scheduler_config.json", f"diffusion_pytorch_model*.{suffix}*"]
        files += ["model_index.json", "scheduler/scheduler_config.json", *(f"unet/{name}" for name in files)]
        try:
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files))
        except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
            raise WeightsError(
                f"The Hub has no repository {repo!r}{f' at {revision!r}' if revision else ''} "
                f"({type(error).__name__}); expected owner/name, e.g. google/ddpm-celebahq-256; check it."
            ) from error
        except Exception as error:  # no route, no answer, offline mode: each library below has its own
            raise OfflineError(
                f"{repo} is neither in the Hub's cache nor could it be fetched ({type(error).__name__}); "
                "expected one of both; connect once, or give the path of a folder."
            ) from error
        if any(any((folder / sub).glob(f"diffusion_pytorch_model*.{suffix}*")) for sub in ("", "unet")):
            return folder
    text = f"The repository {repo} holds no U-Net in diffusers format; expected config.json with "
    raise WeightsError(text + "diffusion_pytorch_model, or the same under unet/; choose another.")
