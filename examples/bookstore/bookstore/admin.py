from django.contrib import admin

from bookstore import models


@admin.register(models.Author)
class AuthorAdmin(admin.ModelAdmin):
    list_display = ["name", "email"]


@admin.register(models.Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ["title", "author"]
