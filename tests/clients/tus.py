"""Uploads a file with tuspy, however often the server goes away, and prints the upload's URL.

Arguments: endpoint, token, path, bytes in a chunk.
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
