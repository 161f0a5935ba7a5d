#!/usr/bin/env bash
# Writes the request schemas anew from the parameter types of Stripe's own Node SDK.
# Needs npm; run it when async-stripe, and with it Stripe's API version, moves.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# Its API version is that of async-stripe 1.0.0-rc.10: 2026-09-30.endive.
sdk=23.0.1
target=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent "stripe@$sdk" typescript@5.9 ts-json-schema-generator@2.4.0
echo '{"compilerOptions":{"module":"nodenext","moduleResolution":"nodenext","target":"es2022","strict":true,"skipLibCheck":true,"types":[]},"files":["types.ts"]}' >tsconfig.json
cat >names <<'NAMES'
customer_create CustomerCreateParams
customer_update CustomerUpdateParams
customer_list CustomerListParams
checkout_session_create Checkout.SessionCreateParams
checkout_session_list Checkout.SessionListParams
portal_session_create BillingPortal.SessionCreateParams
subscription_update SubscriptionUpdateParams
subscription_cancel SubscriptionCancelParams
subscription_list SubscriptionListParams
subscription_item_update SubscriptionItemUpdateParams
price_list PriceListParams
event_list EventListParams
invoice_list InvoiceListParams
retrieve SubscriptionRetrieveParams
NAMES
{
  echo 'import Stripe from "stripe";'
  while read -r name type; do echo "export type $name = Stripe.$type;"; done <names
} >types.ts
while read -r name _; do
  npx ts-json-schema-generator --path types.ts --tsconfig tsconfig.json --type "$name" --no-type-check >"$name.json"
done <names
# The SDK leaves its enumerations open and says so by a type; a decimal is an object there and text on the wire;
# descriptions are of no use here.
cat >strip.mjs <<'STRIP'
import { readFileSync, writeFileSync } from "node:fs";
const open = (part) => part?.$ref?.endsWith("/OtherString");
const strip = (value, within) => {
  if (Array.isArray(value)) return value.map((part) => strip(part));
  if (value === null || typeof value !== "object") return value;
  const kept = {};
  for (const [key, part] of Object.entries(value)) {
    if (key === "description" && typeof part === "string" && within !== "properties") continue;
    if (within === "definitions" && key === "OtherString") continue;
    if (within === "definitions" && key === "Decimal") {
      kept[key] = { type: "string" };
      continue;
    }
    kept[key] = key === "anyOf" ? part.filter((one) => !open(one)).map((one) => strip(one)) : strip(part, key);
  }
  return kept;
};
const [from, to] = process.argv.slice(2);
writeFileSync(to, JSON.stringify(strip(JSON.parse(readFileSync(from, "utf8")))) + "\n");
STRIP
while read -r name _; do node strip.mjs "$name.json" "$target/$name.json"; done <names
cp node_modules/stripe/LICENSE "$target/LICENSE.stripe-node"
