import os

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint
from workersite.models import Note


class Notes(Collection):
    model = Note
    name = "notes"


class AllNotes(Publication):
    queries = [Note.objects.all()]


class Methods(APIMixin):
    api_path_prefix = ""

    @api_endpoint
    def write(self, text):
        Note.objects.create(text=text)

    @api_endpoint
    def pid(self):
        return os.getpid()


API.register([Notes, AllNotes, Methods])
