//! What can be asked of two environments of a project, and how it is asked over HTTP.

use std::collections::BTreeMap;

use domain::secrets::format::{Format, write};
use harness::{Answer, Client, EnvPath, Project};
use reqwest::Method;
use serde_json::{Value, json};

/// A value, with the comment that is sent along.
pub type Entry = (String, Option<String>);

/// What a change of one secret demands of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Nothing,
    Version(usize),
    Absence,
}

/// One request.
#[derive(Clone, Debug)]
pub enum Operation {
    Secret { env: usize, key: String, what: OfSecret },
    Environment { env: usize, what: OfEnvironment },
    Project(OfProject),
}

#[derive(Clone, Debug)]
pub enum OfSecret {
    Put {
        new: Entry,
        demand: Demand,
    },
    Create {
        new: Entry,
    },
    Patch {
        key: Option<String>,
        value: Option<String>,
        comment: Option<String>,
        demand: Demand,
    },
    Delete {
        demand: Demand,
    },
    Restore,
    RollBack {
        version: usize,
        demand: Demand,
    },
    Destroy {
        version: usize,
    },
    Read {
        version: Option<usize>,
    },
}

#[derive(Clone, Debug)]
pub enum OfEnvironment {
    Set {
        secrets: BTreeMap<String, Entry>,
        is_replace: bool,
        is_dry_run: bool,
    },
    Import {
        format: Format,
        secrets: BTreeMap<String, String>,
        is_replace: bool,
        is_dry_run: bool,
    },
    Delete {
        keys: Vec<String>,
    },
    RollBack {
        to: String,
        is_dry_run: bool,
    },
    Pin {
        name: String,
        revision: Option<usize>,
    },
    Unpin {
        name: String,
    },
}

#[derive(Clone, Debug)]
pub enum OfProject {
    /// Only makes the plan; its digest is kept.
    Plan(Route),
    /// Without a plan.
    Promote(Route),
    /// As the last plan says, by its digest.
    CarryOut(Route),
    RotateKey,
}

/// What is to be promoted.
#[derive(Clone, Debug)]
pub struct Route {
    /// Index of the source; the other environment is the target.
    pub from: usize,
    pub keys: Option<Vec<String>>,
    pub is_replace: bool,
}

/// The project that is asked, and its two environments.
pub struct Place {
    pub project: Project,
    pub slugs: [&'static str; 2],
}

impl Place {
    pub fn env(&self, index: usize) -> EnvPath {
        self.project.env(self.slugs[index])
    }
}

enum Body {
    None,
    Json(Value),
    Text(String),
}

struct Request {
    method: Method,
    path: String,
    header: Option<(&'static str, String)>,
    body: Body,
}

impl Request {
    fn new(method: Method, path: String, body: Body) -> Self {
        Self {
            method,
            path,
            header: None,
            body,
        }
    }

    /// Says what it demands: of a version in the body, unless there is none.
    fn demanding(mut self, demand: Demand) -> Self {
        match (demand, &mut self.body) {
            (Demand::Nothing, _) => {}
            (Demand::Absence, _) => self.header = Some(("If-None-Match", "*".to_owned())),
            (Demand::Version(version), Body::Json(body)) => body["expected_version"] = version.into(),
            (Demand::Version(version), Body::None | Body::Text(_)) => {
                self.header = Some(("If-Match", format!("\"{version}\"")));
            }
        }
        self
    }
}

/// An object without the members that are null: they are not sent.
fn given(body: Value) -> Body {
    Body::Json(match body {
        Value::Object(members) => members.into_iter().filter(|(_, member)| !member.is_null()).collect(),
        other => other,
    })
}

const fn mode(is_replace: bool) -> &'static str {
    if is_replace { "replace" } else { "merge" }
}

impl Operation {
    /// Asks. `digest` is that of the last plan.
    pub async fn send(&self, place: &Place, client: &Client, digest: &str) -> Answer {
        let Request {
            method,
            path,
            header,
            body,
        } = match self {
            Self::Secret { env, key, what } => what.request(&place.env(*env), key),
            Self::Environment { env, what } => what.request(&place.env(*env).0),
            Self::Project(what) => what.request(place, digest),
        };
        let client = match header {
            Some((name, value)) => client.with(name, &value),
            None => client.clone(),
        };
        match body {
            Body::None => client.send(method, &path, None).await,
            Body::Json(json) => client.send(method, &path, Some(json)).await,
            Body::Text(text) => client.send_bytes(method, &path, "text/plain", text.into_bytes()).await,
        }
    }
}

impl OfSecret {
    fn request(&self, env: &EnvPath, key: &str) -> Request {
        let path = env.secret(key);
        match self {
            Self::Put {
                new: (value, comment),
                demand,
            } => {
                let body = given(json!({ "value": value, "comment": comment }));
                Request::new(Method::PUT, path, body).demanding(*demand)
            }
            Self::Create { new: (value, comment) } => {
                let body = given(json!({ "key": key, "value": value, "comment": comment }));
                Request::new(Method::POST, env.secrets(), body)
            }
            Self::Patch {
                key: new_key,
                value,
                comment,
                demand,
            } => {
                let body = given(json!({ "key": new_key, "value": value, "comment": comment }));
                Request::new(Method::PATCH, path, body).demanding(*demand)
            }
            Self::Delete { demand } => Request::new(Method::DELETE, path, Body::None).demanding(*demand),
            Self::Restore => Request::new(Method::POST, format!("{path}/restore"), Body::None),
            Self::RollBack { version, demand } => {
                let body = given(json!({ "version": version }));
                Request::new(Method::POST, format!("{path}/rollback"), body).demanding(*demand)
            }
            Self::Destroy { version } => Request::new(Method::DELETE, format!("{path}/versions/{version}"), Body::None),
            Self::Read { version: None } => Request::new(Method::GET, path, Body::None),
            Self::Read { version: Some(version) } => {
                Request::new(Method::GET, format!("{path}?version={version}"), Body::None)
            }
        }
    }
}

impl OfEnvironment {
    /// `env` is the path of the environment.
    fn request(&self, env: &str) -> Request {
        let post = |rest: &str, body: Value| Request::new(Method::POST, format!("{env}/{rest}"), given(body));
        match self {
            Self::Set {
                secrets,
                is_replace,
                is_dry_run,
            } => {
                let entry = |(value, comment): &Entry| match comment {
                    None => json!(value),
                    Some(comment) => json!({ "value": value, "comment": comment }),
                };
                let secrets: Value = secrets.iter().map(|(key, new)| (key.clone(), entry(new))).collect();
                let body = json!({ "secrets": secrets, "mode": mode(*is_replace), "dry_run": is_dry_run });
                post("bulk", body)
            }
            Self::Import {
                format,
                secrets,
                is_replace,
                is_dry_run,
            } => {
                let entries = secrets.iter().map(|(key, value)| (key.as_str(), value.as_str()));
                let text = write(*format, entries, "model").expect("the format holds the values");
                let (format, mode) = (format.as_str(), mode(*is_replace));
                let path = format!("{env}/import?format={format}&mode={mode}&dry_run={is_dry_run}");
                Request::new(Method::POST, path, Body::Text(text))
            }
            Self::Delete { keys } => post("bulk-delete", json!({ "keys": keys })),
            Self::RollBack { to, is_dry_run } => post("rollback", json!({ "revision": to, "dry_run": is_dry_run })),
            Self::Pin { name, revision } => {
                let body = given(json!({ "revision": revision }));
                Request::new(Method::PUT, format!("{env}/pins/{name}"), body)
            }
            Self::Unpin { name } => Request::new(Method::DELETE, format!("{env}/pins/{name}"), Body::None),
        }
    }
}

impl OfProject {
    fn request(&self, place: &Place, digest: &str) -> Request {
        let project = &place.project.path;
        let promote = |body| Request::new(Method::POST, format!("{project}/promote"), given(body));
        match self {
            Self::Plan(route) => promote(route.body(place, true, None)),
            Self::Promote(route) => promote(route.body(place, false, None)),
            Self::CarryOut(route) => promote(route.body(place, false, Some(digest))),
            Self::RotateKey => Request::new(Method::POST, format!("{project}/rotate-key"), Body::None),
        }
    }
}

impl Route {
    fn body(&self, place: &Place, is_dry_run: bool, digest: Option<&str>) -> Value {
        let Self { from, keys, is_replace } = self;
        json!({
            "from": place.slugs[*from],
            "to": place.slugs[1 - from],
            "keys": keys,
            "mode": mode(*is_replace),
            "dry_run": is_dry_run,
            "digest": digest,
        })
    }
}
