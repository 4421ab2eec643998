import aiohttp
import pytest

from cloud_trainer.serve import serving
from firmware_bridge.errors import ConflictError, SettingError

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "timestamp.json").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"not part of the repository")
    return tmp_path


async def get(port, path, **headers):
    async with aiohttp.ClientSession() as session, session.get(
        f"http://127.0.0.1:{port}{path}", headers=headers
    ) as response:  # fmt: skip
        return response.status, await response.read(), response.headers


async def test_file_is_served_whole_and_in_part(repository):
    async with serving(repository, 0) as port:
        assert (await get(port, "/metadata/timestamp.json"))[:2] == (200, b"0123456789")
        status, body, headers = await get(port, "/metadata/timestamp.json", Range="bytes=4-")
        assert (status, body, headers["Content-Range"]) == (206, b"456789", "bytes 4-9/10")
        assert (await get(port, "/metadata/timestamp.json", Range="bytes=10-"))[0] == 416


@pytest.mark.parametrize(
    "path", ["/", "/metadata/", "/secret", "/metadata/../secret", "/metadata/%2e%2e/secret", "/x"]
)
async def test_nothing_else_is_served(repository, path):
    async with serving(repository, 0) as port:
        assert (await get(port, path))[0] in {403, 404}


async def test_file_published_later_is_served(repository):
    async with serving(repository, 0) as port:
        assert (await get(port, "/targets/new"))[0] == 404
        (repository / "targets" / "new").write_bytes(b"new")
        assert (await get(port, "/targets/new"))[:2] == (200, b"new")


async def test_taken_port_is_named(repository):
    async with serving(repository, 0) as port:
        with pytest.raises(ConflictError, match=rf"--port = {port}: .* \(Address already in use\)"):
            async with serving(repository, port):
                pass


async def test_port_that_cannot_be_is_named(repository):
    with pytest.raises(SettingError, match="--port = 65536"):
        async with serving(repository, 65536):
            pass


async def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="repository"):
        async with serving(tmp_path / "file", 0):
            pass
