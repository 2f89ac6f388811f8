"""Uploads a file with tuspy, retries while the server restarts, and prints the URL of the upload.

Arguments: endpoint, token, path, bytes per chunk.
"""

import os
import sys

from tusclient.client import TusClient

endpoint, token, path, chunk = sys.argv[1:]

client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
uploader = client.uploader(
    path,
    chunk_size=int(chunk),
    retries=100,
    retry_delay=0.2,
    upload_checksum=True,
    metadata={"filename": os.path.basename(path), "path": "from python"},
)
uploader.upload()
print(uploader.url)
