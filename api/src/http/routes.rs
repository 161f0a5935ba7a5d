//! What the router knows and does not tell: which methods a path has, its name in the document, and which operation a
//! request is for, before anything of it is read.

use std::collections::HashMap;

use poem::http::Method;
use poem_openapi::OpenApi;

/// What a path without an entry allows: such routes are documents.
const DOCUMENT_METHODS: &str = "GET, HEAD";

/// Any segment, in the shape of a path.
const PARAMETER: &str = "{}";

/// The paths of the API with their methods.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    entries: HashMap<String, Entry>,
    tree: Node,
}

#[derive(Clone, Debug)]
struct Entry {
    template: String,
    methods: Vec<Served>,
}

/// A method of a path.
#[derive(Clone, Debug)]
struct Served {
    method: Method,
    /// The operation's id, if it has one.
    operation: Option<&'static str>,
}

/// The segments that may follow some others.
#[derive(Clone, Debug, Default)]
struct Node {
    named: HashMap<String, Node>,
    parameter: Option<Box<Node>>,
    /// The shape of the path that ends here.
    end: Option<String>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// The path as documented.
    pub template: &'a str,
    /// `None`: the path does not have the method, or no operation is behind it.
    pub operation: Option<&'static str>,
}

impl RouteTable {
    /// The paths of every operation of `T`.
    pub fn of<T: OpenApi>() -> Self {
        let paths = T::meta().into_iter().flat_map(|api| api.paths);
        paths.fold(Self::default(), |table, path| {
            path.operations.into_iter().fold(table, |table, operation| {
                table.serving(&path.path, &operation.method, operation.operation_id)
            })
        })
    }

    /// Adds a path, or methods of a path that is there.
    #[must_use]
    pub fn with(self, template: &str, methods: &[Method]) -> Self {
        methods
            .iter()
            .fold(self, |table, method| table.serving(template, method, None))
    }

    fn serving(mut self, template: &str, method: &Method, operation: Option<&'static str>) -> Self {
        let shape = shape(template);
        let mut node = &mut self.tree;
        for segment in shape.split('/') {
            node = if segment == PARAMETER {
                node.parameter.get_or_insert_default()
            } else {
                node.named.entry(segment.to_owned()).or_default()
            };
        }
        node.end = Some(shape.clone());
        let entry = self.entries.entry(shape).or_insert_with(|| Entry {
            template: template.to_owned(),
            methods: Vec::new(),
        });
        if entry.methods.iter().all(|served| served.method != *method) {
            let method = method.clone();
            entry.methods.push(Served { method, operation });
        }
        self
    }

    /// Where the router will take a request: a segment's own name comes before a parameter. `None` when it has no such
    /// path.
    pub fn destination(&self, method: &Method, path: &str) -> Option<Destination<'_>> {
        let entry = self.entries.get(self.tree.find(path)?)?;
        // The router answers HEAD wherever it answers GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let served = entry.methods.iter().find(|served| served.method == *method);
        Some(Destination {
            template: &entry.template,
            operation: served.and_then(|served| served.operation),
        })
    }

    /// The path as documented, `/v1/invites/{token}`, for the pattern that the router matched.
    pub fn template(&self, pattern: &str) -> Option<&str> {
        self.entries.get(&shape(pattern)).map(|entry| entry.template.as_str())
    }

    /// The value of `Allow` for the pattern that the router matched.
    pub fn allow(&self, pattern: &str) -> String {
        let Some(entry) = self.entries.get(&shape(pattern)) else {
            return DOCUMENT_METHODS.to_owned();
        };
        let mut methods: Vec<_> = entry.methods.iter().map(|served| served.method.as_str()).collect();
        // The router answers HEAD wherever it answers GET.
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.join(", ")
    }
}

impl Node {
    fn find(&self, path: &str) -> Option<&String> {
        let (segment, rest) = path
            .split_once('/')
            .map_or((path, None), |(one, rest)| (one, Some(rest)));
        let named = self.named.get(segment).and_then(|node| node.after(rest));
        named.or_else(|| {
            let parameter = self.parameter.as_deref().filter(|_| !segment.is_empty());
            parameter.and_then(|node| node.after(rest))
        })
    }

    /// What the rest of a path leads to from here.
    fn after(&self, rest: Option<&str>) -> Option<&String> {
        match rest {
            Some(rest) => self.find(rest),
            None => self.end.as_ref(),
        }
    }
}

/// The path with every parameter as `{}`: the router has its own names for them.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.starts_with([':', '{', '*']) {
            PARAMETER
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

    #[test]
    fn a_request_is_for_what_the_router_will_take_it_to() {
        let table = RouteTable::default()
            .serving("/v1/orgs/{org}", &Method::GET, Some("get_org"))
            .serving("/v1/orgs/{org}", &Method::DELETE, Some("delete_org"))
            .serving("/v1/orgs/mine/members", &Method::GET, Some("list_my_members"))
            .serving("/v1/orgs/{org}/roles/{role}", &Method::GET, Some("get_role"))
            .with("/openapi.json", &[Method::GET]);
        let operation = |method: Method, path: &str| table.destination(&method, path).map(|to| to.operation);
        assert_eq!(operation(Method::GET, "/v1/orgs/acme"), Some(Some("get_org")));
        assert_eq!(operation(Method::HEAD, "/v1/orgs/acme"), Some(Some("get_org")));
        assert_eq!(operation(Method::DELETE, "/v1/orgs/mine"), Some(Some("delete_org")));
        assert_eq!(operation(Method::PUT, "/v1/orgs/acme"), Some(None));
        assert_eq!(
            operation(Method::GET, "/v1/orgs/mine/members"),
            Some(Some("list_my_members"))
        );
        assert_eq!(operation(Method::GET, "/v1/orgs/mine/roles/x"), Some(Some("get_role")));
        assert_eq!(operation(Method::GET, "/openapi.json"), Some(None));
        for nothing in [
            "/v1/orgs",
            "/v1/orgs/",
            "/v1/orgs//roles/x",
            "/v1/orgs/acme/",
            "",
            "/",
            "//",
            "v1/orgs/acme",
        ] {
            assert_eq!(table.destination(&Method::GET, nothing), None, "{nothing}");
        }
        let template = table.destination(&Method::GET, "/v1/orgs/hunter2").unwrap().template;
        assert_eq!(template, "/v1/orgs/{org}");
    }
}
