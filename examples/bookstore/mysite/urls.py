from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("bookstore.urls")),
    path("admin/", admin.site.urls),
    *staticfiles_urlpatterns(),  # while DEBUG is on; a real site has its web server do this
]
