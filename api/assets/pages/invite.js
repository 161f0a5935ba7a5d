// The token stands behind `#`, which browsers do not send: it is in no log. It is taken out of the address bar first.
(async () => {
  const at = (id) => document.getElementById(id);
  const say = (text) => { at("status").textContent = text; };
  const forms = ["accept", "newcomer", "sign-in", "second-factor"];
  const show = (wanted) => forms.forEach((id) => { at(id).hidden = id !== wanted; });
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  if (!token || !/^[A-Za-z0-9_]+$/.test(token)) {
    say("This link is not complete. Open it again.");
    return;
  }
  const invitation = `/v1/invites/${token}`;
  // Our own header and a same-origin request are what lets the cookie of a session count.
  const post = (path, body) => fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Requested-With": "strongroom" },
    body: JSON.stringify(body),
  });
  let account_exists = true;
  let challenge = null;
  const accept = async (body) => {
    const answer = await post(`${invitation}/accept`, body);
    if (answer.ok) {
      show(null);
      say("You are in. You can close this page.");
      return;
    }
    const problem = await answer.json();
    const wrong = (problem.errors || [])[0];
    if (answer.status === 401) {
      show("sign-in");
      say(account_exists ? "Sign in to accept." : problem.detail);
    } else {
      say(wrong ? `The ${wrong.field.replace("_", " ")} ${wrong.message}.` : problem.detail);
    }
  };
  const sign_in = async (path, body) => {
    const answer = await post(path, body);
    const said = await answer.json();
    if (!answer.ok) {
      say(said.detail);
      return;
    }
    if (said.mfa_required) {
      challenge = said.challenge_token;
      show("second-factor");
      say("");
      return;
    }
    await accept({});
  };
  // The policy of this page forbids forms to be sent anywhere; only the script sends.
  const on = (id, act) => at(id).addEventListener("submit", (event) => {
    event.preventDefault();
    act().catch(() => say("The server cannot be reached. Try again in a moment."));
  });
  on("accept", () => accept({}));
  on("newcomer", () => accept({
    password: at("new-password").value,
    first_name: at("first-name").value,
    last_name: at("last-name").value,
  }));
  on("sign-in", () => sign_in("/v1/auth/login", { email: at("email").value, password: at("password").value }));
  on("second-factor", () => sign_in("/v1/auth/2fa/verify", { challenge_token: challenge, code: at("code").value }));
  try {
    const answer = await fetch(invitation);
    if (!answer.ok) {
      say("There is no such invitation, or it was sent again: then the newest mail has the link that works.");
      return;
    }
    const shown = await answer.json();
    const place = shown.project ? `${shown.project.name} of ${shown.org.name}` : shown.org.name;
    const by = shown.invited_by ? `${shown.invited_by.email} invites you` : "You are invited";
    at("what").textContent = `${by} to ${place}, as ${shown.role}.`;
    if (shown.status !== "pending") {
      say(`It is ${shown.status}. Ask for another invitation.`);
      return;
    }
    account_exists = shown.account_exists !== false;
    say("");
    show(account_exists ? "accept" : "newcomer");
  } catch {
    say("The server cannot be reached. Try again in a moment.");
  }
})();
