"""A chat of one's own out of another: where it leaves that, and what is said in it first."""

from webapp.chat.forks.forks import Forks, Sieve
from webapp.chat.forks.places import Place

__all__ = ["Forks", "Place", "Sieve"]
