from django.core.management.base import BaseCommand
from django.db import transaction

from bookstore.models import Author, Book

SHELVES = {
    ("Jane Austen", "jane@example.org"): ["Pride and Prejudice", "Emma", "Persuasion"],
    ("Jules Verne", "jules@example.org"): [
        "Twenty Thousand Leagues Under the Seas",
        "Around the World in Eighty Days",
    ],
    ("Mary Shelley", "mary@example.org"): ["Frankenstein"],
    ("Selma Lagerlöf", "selma@example.org"): [
        "Gösta Berling's Saga",
        "The Wonderful Adventures of Nils",
    ],
}


class Command(BaseCommand):
    help = "Puts a few authors and books into an empty bookstore; leaves any other as it is."

    @transaction.atomic
    def handle(self, *args, **options):
        if Author.objects.exists():
            self.stdout.write("The bookstore has authors already: nothing to do.")
            return
        for (name, email), titles in SHELVES.items():
            author = Author.objects.create(name=name, email=email)
            for title in titles:
                Book.objects.create(title=title, author=author)
        self.stdout.write(f"{Author.objects.count()} authors, {Book.objects.count()} books.")
