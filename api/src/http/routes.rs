//! What the router knows and does not tell: which methods a path has, and its name in the document.

use std::collections::HashMap;

use poem::http::Method;
use poem_openapi::OpenApi;

/// What a path without an entry allows: such routes are documents.
const DOCUMENT_METHODS: &str = "GET, HEAD";

/// The paths of the API with their methods.
#[derive(Clone, Debug, Default)]
pub struct RouteTable(HashMap<String, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    template: String,
    methods: Vec<Method>,
}

impl RouteTable {
    /// The paths of every operation of `T`.
    pub fn of<T: OpenApi>() -> Self {
        let paths = T::meta().into_iter().flat_map(|api| api.paths);
        paths.fold(Self::default(), |table, path| {
            let methods: Vec<_> = path.operations.into_iter().map(|operation| operation.method).collect();
            table.with(&path.path, &methods)
        })
    }

    /// Adds a path, or methods of a path that is there.
    #[must_use]
    pub fn with(mut self, template: &str, methods: &[Method]) -> Self {
        let entry = self.0.entry(shape(template)).or_insert_with(|| Entry {
            template: template.to_owned(),
            methods: Vec::new(),
        });
        for method in methods {
            if !entry.methods.contains(method) {
                entry.methods.push(method.clone());
            }
        }
        self
    }

    /// The path as documented, `/v1/invites/{token}`, for the pattern that the router matched.
    pub fn template(&self, pattern: &str) -> Option<&str> {
        self.0.get(&shape(pattern)).map(|entry| entry.template.as_str())
    }

    /// The value of `Allow` for the pattern that the router matched.
    pub fn allow(&self, pattern: &str) -> String {
        let Some(entry) = self.0.get(&shape(pattern)) else {
            return DOCUMENT_METHODS.to_owned();
        };
        let mut methods: Vec<_> = entry.methods.iter().map(Method::as_str).collect();
        // The router answers HEAD wherever it answers GET.
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }
}

/// The path with every parameter as `{}`: the router has its own names for them.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with([':', '{', '*']) {
            "{}"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_match_by_place_not_by_name() {
        let table = RouteTable::default()
            .with("/v1/invites/{token}", &[Method::GET])
            .with("/v1/invites/{id}", &[Method::DELETE, Method::GET]);
        assert_eq!(table.template("/v1/invites/:param0"), Some("/v1/invites/{token}"));
        assert_eq!(table.allow("/v1/invites/:param0"), "DELETE, GET, HEAD");
        assert_eq!(table.allow("/docs"), "GET, HEAD");
    }
}
