from bookstore.models import Author, Book

from ddpcore_django.api import API, APIMixin, Collection, Publication, api_endpoint, this
from interop import gate, models


class Note(Collection):
    model = models.Note

    @api_endpoint
    def insert(self, document):
        """What a client's `Notes.insert` calls; Meteor's sends a seed in place of the id."""
        return put(document.get("_id") or this.random.id("interop.note"), document["text"])


class Notes(Publication):
    queries = [models.Note.objects.all()]


class BookTitles(Publication):
    queries = [Book.objects.only("title")]


class SlowBooks(Publication):
    def get_queries(self):
        gate.go_through()
        return [Author.objects.all(), Book.objects.all()]


class Interop(APIMixin):
    api_path_prefix = "interop."

    @api_endpoint
    def echo(self, value):
        return value

    @api_endpoint
    def slow(self, value):
        gate.go_through()
        return value

    @api_endpoint
    def addNote(self, text):
        return put(this.random.id("interop.note"), text)

    @api_endpoint
    def addNoteSlowly(self, text):
        note = put(this.random.id("interop.note"), text)
        gate.go_through()
        return note

    @api_endpoint
    def addNotes(self, texts):
        return [put(this.random.id("interop.note"), text) for text in texts]


def put(pk, text):
    # Clients that return send a call again that they have seen no answer to.
    note, _ = models.Note.objects.get_or_create(id=pk, defaults={"text": text})
    return note.id


API.register([Note, Notes, BookTitles, SlowBooks, Interop])
