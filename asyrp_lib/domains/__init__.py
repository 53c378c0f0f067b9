"""The domains, by name."""
from .domain import Domain
from .load import DOMAINS, load_domain
