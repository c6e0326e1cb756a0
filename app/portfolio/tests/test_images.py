"""What happens to uploaded pictures."""

import re
from pathlib import Path
from unittest.mock import patch

from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.test import SimpleTestCase, TestCase
from django.utils import timezone
from PIL import Image
from PIL.ImageFile import ImageFile

from portfolio import images
from portfolio.images import derive, validate_picture

from .pictures import encoded, hang, upload

ORIENTATION, GPS = 0x0112, 0x8825


def exif():
    """Return the metadata of a camera that was held sideways."""
    data = Image.Exif()
    data[ORIENTATION] = 6
    data.get_ifd(GPS)[1] = "N"
    return data


class ValidationTest(SimpleTestCase):
    def assert_refused(self, code, content):
        with self.assertRaises(ValidationError) as caught:
            validate_picture(upload(content))
        self.assertEqual(caught.exception.code, code)

    def test_accepts_the_usual(self):
        for file_format, mode in [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB")]:
            with self.subTest(file_format=file_format, mode=mode):
                validate_picture(upload(encoded(file_format, mode=mode)))

    def test_leaves_the_file_to_be_read_again(self):
        file = upload()
        validate_picture(file)
        self.assertEqual(file.tell(), 0)

    def test_refuses_other_formats(self):
        for content in (encoded("GIF"), encoded("BMP"), encoded("TIFF"), b"<svg/>", b""):
            with self.subTest(content=content[:4]):
                self.assert_refused("broken", content)

    def test_refuses_half_a_picture(self):
        for file_format in ("JPEG", "PNG", "WEBP"):
            content = encoded(file_format, size=(900, 900))
            with self.subTest(file_format=file_format):
                self.assert_refused("broken", content[: len(content) // 2])

    def test_refuses_heavy_files(self):
        with patch.object(images, "MAX_BYTES", 100):
            self.assert_refused("too_heavy", encoded())

    def test_refuses_many_pixels_before_unpacking_them(self):
        content = encoded()
        with patch.object(images, "MAX_PIXELS", 2399), patch.object(ImageFile, "load") as load:
            self.assert_refused("too_large", content)
        load.assert_not_called()


class DeriveTest(SimpleTestCase):
    def derived(self, content):
        return [Image.open(file) for file in derive(upload(content))]

    def test_keeps_the_format(self):
        for file_format in ("JPEG", "PNG", "WEBP"):
            picture, thumbnail = self.derived(encoded(file_format))
            self.assertEqual((picture.format, thumbnail.format), (file_format, "WEBP"))

    def test_scales_large_pictures_down(self):
        picture, thumbnail = self.derived(encoded(size=(3000, 1500)))
        self.assertEqual((picture.size, thumbnail.size), ((2400, 1200), (800, 400)))

    def test_leaves_small_ones_at_their_size(self):
        picture, thumbnail = self.derived(encoded(size=(60, 40)))
        self.assertEqual((picture.size, thumbnail.size), ((60, 40), (60, 40)))

    def test_turns_pictures_upright(self):
        picture, thumbnail = self.derived(encoded(exif=exif()))
        self.assertEqual((picture.size, thumbnail.size), ((40, 60), (40, 60)))

    def test_forgets_where_it_was_taken(self):
        for picture in self.derived(encoded(exif=exif())):
            self.assertFalse(picture.getexif())

    def test_keeps_the_colour_profile(self):
        for picture in self.derived(encoded(icc_profile=b"a profile")):
            self.assertEqual(picture.info["icc_profile"], b"a profile")

    def test_browsers_show_every_mode(self):
        cases = [
            ("JPEG", "CMYK", "RGB"),
            ("JPEG", "L", "L"),
            ("PNG", "P", "RGB"),
            ("PNG", "1", "RGB"),
            ("PNG", "I;16", "L"),
            ("PNG", "LA", "RGBA"),
            ("PNG", "RGBA", "RGBA"),
        ]
        for file_format, mode, shown in cases:
            with self.subTest(mode=mode):
                picture, _ = self.derived(encoded(file_format, mode=mode))
                self.assertEqual(picture.mode, shown)


class StorageTest(TestCase):
    def test_names_files_by_title_and_year(self):
        work = hang("A Café, at Noon", image=upload(name="../../DSC 0001.JPG"))
        pattern = rf"works/{timezone.now():%Y}/a-cafe-at-noon-[0-9a-z]{{8}}"
        self.assertRegex(work.image.name, re.compile(rf"^{pattern}\.jpg$"))
        self.assertRegex(work.thumbnail.name, re.compile(rf"^{pattern}\.webp$"))

    def test_the_ending_is_that_of_the_content(self):
        work = hang(image=upload(encoded("PNG"), name="picture.jpg"))
        self.assertTrue(work.image.name.endswith(".png"))

    def test_knows_the_size_of_what_is_shown(self):
        work = hang(image=upload(encoded(size=(3000, 1500), exif=exif())))
        work.refresh_from_db()
        self.assertEqual((work.width, work.height), (1200, 2400))

    def test_nginx_can_read_the_files(self):
        work = hang()
        for name in work.files():
            path = Path(default_storage.path(name))
            self.assertEqual(path.stat().st_mode & 0o777, 0o644)
            self.assertEqual(path.parent.stat().st_mode & 0o555, 0o555)

    def test_a_new_picture_replaces_the_files(self):
        work = hang()
        before = work.files()
        with self.captureOnCommitCallbacks(execute=True):
            work.image = upload(encoded(size=(30, 30)))
            work.save()
        self.assertEqual([name for name in before if default_storage.exists(name)], [])
        self.assertTrue(all(default_storage.exists(name) for name in work.files()))
        self.assertEqual(work.width, 30)

    def test_deleting_a_work_deletes_its_files(self):
        work = hang()
        files = work.files()
        with self.captureOnCommitCallbacks(execute=True):
            work.delete()
        self.assertEqual([name for name in files if default_storage.exists(name)], [])

    def test_a_deletion_taken_back_keeps_the_files(self):
        work = hang()
        files = work.files()
        with self.captureOnCommitCallbacks(execute=False):
            work.delete()
        self.assertTrue(all(default_storage.exists(name) for name in files))

    def test_a_missing_file_does_not_stop_the_deletion(self):
        work = hang()
        default_storage.delete(work.image.name)
        with self.captureOnCommitCallbacks(execute=True):
            work.delete()
