// Walks through the product with a client whose types were generated from the published document.
// Any answer that differs from what the API promises ends the walk with exit code 1 and one clear line.
import { randomBytes } from "node:crypto";
import createClient from "openapi-fetch";
import type { paths } from "./generated/strongroom.js";

/** Values that break careless quoting, encoding or trimming. */
const VALUES: Record<string, string> = {
  PLAIN: "postgres://acme@db.example.com/app?a=1&b=2",
  QUOTES: "it's \"quoted\", `ticked`, back\\slashed, $HOME %s {{x}}",
  LINES: "first\nsecond\r\n\tthird\n",
  SPACES: "  both ends  ",
  UNICODE: "Grüße, 東京 🗝️ e\u0301 \u2028 \u00a0",
  JSON_TEXT: '{"a":[1,null,"\\u0000 as text"]}',
};

/** Longest wait for the journal to show what was done, milliseconds. */
const JOURNAL_PATIENCE_MS = 10_000;

class Deviation extends Error {}

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

function check(step: string, holds: boolean, what: string): asserts holds {
  if (!holds) throw new Deviation(`${step}: ${what}`);
}

function equal(step: string, name: string, actual: unknown, expected: unknown): void {
  check(step, actual === expected, `${name} is ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`);
}

function hasStatus(step: string, answer: Answer<unknown>, ...statuses: number[]): void {
  const { status } = answer.response;
  const said = answer.error === undefined ? "" : `: ${JSON.stringify(answer.error)}`;
  check(step, statuses.includes(status), `answered ${status}, expected ${statuses.join(" or ")}${said}`);
}

/** The body of a success. */
function body<T>(step: string, answer: Answer<T>, ...statuses: number[]): NonNullable<T> {
  hasStatus(step, answer, ...statuses);
  check(step, answer.data !== undefined && answer.data !== null, "there is no body");
  return answer.data;
}

function variable(name: string): string {
  const value = process.env[name];
  check("environment", value !== undefined && value !== "", `${name} is not set`);
  return value;
}

const url = variable("STRONGROOM_URL").replace(/\/$/, "");
const mark = randomBytes(6).toString("hex");

async function register(): Promise<string> {
  const client = createClient<paths>({ baseUrl: url });
  const email = `dana+${mark}@example.com`;
  const answer = await client.POST("/v1/auth/register", {
    body: { email, password: `violet-anchor-${mark}-Mosaic`, first_name: "Dana", last_name: "Reed", transport: "bearer" },
  });
  const session = body("register_account", answer, 201);
  check("register_account", "access_token" in session && typeof session.access_token === "string", "no access_token");
  check("register_account", "user" in session && session.user?.email === email, "the user is not the one registered");
  return session.access_token;
}

type Client = ReturnType<typeof createClient<paths>>;

interface Place {
  org: string;
  project: string;
  env: string;
}

async function makePlace(client: Client): Promise<Place> {
  const org = body("create_org", await client.POST("/v1/orgs", { body: { name: `Acme ${mark}` } }), 201);
  equal("create_org", "name", org.name, `Acme ${mark}`);
  const read = body("get_org", await client.GET("/v1/orgs/{org}", { params: { path: { org: org.slug } } }), 200);
  equal("get_org", "id by slug", read.id, org.id);
  const orgs = body("list_orgs", await client.GET("/v1/orgs"), 200);
  check("list_orgs", orgs.data.some((each) => each.id === org.id), "the new organisation is not listed");

  const path = { org: org.id };
  const made = await client.POST("/v1/orgs/{org}/projects", { params: { path }, body: { name: "Billing" } });
  const project = body("create_project", made, 201);
  const slugs = project.environments.map((each) => each.slug).sort().join();
  equal("create_project", "environments", slugs, "development,production,staging");
  return { org: org.id, project: project.id, env: "development" };
}

async function secrets(client: Client, place: Place): Promise<void> {
  const list = "/v1/orgs/{org}/projects/{project}/environments/{env}/secrets";
  const one = "/v1/orgs/{org}/projects/{project}/environments/{env}/secrets/{key}";
  for (const [key, value] of Object.entries(VALUES)) {
    const params = { path: { ...place, key } };
    const put = body("put_secret", await client.PUT(one, { params, body: { value, comment: "walk" } }), 201);
    equal("put_secret", `version of ${key}`, put.version, 1);
    check("put_secret", !("value" in put), "the value is echoed");
    const got = body("get_secret", await client.GET(one, { params }), 200);
    equal("get_secret", `value of ${key}`, got.value, value);
  }

  const params = { path: { ...place, key: "PLAIN" } };
  const changed = body("put_secret", await client.PUT(one, { params, body: { value: "changed", expected_version: 1 } }), 200);
  equal("put_secret", "version after a change", changed.version, 2);
  const late = await client.PUT(one, { params, body: { value: "late", expected_version: 1 } });
  hasStatus("put_secret", late, 412);
  equal("put_secret", "problem code", late.error?.code, "version_mismatch");

  const all = body("list_secrets", await client.GET(list, { params: { path: place } }), 200);
  const found = new Map(all.data.map((each) => [each.key, each.value]));
  equal("list_secrets", "count", found.size, Object.keys(VALUES).length);
  for (const [key, value] of Object.entries({ ...VALUES, PLAIN: "changed" })) {
    equal("list_secrets", `value of ${key}`, found.get(key), value);
  }

  const gone = await client.DELETE(one, { params });
  hasStatus("delete_secret", gone, 200, 204);
  const missing = await client.GET(one, { params });
  hasStatus("get_secret", missing, 404);
  equal("get_secret", "problem code", missing.error?.code, "not_found");
}

async function tokens(client: Client): Promise<void> {
  const made = await client.POST("/v1/auth/tokens", { body: { name: "walk", expires_days: 1 } });
  const token = body("create_token", made, 201);
  check("create_token", token.token.startsWith("srm_pat_"), "the token has another prefix");
  const asToken = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token.token}` } });
  body("get_me", await asToken.GET("/v1/auth/me"), 200);
  const listed = body("list_tokens", await client.GET("/v1/auth/tokens"), 200);
  check("list_tokens", listed.data.some((each) => each.id === token.id), "the new token is not listed");
  check("list_tokens", !JSON.stringify(listed).includes(token.token), "the list shows the token");
  const deleted = await client.DELETE("/v1/auth/tokens/{id}", { params: { path: { id: token.id } } });
  hasStatus("delete_token", deleted, 200, 204);
  hasStatus("get_me", await asToken.GET("/v1/auth/me"), 401);
}

async function webhooks(client: Client, org: string): Promise<void> {
  const path = { org };
  const made = await client.POST("/v1/orgs/{org}/webhooks", {
    params: { path },
    body: { url: "https://hooks.example.com/x", events: ["secret.created"] },
  });
  const webhook = body("create_webhook", made, 201);
  check("create_webhook", webhook.secret?.startsWith("whsec_") === true, "there is no signing secret");
  const listed = body("list_webhooks", await client.GET("/v1/orgs/{org}/webhooks", { params: { path } }), 200);
  check("list_webhooks", listed.data.some((each) => each.id === webhook.id), "the new webhook is not listed");
  check("list_webhooks", !JSON.stringify(listed).includes(webhook.secret), "the list shows the signing secret");
  const one = { params: { path: { org, webhook: webhook.id } } };
  hasStatus("delete_webhook", await client.DELETE("/v1/orgs/{org}/webhooks/{webhook}", one), 200, 204);
  hasStatus("get_webhook", await client.GET("/v1/orgs/{org}/webhooks/{webhook}", one), 404);
}

async function journal(client: Client, org: string): Promise<void> {
  const until = Date.now() + JOURNAL_PATIENCE_MS;
  for (;;) {
    const answer = await client.GET("/v1/orgs/{org}/audit-logs", { params: { path: { org } } });
    const first = body("list_audit_logs", answer, 200).data[0];
    if (first !== undefined) {
      const one = { params: { path: { org, event: first.id } } };
      const row = body("get_audit_log", await client.GET("/v1/orgs/{org}/audit-logs/{event}", one), 200);
      equal("get_audit_log", "action", row.action, first.action);
      break;
    }
    check("list_audit_logs", Date.now() < until, "the journal stays empty");
    await new Promise((resume) => setTimeout(resume, 200));
  }
  const verified = await client.GET("/v1/orgs/{org}/audit-logs/verify", { params: { path: { org } } });
  const report: Record<string, unknown> = { ...body("verify_audit_log", verified, 200) };
  const broken = ["valid", "intact", "verified", "ok"].filter((name) => report[name] === false);
  check("verify_audit_log", broken.length === 0, `the chain is broken: ${JSON.stringify(report)}`);
}

async function walk(): Promise<void> {
  const bearer = await register();
  const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${bearer}` } });
  const place = await makePlace(client);
  await secrets(client, place);
  await tokens(client);
  await webhooks(client, place.org);
  await journal(client, place.org);
  hasStatus("logout", await client.POST("/v1/auth/logout"), 200, 204);
  hasStatus("get_me", await client.GET("/v1/auth/me"), 401);
}

try {
  await walk();
  console.log("typescript walk: ok");
} catch (error) {
  // An unexpected failure shows where and why; the last line says it shortly.
  if (!(error instanceof Deviation)) console.error(error);
  console.error(`typescript walk: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
