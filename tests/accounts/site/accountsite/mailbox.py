"""The mail of the tests: it is kept, refused, or held up."""

import threading

from django.core import mail
from django.core.mail.backends import locmem

from accountsite.models import User
from ddpcore_django.accounts import mails
from ddpcore_django.accounts.postman import SENDERS, postman
from ddpcore_django.api import APIMixin, api_endpoint, this

_open = threading.Event()
_open.set()
_broken = threading.Event()


class Backend(locmem.EmailBackend):
    def send_messages(self, messages):
        _open.wait()
        if _broken.is_set():
            from smtplib import SMTPRecipientsRefused

            raise SMTPRecipientsRefused(dict.fromkeys(messages[0].to, (550, b"who?")))
        return super().send_messages(messages)


class Mailbox(APIMixin):
    api_path_prefix = "test."

    @api_endpoint
    def post_office(self, state):
        (_open.set if state != "shut" else _open.clear)()
        (_broken.set if state == "broken" else _broken.clear)()

    @api_endpoint
    def outbox(self):
        """All mails, of all that was asked for before."""
        everybody = threading.Barrier(SENDERS + 1)
        for _ in range(SENDERS):
            postman.post(everybody.wait, "A pause")
        everybody.wait()
        return [
            {
                "to": each.recipients(),
                "from": each.from_email,
                "subject": each.subject,
                "body": each.body,
                "headers": each.extra_headers,
            }
            for each in getattr(mail, "outbox", [])
        ]

    @api_endpoint
    def signed_up(self, name):
        """As at the end of `createUser`."""
        mails.verify_new_user(this.context, User.objects.get(**{User.USERNAME_FIELD: name}))


class SecondFactor:
    """Whoever is called so has one."""

    from ddpcore import hookimpl

    @hookimpl
    def ddpcore_second_factor(self, user, code):
        return code == "123" if user.get_username().startswith("careful") else None


factor = SecondFactor()
