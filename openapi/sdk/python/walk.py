"""Walks through the product with a client that was generated from the published document.

Any answer that differs from what the API promises ends the walk with exit code 1 and one clear line.
"""

import importlib
import json
import os
import pkgutil
import secrets
import sys
import time
import traceback
import typing

import strongroom_client.api
from strongroom_client import AuthenticatedClient, Client

# Values that break careless quoting, encoding or trimming.
VALUES = {
    "PLAIN": "postgres://acme@db.example.com/app?a=1&b=2",
    "QUOTES": "it's \"quoted\", `ticked`, back\\slashed, $HOME %s {{x}}",
    "LINES": "first\nsecond\r\n\tthird\n",
    "SPACES": "  both ends  ",
    "UNICODE": "Grüße, 東京 🗝️ e\u0301 \u2028 \u00a0",
    "JSON_TEXT": '{"a":[1,null,"\\u0000 as text"]}',
}

# Longest wait for the journal to show what was done, seconds.
JOURNAL_PATIENCE_SECS = 10

MARK = secrets.token_hex(6)


class Deviation(Exception):
    """An answer that differs from what the API promises."""


def check(step, holds, what):
    if not holds:
        raise Deviation(f"{step}: {what}")


def equal(step, name, actual, expected):
    check(step, actual == expected, f"{name} is {actual!r}, expected {expected!r}")


def operations():
    """The generated module of each operation, by operation id; which tag it lies under does not matter here."""
    found = {}
    package = strongroom_client.api
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.ispkg:
            found[module.name.rsplit(".", 1)[-1]] = module.name
    return found


OPERATIONS = operations()


def body_model(function, step):
    """The generated class of the operation's JSON body."""
    hint = typing.get_type_hints(function)["body"]
    models = [each for each in (typing.get_args(hint) or (hint,)) if hasattr(each, "from_dict")]
    check(step, len(models) == 1, f"the body is not one model: {hint}")
    return models[0]


def call(client, step, *path, body=None, status):
    """Calls an operation; path arguments in URL order. Answers the parsed body, written back to plain values."""
    check(step, step in OPERATIONS, "the document has no such operation")
    function = importlib.import_module(OPERATIONS[step]).sync_detailed
    arguments = {} if body is None else {"body": body_model(function, step).from_dict(body)}
    answer = function(*path, client=client, **arguments)
    wanted = status if isinstance(status, tuple) else (status,)
    said = f": {answer.content.decode(errors='replace')}" if answer.status_code >= 400 else ""
    words = " or ".join(map(str, wanted))
    check(step, answer.status_code in wanted, f"answered {int(answer.status_code)}, expected {words}{said}")
    if not answer.content:
        return None
    check(step, hasattr(answer.parsed, "to_dict"), f"{int(answer.status_code)} was not parsed as the document says")
    plain = json.loads(json.dumps(answer.parsed.to_dict()))
    # What the generated models keep must be what was sent: nothing lost, renamed or re-typed on the way.
    lost = [key for key in json.loads(answer.content) if key not in plain]
    check(step, not lost, f"the generated model drops {lost}")
    return plain


def register(url):
    email = f"dana+{MARK}@example.com"
    session = call(
        Client(base_url=url),
        "register_account",
        body={
            "email": email,
            "password": f"violet-anchor-{MARK}-Mosaic",
            "first_name": "Dana",
            "last_name": "Reed",
            "transport": "bearer",
        },
        status=201,
    )
    check("register_account", "access_token" in session, "there is no access_token")
    equal("register_account", "email", session["user"]["email"], email)
    return session["access_token"]


def make_place(client):
    """An organisation, a project and one of its environments."""
    org = call(client, "create_org", body={"name": f"Acme {MARK}"}, status=201)
    equal("create_org", "name", org["name"], f"Acme {MARK}")
    equal("get_org", "id by slug", call(client, "get_org", org["slug"], status=200)["id"], org["id"])
    orgs = call(client, "list_orgs", status=200)["data"]
    check("list_orgs", any(each["id"] == org["id"] for each in orgs), "the new organisation is not listed")

    project = call(client, "create_project", org["id"], body={"name": "Billing"}, status=201)
    slugs = sorted(each["slug"] for each in project["environments"])
    equal("create_project", "environments", slugs, ["development", "production", "staging"])
    return org["id"], project["id"], "development"


def walk_secrets(client, place):
    for key, value in VALUES.items():
        put = call(client, "put_secret", *place, key, body={"value": value, "comment": "walk"}, status=201)
        equal("put_secret", f"version of {key}", put["version"], 1)
        check("put_secret", "value" not in put, "the value is echoed")
        got = call(client, "get_secret", *place, key, status=200)
        equal("get_secret", f"value of {key}", got["value"], value)

    body = {"value": "changed", "expected_version": 1}
    changed = call(client, "put_secret", *place, "PLAIN", body=body, status=200)
    equal("put_secret", "version after a change", changed["version"], 2)
    late = call(client, "put_secret", *place, "PLAIN", body={"value": "late", "expected_version": 1}, status=412)
    equal("put_secret", "problem code", late["code"], "version_mismatch")

    listed = call(client, "list_secrets", *place, status=200)["data"]
    found = {each["key"]: each["value"] for each in listed}
    equal("list_secrets", "values", found, {**VALUES, "PLAIN": "changed"})

    call(client, "delete_secret", *place, "PLAIN", status=(200, 204))
    missing = call(client, "get_secret", *place, "PLAIN", status=404)
    equal("get_secret", "problem code", missing["code"], "not_found")


def walk_tokens(client, url):
    token = call(client, "create_token", body={"name": "walk", "expires_days": 1}, status=201)
    check("create_token", token["token"].startswith("srm_pat_"), "the token has another prefix")
    as_token = AuthenticatedClient(base_url=url, token=token["token"])
    call(as_token, "get_me", status=200)
    listed = call(client, "list_tokens", status=200)
    check("list_tokens", any(each["id"] == token["id"] for each in listed["data"]), "the new token is not listed")
    check("list_tokens", token["token"] not in json.dumps(listed), "the list shows the token")
    call(client, "delete_token", token["id"], status=(200, 204))
    call(as_token, "get_me", status=401)


def walk_webhooks(client, org):
    body = {"url": "https://hooks.example.com/x", "events": ["secret.created"]}
    webhook = call(client, "create_webhook", org, body=body, status=201)
    check("create_webhook", webhook.get("secret", "").startswith("whsec_"), "there is no signing secret")
    listed = call(client, "list_webhooks", org, status=200)
    check("list_webhooks", any(each["id"] == webhook["id"] for each in listed["data"]), "the new webhook is not listed")
    check("list_webhooks", webhook["secret"] not in json.dumps(listed), "the list shows the signing secret")
    call(client, "delete_webhook", org, webhook["id"], status=(200, 204))
    call(client, "get_webhook", org, webhook["id"], status=404)


def walk_journal(client, org):
    until = time.monotonic() + JOURNAL_PATIENCE_SECS
    while not (rows := call(client, "list_audit_logs", org, status=200)["data"]):
        check("list_audit_logs", time.monotonic() < until, "the journal stays empty")
        time.sleep(0.2)
    row = call(client, "get_audit_log", org, rows[0]["id"], status=200)
    equal("get_audit_log", "action", row["action"], rows[0]["action"])
    report = call(client, "verify_audit_log", org, status=200)
    broken = [name for name in ("valid", "intact", "verified", "ok") if report.get(name) is False]
    check("verify_audit_log", not broken, f"the chain is broken: {report}")


def walk():
    url = os.environ.get("STRONGROOM_URL", "").rstrip("/")
    check("environment", url, "STRONGROOM_URL is not set")
    client = AuthenticatedClient(base_url=url, token=register(url))
    place = make_place(client)
    walk_secrets(client, place)
    walk_tokens(client, url)
    walk_webhooks(client, place[0])
    walk_journal(client, place[0])
    call(client, "logout", status=(200, 204))
    call(client, "get_me", status=401)


if __name__ == "__main__":
    try:
        walk()
    except Deviation as deviation:
        sys.exit(f"python walk: {deviation}")
    except Exception as error:
        traceback.print_exc()
        sys.exit(f"python walk: {type(error).__name__}: {error}")
    print("python walk: ok")
