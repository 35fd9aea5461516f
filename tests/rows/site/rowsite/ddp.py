from ddpcore_django.api import API, Collection
from rowsite import models


class People(Collection):
    model = models.Person
    fields = ("username", "first_name")


class Bistros(Collection):
    model = models.Bistro


class Narrows(Collection):
    model = models.Narrow
    carries = ("shown", "owner_id")


class Pairs(Collection):
    model = models.Pair


class Louds(Collection):
    model = models.Loud


class Members(Collection):
    model = models.Member


class Clubs(Collection):
    model = models.Club


class Visits(Collection):
    model = models.Visit


API.register([Members, Clubs, Visits, People, Bistros, Narrows, Pairs, Louds])
