from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint, this
from desk import models


class Note(Collection):
    model = models.Note


class MyNotes(Publication):
    def get_queries(self):
        return [models.Note.objects.filter(owner=this.user_id)]


class Desk(APIMixin):
    api_path_prefix = "desk."

    @api_endpoint
    def who(self):
        """Who the server holds the caller for."""
        return this.user_id

    @api_endpoint
    def name(self):
        return this.user.get_username()


API.register([Note, MyNotes, Desk])
