from django.urls import path

from bookstore import views

urlpatterns = [
    path("", views.home, name="home"),
    path("shop", views.shop, name="shop"),
    path("reprint", views.reprint, name="reprint"),
]
