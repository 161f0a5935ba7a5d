// The token stands behind `#`, which browsers do not send: it is in no log. It is taken out of the address bar first.
(() => {
  const status = document.getElementById("status");
  const form = document.getElementById("form");
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  if (!token) {
    form.hidden = true;
    status.textContent = "This link is not complete. Open it from the mail again.";
    return;
  }
  const save = async () => {
    const password = document.getElementById("password").value;
    try {
      const answer = await fetch("/v1/auth/password/reset", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ token, password }),
      });
      if (answer.ok) {
        form.hidden = true;
        status.textContent = "Your password is changed, and you are signed out everywhere. Sign in with the new one.";
        return;
      }
      const problem = await answer.json();
      const wrong = (problem.errors || [])[0];
      status.textContent = wrong && wrong.field === "password"
        ? `The password ${wrong.message}.`
        : "This link was used already or is too old. Ask for a new one.";
    } catch {
      status.textContent = "The server cannot be reached. Try again in a moment.";
    }
  };
  // The policy of this page forbids forms to be sent anywhere; only the script sends.
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
})();
