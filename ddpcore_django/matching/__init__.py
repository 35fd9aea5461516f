"""A queryset's conditions as predicates that are decided in memory, or the reason why not."""

from ddpcore_django.matching.columns import NotMatched
from ddpcore_django.matching.keys import RelatedKeys
from ddpcore_django.matching.where import Compiled, compile_where

__all__ = ["Compiled", "NotMatched", "RelatedKeys", "compile_where"]
