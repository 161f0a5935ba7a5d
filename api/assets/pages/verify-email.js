// The token stands behind `#`, which browsers do not send: it is in no log. It is taken out of the address bar first.
(async () => {
  const status = document.getElementById("status");
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  if (!token) {
    status.textContent = "This link is not complete. Open it from the mail again.";
    return;
  }
  try {
    const answer = await fetch("/v1/auth/email/verify", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    status.textContent = answer.ok
      ? "Your address is confirmed. You can close this page."
      : "This link was used already or is too old. Ask for a new one.";
  } catch {
    status.textContent = "The server cannot be reached. Try again in a moment.";
  }
})();
