"""What operators change is heard of by every process before its next message, at the cost of a glance."""

from contextlib import closing
from pathlib import Path

import pytest

from registry.errors import DeviceExists
from storage.bell import ChangeBell
from tests.support.stores import DEED, DRIVERS, TENANT, device, open_sqlite, opened, put, tenant


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_write_is_news_until_it_is_read(driver: str, tmp_path: Path) -> None:
    with opened(driver, tmp_path) as store:
        assert not store.feed.has_news()
        store.tenants.create(tenant(TENANT), DEED)
        assert store.feed.has_news() and store.feed.has_news()
        store.feed.catch_up()
        assert not store.feed.has_news()


def test_another_process_hears_of_it_too(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path)) as one, closing(open_sqlite(tmp_path)) as other:
        one.tenants.create(tenant(TENANT), DEED)
        for feed in (one.feed, other.feed):
            assert feed.has_news()
            feed.catch_up()
        put(other, device("pump"))
        assert one.feed.has_news() and other.feed.has_news()


def test_what_was_undone_is_no_news(tmp_path: Path) -> None:
    with closing(open_sqlite(tmp_path)) as store:
        store.tenants.create(tenant(TENANT), DEED)
        store.devices.create(device("pump"), DEED, devices_max=-1)
        store.feed.catch_up()
        with pytest.raises(DeviceExists):
            store.devices.create(device("pump"), DEED, devices_max=-1)
        assert not store.feed.has_news()


def test_the_bell_is_its_owners_alone_and_lasts(tmp_path: Path) -> None:
    bell = ChangeBell(tmp_path / "registry.db")
    bell.ring()
    assert ChangeBell(tmp_path / "registry.db").values[0] == bell.values[0] != 0
    assert (tmp_path / "registry.db.bell").stat().st_mode & 0o777 == 0o600
