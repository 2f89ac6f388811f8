"""Sends generated requests to a server with Schemathesis, and prints each finding that accepted.toml does not list.

usage: fuzz.py DOCUMENT URL EMAIL PASSWORD
"""

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import tomllib

FOLDER = Path(__file__).parent
DOCUMENT, URL, EMAIL, PASSWORD = sys.argv[1:]


def resources():
    """One of each resource that a path can name, as variables of schemathesis.toml."""
    signed_in = httpx.post(f"{URL}/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()
    client = httpx.Client(base_url=URL, headers={"authorization": f"Bearer {signed_in['token']}"})

    def create(path, body=None, **options):
        response = client.post(path, json=body, **options) if body is not None else client.post(path, **options)
        response.raise_for_status()
        return response

    def upload(name):
        return create("/v1/files", params={"name": name}, content=b"content").json()["id"]

    trashed, file = upload("trashed.txt"), upload("file.txt")
    client.delete(f"/v1/files/{trashed}").raise_for_status()
    link = create(f"/v1/files/{file}/links", {"password": PASSWORD}).json()
    other = create("/v1/auth/register", {"email": "other@example.org", "name": "Other", "password": PASSWORD}).json()
    client.put("/v1/me/avatar", content=base64.b64decode(PIXEL)).raise_for_status()
    tus = create("/v1/tus", headers={"tus-resumable": "1.0.0", "upload-length": "7"})
    return {
        "TOKEN": signed_in["token"],
        "FILE": file,
        "TRASHED": trashed,
        "LINK": link["id"],
        "LINK_TOKEN": link["url"].rsplit("/", 1)[1],
        "DIRECT": create("/v1/uploads", {"mode": "direct", "name": "a", "size": 7}).json()["id"],
        "TUS": tus.headers["location"].rsplit("/", 1)[1],
        "USER": other["user"]["id"],
    }


# A PNG of one pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def cases(report):
    """How many requests a report has."""
    events = map(json.loads, report.open(encoding="utf-8"))
    return sum(len(event.get("ScenarioFinished", {}).get("recorder", {}).get("cases", {})) for event in events)


def findings(report):
    """The failed checks of a report, each with its case."""
    for line in report.open(encoding="utf-8"):
        event = json.loads(line)
        if "NonFatalError" in event:
            error = event["NonFatalError"]
            yield {"check": "error", "operation": error["label"], "message": error["value"]["message"]}
        recorder = event.get("ScenarioFinished", {}).get("recorder", {})
        for case, checks in recorder.get("checks", {}).items():
            for check in checks:
                if check["status"] == "failure":
                    yield finding(check, recorder["cases"][case]["value"], recorder["interactions"][case])


def finding(check, case, interaction):
    failure = check["failure_info"]["failure"]
    request, response = interaction["request"], interaction.get("response") or {}
    phase = case.get("meta", {}).get("phase", {})
    return {
        "check": check["name"],
        "operation": failure["operation"],
        "status": str(response.get("status_code")),
        "codes": codes(response),
        "case": str((phase.get("data") or {}).get("description")),
        "message": failure["message"],
        "request": f"{request['method']} {request['uri']} {request['headers']} {text(request.get('body'))!r}",
    }


def codes(response):
    """The code of a problem, and of each of its errors, such as `/name required`."""
    body = text(response.get("content"))
    if response.get("headers", {}).get("content-type") != ["application/problem+json"] or not body:
        return []
    problem = json.loads(body)
    errors = problem.get("errors", [])
    places = [next(error[kind] for kind in ("pointer", "parameter", "header") if kind in error) for error in errors]
    return [problem["code"], *(f"{place} {error['code']}" for place, error in zip(places, errors))]


def text(body):
    return base64.b64decode(body["$base64"]).decode(errors="replace") if body else ""


def is_accepted(found, entry):
    def matches(key, values):
        return key not in entry or any(re.fullmatch(entry[key], value, re.DOTALL) for value in values)

    singular = ["check", "operation", "status", "case", "message", "request"]
    return matches("code", found.get("codes", [])) and all(matches(key, [found.get(key, "")]) for key in singular)


def main():
    accepted = tomllib.loads((FOLDER / "accepted.toml").read_text(encoding="utf-8"))["accepted"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(os.environ.get("FUZZ_REPORT") or f"{folder}/report.ndjson")
        variables = {**os.environ, **resources(), "REPORT": str(report)}
        command = [FOLDER / "venv/bin/schemathesis", "run", DOCUMENT, "--url", URL, "--no-color", "--warnings", "off"]
        run = subprocess.run(command, env=variables, cwd=FOLDER, capture_output=True, text=True, check=False)
        print(run.stdout[-2000:])
        if run.returncode not in (0, 1) or cases(report) < 1000:
            sys.exit(f"Schemathesis did not run as it should: {run.stderr}")
        found = list(findings(report))
    new = [one for one in found if not any(is_accepted(one, entry) for entry in accepted)]
    print(len(found), "findings,", len(new), "of them not in accepted.toml")
    for one in {(one["check"], one["operation"], *one.get("codes", [])): one for one in new}.values():
        print(*(f"{key}: {str(value)[:1000]}" for key, value in one.items()), "", sep="\n")
    sys.exit(1 if new else 0)


main()
