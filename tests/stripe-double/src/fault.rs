//! Errors as Stripe words them.

use serde_json::{Value, json};

/// A refusal.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
}

impl Fault {
    /// A request that makes no sense.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
        }
    }

    pub(crate) fn of(kind: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            ..Self::request(message)
        }
    }

    pub(crate) fn param(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            param: Some(param.into()),
            ..Self::request(message)
        }
    }

    /// What was named does not exist: 404 in the path, 400 in a parameter.
    pub(crate) fn missing(what: &str, id: &str, param: &str) -> Self {
        Self {
            status: if param == "id" { 404 } else { 400 },
            ..Self::param("resource_missing", param, format!("No such {what}: '{id}'"))
        }
    }

    pub(crate) fn body(&self) -> Value {
        let mut error = json!({
            "type": self.kind,
            "message": self.message,
            "request_log_url": "https://dashboard.stripe.com/test/logs/req_double",
        });
        if let Some(code) = self.code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!(
                "https://stripe.com/docs/error-codes/{}",
                code.replace('_', "-")
            ));
        }
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        json!({ "error": error })
    }
}
