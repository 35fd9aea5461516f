from ddpcore_django import API, Collection
from shop.models import Item


class Items(Collection):
    model = Item


API.register(Items)
