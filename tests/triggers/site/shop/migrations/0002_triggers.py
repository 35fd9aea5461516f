from django.db import migrations

from ddpcore_django.operations import InstallTriggers


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [InstallTriggers()]
