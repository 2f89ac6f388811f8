"""The usual calls of an app, with the client that openapi-python-client generates.

usage: python_client.py URL EMAIL PASSWORD
"""

import importlib
import pkgutil
import sys
from io import BytesIO
from uuid import uuid4

import httpx
import strongroom_client
from strongroom_client import AuthenticatedClient, Client
from strongroom_client.api.auth import log_in
from strongroom_client.api.files import (
    create_signed_url,
    delete_file,
    get_file,
    get_file_content,
    list_files,
    update_file,
    upload_file,
)
from strongroom_client.api.links import create_link, update_link
from strongroom_client.api.me import get_me
from strongroom_client.api.trash import list_trash, restore_file
from strongroom_client.api.uploads import complete_upload, create_upload, sign_upload_parts
from strongroom_client.models import (
    CreateLinkRequest,
    CreateSignedUrlRequest,
    CreateUploadRequest,
    ListFilesSort,
    LoginRequest,
    Problem,
    ProblemCode,
    SignedUrlOperation,
    SignPartsRequest,
    StoredFile,
    UpdateFileRequest,
    UpdateLinkRequest,
    UploadMode,
)
from strongroom_client.types import UNSET, File

URL, EMAIL, PASSWORD = sys.argv[1:]
NAMES = ["a.txt", "b.txt", "c.txt"]


def everything_can_be_imported():
    for module in pkgutil.walk_packages(strongroom_client.__path__, "strongroom_client."):
        importlib.import_module(module.name)


def sign_in():
    signed_in = log_in.sync(client=Client(URL), body=LoginRequest(EMAIL, PASSWORD))
    client = AuthenticatedClient(URL, signed_in.token)
    assert get_me.sync(client=client).id == signed_in.user.id
    return client, signed_in.user


def upload(client):
    for name in NAMES:
        content = File(payload=BytesIO(f"the content of {name}".encode()))
        stored = upload_file.sync(client=client, body=content, name=name, path="python", if_none_match="*")
        assert isinstance(stored, StoredFile), stored


def upload_form(client):
    # The document does not describe the form.
    form = {"file": ("form.txt", BytesIO(b"the content of form.txt"))}
    response = client.get_httpx_client().post("/v1/files", params={"path": "python/form"}, files=form)
    assert StoredFile.from_dict(response.json()).size == 23


def upload_directly(client):
    film = b"the content of film.mp4"
    request = CreateUploadRequest(UploadMode.DIRECT, "film.mp4", path="python/direct", size=len(film))
    upload = create_upload.sync(client=client, body=request, idempotency_key=str(uuid4()))
    for part in sign_upload_parts.sync(upload.id, client=client, body=SignPartsRequest()).parts:
        start = (part.number - 1) * upload.part_size
        content = film[start : start + part.size]
        httpx.request(part.method, part.url, headers=part.headers.to_dict(), content=content).raise_for_status()
    assert complete_upload.sync(upload.id, client=client).size == len(film)


def list_all_pages(client):
    files, cursor = [], UNSET
    while cursor is not None:
        page = list_files.sync(client=client, path="python", sort=ListFilesSort("-name"), limit=2, cursor=cursor)
        files += page.items
        cursor = page.next_cursor
    assert [file.name for file in files] == NAMES[::-1], files
    return files


def read(client, file):
    assert get_file.sync(file.id, client=client).sha256 == file.sha256
    content = get_file_content.sync(file.id, client=client)
    assert content.payload.read() == b"the content of a.txt"
    with client.get_httpx_client().stream("GET", f"/v1/files/{file.id}/content") as response:
        assert b"".join(response.iter_bytes()) == b"the content of a.txt"
    part = get_file_content.sync_detailed(file.id, client=client, range_="bytes=4-10")
    assert (part.status_code, part.content) == (206, b"content")


def sign(client, file):
    request = CreateSignedUrlRequest(SignedUrlOperation.GET, expires_in=60)
    signed = create_signed_url.sync(file.id, client=client, body=request)
    assert httpx.request(signed.method, signed.url).text == "the content of a.txt"


def rename_with_metadata(client, file):
    metadata = {"invoice": 17, "tags": ["paid"]}
    request = UpdateFileRequest.from_dict({"name": "renamed.txt", "metadata": metadata})
    renamed = update_file.sync(file.id, client=client, body=request, if_match=file.etag)
    assert renamed.name == "renamed.txt"
    assert renamed.metadata.to_dict() == metadata


def share(client, file):
    link = create_link.sync(file.id, client=client, body=CreateLinkRequest(max_downloads=1, note="once"))
    assert httpx.get(link.url, params={"download": 1}).text == "the content of a.txt"
    assert update_link.sync(link.id, client=client, body=UpdateLinkRequest(note=None)).note == ""


def delete_and_restore(client, file):
    assert delete_file.sync_detailed(file.id, client=client).status_code == 204
    assert list_trash.sync(client=client).items[0].id == file.id
    assert restore_file.sync(file.id, client=client).name == "renamed.txt"


def handle_a_problem(client, user):
    problem = get_file.sync(user.id, client=client)
    assert isinstance(problem, Problem)
    assert problem.code == ProblemCode.NOT_FOUND


def main():
    everything_can_be_imported()
    client, user = sign_in()
    upload(client)
    upload_form(client)
    upload_directly(client)
    file = list_all_pages(client)[-1]
    read(client, file)
    sign(client, file)
    rename_with_metadata(client, file)
    share(client, file)
    delete_and_restore(client, file)
    handle_a_problem(client, user)


main()
