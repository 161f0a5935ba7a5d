"use strict";

// Cookie sessions need this header on every change; see the API conventions.
function markAsOurs(request) {
  if (new URL(request.url, location.href).origin === location.origin) {
    request.headers["X-Requested-With"] = "strongroom";
  }
  return request;
}

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayOperationId: true,
  docExpansion: "none",
  filter: true,
  // Credentials stay in memory, and nothing is sent to an outside validator.
  persistAuthorization: false,
  validatorUrl: null,
  requestInterceptor: markAsOurs,
});
