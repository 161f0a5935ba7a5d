"""A client library and a library that checks tokens, against a running server."""

import html
import os
import re
import sys
import time

import jwt
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

E = os.environ
ISSUER, COOKIE, REDIRECT, SUBJECT = E["ISSUER"], E["COOKIE"], E["REDIRECT"], E["SUBJECT"]
META = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=30).json()
assert META["issuer"] == ISSUER


def tell(line):
    print(line, flush=True)
    sys.stdin.readline()


def agree(url):
    """The person: opens the page, and presses the button."""
    page = requests.get(url, headers={"cookie": COOKIE}, allow_redirects=False, timeout=30)
    if page.status_code == 303:
        return page.headers["location"]
    assert page.status_code == 200, page.text
    fields = {"decision": "approve"}
    for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text):
        fields[name] = html.unescape(value)
    target = META["authorization_endpoint"]
    answer = requests.post(target, data=fields, headers={"cookie": COOKIE}, allow_redirects=False, timeout=30)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def check(token, audience, typ, algs):
    """With the keys as they are published now."""
    key = jwt.PyJWKClient(META["jwks_uri"], cache_keys=False).get_signing_key_from_jwt(token)
    assert jwt.get_unverified_header(token)["typ"] == typ
    return jwt.decode(token, key.key, algorithms=algs, audience=audience, issuer=ISSUER)


def refused(call):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whichever way the library says it
        return error
    raise AssertionError("it was not refused")


def sign_in(client_id, secret, alg, method):
    session = OAuth2Session(
        client_id, secret, scope="openid email offline_access", redirect_uri=REDIRECT,
        token_endpoint_auth_method=method, code_challenge_method="S256",
    )
    verifier, nonce = generate_token(48), generate_token(24)
    url, state = session.create_authorization_url(META["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    back = agree(url)
    trade = lambda: session.fetch_token(  # noqa: E731
        META["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier
    )
    token = dict(trade())
    claims = check(token["id_token"], client_id, "JWT", [alg])
    assert (claims["sub"], claims["nonce"]) == (SUBJECT, nonce)
    assert check(token["access_token"], ISSUER, "at+jwt", [alg])["client_id"] == client_id
    assert session.get(META["userinfo_endpoint"]).json()["email"] == "dana@example.com"
    return session, token, trade


portal, first, _ = sign_in(E["PORTAL_ID"], E["PORTAL_SECRET"], "RS256", "client_secret_basic")
small, second, again = sign_in(E["SMALL_ID"], E["SMALL_SECRET"], "ES256", "client_secret_post")

tell("rotate")
check(first["access_token"], ISSUER, "at+jwt", ["RS256"])
check(second["id_token"], E["SMALL_ID"], "JWT", ["ES256"])
renewed = dict(portal.refresh_token(META["token_endpoint"], refresh_token=first["refresh_token"]))
check(renewed["access_token"], ISSUER, "at+jwt", ["RS256"])
old, new = (jwt.get_unverified_header(token["access_token"])["kid"] for token in (first, renewed))
assert old != new

# An ID token is no access token, wherever it is shown.
refused(lambda: check(renewed["id_token"], ISSUER, "at+jwt", ["RS256"]))
shown = requests.get(META["userinfo_endpoint"], headers={"authorization": f"Bearer {renewed['id_token']}"}, timeout=30)
assert shown.status_code == 401, shown.text

told = portal.introspect_token(META["introspection_endpoint"], token=renewed["access_token"])
assert told.json()["active"] is True, told.text
gone = portal.revoke_token(META["revocation_endpoint"], token=renewed["refresh_token"], token_type_hint="refresh_token")
assert gone.status_code == 200, gone.text
told = portal.introspect_token(META["introspection_endpoint"], token=renewed["access_token"])
assert told.json()["active"] is False, told.text
refused(lambda: portal.refresh_token(META["token_endpoint"], refresh_token=renewed["refresh_token"]))

# A code that comes twice ends what came of it.
refused(again)
shown = requests.get(META["userinfo_endpoint"], headers={"authorization": f"Bearer {second['access_token']}"}, timeout=30)
assert shown.status_code == 401, shown.text

tv = {"client_id": E["TV_ID"]}
device = requests.post(META["device_authorization_endpoint"], data={**tv, "scope": "openid email"}, timeout=30).json()
trade = {**tv, "grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": device["device_code"]}
waiting = requests.post(META["token_endpoint"], data=trade, timeout=30)
assert waiting.json()["error"] == "authorization_pending", waiting.text
tell(f"approve {device['user_code']}")
time.sleep(device["interval"])
given = requests.post(META["token_endpoint"], data=trade, timeout=30)
assert given.status_code == 200, given.text
check(given.json()["access_token"], ISSUER, "at+jwt", ["RS256"])

print("walk: ok", flush=True)
