"""The table of verified addresses."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("ddpcore_accounts", "0001_initial"),
    ]
    operations = [
        migrations.CreateModel(
            name="VerifiedAddress",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("address", models.CharField(max_length=320)),
                ("verified_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="ddp_verified_addresses",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "verified address",
                "verbose_name_plural": "verified addresses",
            },
        ),
        migrations.AddConstraint(
            model_name="verifiedaddress",
            constraint=models.UniqueConstraint(
                fields=("user", "address"), name="ddpcore_accounts_verified"
            ),
        ),
    ]
