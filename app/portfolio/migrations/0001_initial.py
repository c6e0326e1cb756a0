import django.core.validators
import portfolio.images
import portfolio.models
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Work',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('title', models.CharField(max_length=120)),
                ('text', models.TextField(blank=True, help_text='A few sentences; an empty line begins a paragraph.')),
                ('year', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1000), django.core.validators.MaxValueValidator(2999)])),
                ('technique', models.CharField(blank=True, help_text='For example: oil on linen, 40 × 60 cm.', max_length=120)),
                ('image', models.ImageField(help_text='JPEG, PNG or WebP, at most 20 MB.', max_length=255, upload_to=portfolio.models.picture_path, validators=[portfolio.images.validate_picture])),
                ('alt', models.CharField(blank=True, help_text="What the picture shows, for people who can't see it.", max_length=250, verbose_name='description')),
                ('thumbnail', models.ImageField(editable=False, max_length=255, upload_to=portfolio.models.picture_path)),
                ('width', models.PositiveIntegerField(editable=False)),
                ('height', models.PositiveIntegerField(editable=False)),
                ('created', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-created', '-pk'],
            },
        ),
    ]
