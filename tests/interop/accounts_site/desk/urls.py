from django.http import HttpResponse
from django.urls import path

# As in a Meteor application: in this order, before the application itself. The scripts are the
# browser's own affair (clients/accounts_meteor.mjs); the page is not, since Chromium lets pages
# that no server has sent open no WebSocket to this machine.
PAGE = """<!doctype html>
<title>desk</title>
<script>__meteor_runtime_config__ = { DDP_DEFAULT_CONNECTION_URL: location.origin }</script>
<script src="/scripts/meteor.js"></script>
<script src="/scripts/accounts-base.js"></script>
<script src="/scripts/accounts-password.js"></script>
<script src="/scripts/application.js"></script>
"""

urlpatterns = [path("", lambda request: HttpResponse(PAGE))]
