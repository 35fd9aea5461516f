from ddpcore_django import API, APIMixin, api_endpoint


class Echo(APIMixin):
    @api_endpoint
    def echo(self, value):
        return value


API.register([Echo])
