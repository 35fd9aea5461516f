from django.db import migrations, models


def write(apps, _editor):
    apps.get_model("shop", "Item").objects.create(name="made by a migration")


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_triggers")]
    operations = [
        migrations.RunPython(write, migrations.RunPython.noop),
        migrations.AddField(
            "Item", "price", models.DecimalField(max_digits=8, decimal_places=2, default=0)
        ),
    ]
