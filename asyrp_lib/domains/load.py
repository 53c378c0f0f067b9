"""The domains, by name."""

from functools import partial
from pathlib import Path

from .. import check
from ..backbones.load import is_hub_id
from ..device import pick_device
from ..errors import UnknownNameError
from .domain import Domain
from .photos.paper import load_own, load_paper_domain
from .photos.registry import ROWS
from .synthfaces import load_synthfaces

#: name -> loader(device)
DOMAINS = {"synthfaces": load_synthfaces, **{name: partial(load_paper_domain, name) for name in ROWS}}


def load_domain(name: str = "synthfaces", *, device: str | None = None) -> Domain:
    """Load a domain by name, or from a folder or a Hub id: frozen, on the device.
    Args:
        name: one of `DOMAINS`, a folder in diffusers format, or a Hub id such as google/ddpm-celebahq-256.
        device: "cuda", "mps" or "cpu"; None chooses the best there is.
    Raises:
        UnknownNameError: no such domain and no such folder.
        OfflineError: the network of one of the paper's domains is not fetched yet; says the command.
        WeightsError: its weights are missing or damaged.
    """
    check.path(name, error=UnknownNameError)
    if isinstance(name, str) and name in DOMAINS:
        return DOMAINS[name](pick_device(device))
    if Path(name).is_dir() or is_hub_id(name):
        return load_own(name, pick_device(device))
    known = f"{', '.join(DOMAINS)}, and any folder or Hub id in diffusers format"
    raise UnknownNameError(f"Unknown domain {name!r}; known are {known}.")
