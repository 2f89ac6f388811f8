"""Sends requests that are refused before their body is read, with http.client, requests or httpx.

Reads from standard input {"base", "certificate", "http2", "cases": [{"method", "path", "headers", "size"}]} and prints
the list of the results: a status, or the kind of the error.
"""

import http.client
import json
import ssl
import sys
from urllib.parse import urlsplit


def with_http_client(task):
    """The whole body is sent before anything is read; connections are used again as long as that works."""
    base = urlsplit(task["base"])
    if base.scheme == "https":
        context = ssl.create_default_context(cafile=task["certificate"])
        connection = http.client.HTTPSConnection(base.netloc, timeout=10, context=context)
    else:
        connection = http.client.HTTPConnection(base.netloc, timeout=10)

    def send(case, body):
        try:
            connection.request(case["method"], case["path"], body, case["headers"])
            response = connection.getresponse()
            response.read()
            return response.status
        except BaseException:
            connection.close()
            raise

    return send


def with_requests(task):
    import requests
    import urllib3

    urllib3.disable_warnings()

    session = requests.Session()
    # The certificate of the tests is not one of an authority, which this client demands.
    session.trust_env, session.verify = False, False

    def send(case, body):
        url = task["base"] + case["path"]
        return session.request(case["method"], url, data=body, headers=case["headers"], timeout=10).status_code

    return send


def with_httpx(task):
    import httpx

    context = ssl.create_default_context(cafile=task["certificate"])
    client = httpx.Client(http1=not task["http2"], http2=task["http2"], verify=context, timeout=10)

    def send(case, body):
        url = task["base"] + case["path"]
        return client.request(case["method"], url, content=body, headers=case["headers"]).status_code

    return send


CLIENTS = {"http.client": with_http_client, "requests": with_requests, "httpx": with_httpx}


def main():
    task = json.load(sys.stdin)
    send = CLIENTS[sys.argv[1]](task)
    results = []
    for case in task["cases"]:
        try:
            results.append(str(send(case, b"x" * case["size"])))
        except Exception as error:
            results.append(type(error).__name__)
    print(json.dumps(results))


main()
