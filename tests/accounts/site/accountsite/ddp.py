from accountsite.mailbox import Mailbox
from accountsite.models import Mark, User
from ddpcore.session.transitions import State
from ddpcore_django.accounts import binding, tokens
from ddpcore_django.accounts.models import LoginToken
from ddpcore_django.api import (
    API,
    APIMixin,
    Collection,
    MeteorError,
    Publication,
    api_endpoint,
    this,
)


class MarkCollection(Collection):
    model = Mark
    name = "marks"


class Marks(Publication):
    queries = [Mark.objects.all()]


class Methods(APIMixin):
    """What the tests need beside the methods of accounts."""

    api_path_prefix = "test."

    @api_endpoint
    def mark(self):
        Mark.objects.create()

    @api_endpoint
    def who(self):
        return this.user_id

    @api_endpoint
    def is_somebody(self):
        return this.user.is_authenticated

    @api_endpoint
    def bind(self, name):
        """Log in as whoever is named, without a word of proof."""
        login = tokens.issue(User.objects.get(**{User.USERNAME_FIELD: name}))
        binding.bind(this.context, login.row.pk)
        this.set_user_id(str(login.row.user_id))
        return [login.token, login.row.pk]

    @api_endpoint
    def bind_row(self, row_id, user_id):
        binding.bind(this.context, row_id)
        this.set_user_id(user_id)

    @api_endpoint
    def bind_then_fail(self, name):
        self.bind(name)
        raise MeteorError(500, "no way")

    @api_endpoint
    def unbind_then_fail(self):
        tokens.revoke(binding.unbind(this.context))
        raise MeteorError(500, "no way")

    @api_endpoint
    async def bind_unseen(self, row_id, user_id):
        """The same without the database."""
        binding.bind(this.context, row_id)
        await this.set_user_id(user_id)

    @api_endpoint
    def bound(self):
        return binding.bound(this.context)

    @api_endpoint
    def unbind(self):
        """Log out as `logout` does it."""
        row_id = binding.unbind(this.context)
        if row_id is not None:
            tokens.revoke(row_id)
        this.set_user_id(None)
        return row_id

    @api_endpoint
    def rows(self):
        return sorted(LoginToken.objects.values_list("pk", flat=True))

    @api_endpoint
    async def held(self):
        """What the server holds for its clients."""
        server = this.context.server
        crossbar = server.crossbar
        return {
            "sessions": len(server.sessions),
            "detached": sum(
                each.machine.state is State.DETACHED for each in server.sessions.values()
            ),
            "observers": crossbar.observers,
            "tables": len(crossbar._tables),
            "polled": len(crossbar._polled),
            "topics": sorted(crossbar._listening),
            "bindings": len(binding.bindings_of(server)),
        }


API.register([MarkCollection, Marks, Methods, Mailbox])
