from ddpcore_django.api import API, APIMixin, api_endpoint


class Interop(APIMixin):
    api_path_prefix = "interop."

    @api_endpoint
    def echo(self, value):
        return value


API.register([Interop])
