import re

from django.db import connection
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_POST

from bookstore.models import Book


def home(request):
    """Two windows side by side, each one a page with its own DDP connection."""
    return render(request, "bookstore/home.html", {"database": connection.vendor})


@xframe_options_sameorigin
def shop(request):
    who = "right" if request.GET.get("who") == "right" else "left"
    return render(request, "bookstore/shop.html", {"who": who})


@require_POST
def reprint(request):
    """Give a random book one more printing: an ordinary view that knows nothing of DDP."""
    if book := Book.objects.order_by("?").first():
        title, printing = re.fullmatch(r"(.*?)(?: \(printing (\d{1,4})\))?", book.title).groups()
        book.title = f"{title[:180]} (printing {int(printing or 1) + 1})"
        book.save()
    return HttpResponse(status=204)  # the browser stays on the page it shows
