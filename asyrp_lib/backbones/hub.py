"""Networks of the Hugging Face Hub, as folders."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

from ..errors import OfflineError, WeightsError


def hub_folder(repo: str, revision: str | None = None) -> Path:
    """The U-Net and the scheduler of a repository in diffusers format, fetched if the Hub's cache lacks them.

    Args:
        repo: "owner/name", e.g. "google/ddpm-celebahq-256".
        revision: a commit, tag or branch; None: the main branch.
    Returns:
        The folder in the Hub's cache.
    Raises:
        WeightsError: no such repository or revision, or no U-Net in it.
        OfflineError: not cached, and the Hub is out of reach.
    """
    for suffix in ("safetensors", "bin"):  # pickles only where there is nothing else
        files = ["config.json", "scheduler_config.json", f"diffusion_pytorch_model*.{suffix}*"]
        wanted = [
            "model_index.json",
            *files,
            *(f"unet/{name}" for name in files),
            "scheduler/scheduler_config.json",
        ]
        try:
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
        except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
            raise WeightsError(
                f"The Hub has no repository {repo!r}{f' at {revision!r}' if revision else ''} "
                f"({type(error).__name__}); expected owner/name, e.g. google/ddpm-celebahq-256; check it."
            ) from error
        except (
            Exception
        ) as error:  # no route, no name, no answer, offline mode: each library below has its own
            raise OfflineError(
                f"{repo} is neither in the Hub's cache nor could it be fetched ({type(error).__name__}); "
                "expected one of both; connect once, or give the path of a folder."
            ) from error
        if any(list((folder / place).glob(f"diffusion_pytorch_model*.{suffix}*")) for place in ("", "unet")):
            return folder
    raise WeightsError(
        f"The repository {repo} holds no U-Net in diffusers format; expected config.json with "
        "diffusion_pytorch_model, or the same under unet/; choose another."
    )
