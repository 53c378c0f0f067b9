"""The domains, by name."""

from .domain import Domain, t_edit_of
from .load import DOMAINS, load_domain
