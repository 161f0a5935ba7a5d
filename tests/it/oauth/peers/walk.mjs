// A relying party that is certified, and a library that checks tokens, against a running server.
import assert from "node:assert/strict";
import readline from "node:readline";
import * as client from "openid-client";
import * as jose from "jose";

const { ISSUER, COOKIE, REDIRECT, SUBJECT, PORTAL_ID, PORTAL_SECRET, SMALL_ID, SMALL_SECRET, TV_ID } = process.env;
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const tell = async (line) => { console.log(line); await lines.next(); };

// The person: opens the page, and presses the button.
const agree = async (url) => {
  const page = await fetch(url, { redirect: "manual", headers: { cookie: COOKIE } });
  if (page.status === 303) return new URL(page.headers.get("location"));
  const html = await page.text();
  assert.equal(page.status, 200, html);
  const body = new URLSearchParams({ decision: "approve" });
  const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&");
  for (const [, name, value] of html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)) body.set(name, plain(value));
  const answer = await fetch(`${ISSUER}/oauth/authorize`, { method: "POST", redirect: "manual", headers: { cookie: COOKIE }, body });
  assert.equal(answer.status, 303, await answer.text());
  return new URL(answer.headers.get("location"));
};

const jwks = jose.createRemoteJWKSet(new URL(`${ISSUER}/.well-known/jwks.json`), { cooldownDuration: 0 });
const check = (token, audience, typ, algorithms) => jose.jwtVerify(token, jwks, { issuer: ISSUER, audience, typ, algorithms });

const signIn = async (id, secret, alg, authentication) => {
  const metadata = { client_secret: secret, id_token_signed_response_alg: alg };
  const config = await client.discovery(new URL(ISSUER), id, metadata, authentication(secret), { execute: [client.allowInsecureRequests] });
  const verifier = client.randomPKCECodeVerifier();
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() };
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT, scope: "openid email offline_access", state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  });
  const back = await agree(url);
  const tokens = await client.authorizationCodeGrant(config, back, checks);
  assert.equal(tokens.claims().sub, SUBJECT);
  const told = await client.fetchUserInfo(config, tokens.access_token, SUBJECT);
  assert.equal(told.email, "dana@example.com");
  const access = await check(tokens.access_token, ISSUER, "at+jwt", [alg]);
  assert.equal(access.payload.client_id, id);
  await check(tokens.id_token, id, "JWT", [alg]);
  return { config, checks, back, tokens };
};

const portal = await signIn(PORTAL_ID, PORTAL_SECRET, "RS256", client.ClientSecretBasic);
const small = await signIn(SMALL_ID, SMALL_SECRET, "ES256", client.ClientSecretPost);

// Across a change of keys: what was signed stays good, and the new key is found.
await tell("rotate");
await check(portal.tokens.access_token, ISSUER, "at+jwt", ["RS256"]);
await check(small.tokens.id_token, SMALL_ID, "JWT", ["ES256"]);
const renewed = await client.refreshTokenGrant(portal.config, portal.tokens.refresh_token);
const { protectedHeader } = await check(renewed.access_token, ISSUER, "at+jwt", ["RS256"]);
assert.notEqual(protectedHeader.kid, jose.decodeProtectedHeader(portal.tokens.access_token).kid);
await client.fetchUserInfo(portal.config, renewed.access_token, SUBJECT);

// An ID token is no access token.
await assert.rejects(client.fetchUserInfo(portal.config, renewed.id_token, SUBJECT));
assert.equal((await client.tokenIntrospection(portal.config, renewed.access_token)).active, true);
await client.tokenRevocation(portal.config, renewed.refresh_token);
assert.equal((await client.tokenIntrospection(portal.config, renewed.access_token)).active, false);
await assert.rejects(client.refreshTokenGrant(portal.config, renewed.refresh_token), { error: "invalid_grant" });

// A code that comes twice ends what came of it.
await assert.rejects(client.authorizationCodeGrant(small.config, small.back, small.checks), { error: "invalid_grant" });
await assert.rejects(client.fetchUserInfo(small.config, small.tokens.access_token, SUBJECT));

const tv = await client.discovery(new URL(ISSUER), TV_ID, undefined, client.None(), { execute: [client.allowInsecureRequests] });
const device = await client.initiateDeviceAuthorization(tv, { scope: "openid email offline_access" });
assert.equal(device.verification_uri, `${ISSUER}/device`);
await tell(`approve ${device.user_code}`);
const given = await client.pollDeviceAuthorizationGrant(tv, device);
assert.equal((await client.fetchUserInfo(tv, given.access_token, SUBJECT)).email, "dana@example.com");
await client.refreshTokenGrant(tv, given.refresh_token);

console.log("walk: ok");
process.exit(0);
