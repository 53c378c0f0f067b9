"""The domains, by name."""
from ..device import pick_device
from ..errors import UnknownNameError
from .domain import Domain
from .synthfaces import load_synthfaces

#: name -> loader(device)
DOMAINS = {"synthfaces": load_synthfaces}


def load_domain(name: str = "synthfaces", *, device: str | None = None) -> Domain:
    """Load a domain by name.

    Args:
        name: one of `DOMAINS`.
        device: "cuda", "mps" or "cpu"; None chooses the best there is.
    Returns:
        The Domain, frozen, on the device.
    Raises:
        UnknownNameError: no such domain.
        WeightsError: its weights are missing or damaged.
    """
    if name not in DOMAINS:
        raise UnknownNameError(f"Unknown domain {name!r}; known are {', '.join(DOMAINS)}.")
    return DOMAINS[name](pick_device(device))
