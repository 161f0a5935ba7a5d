//! Whether answers are what the published document says they are. It reads the keywords that the document uses and
//! refuses any other, so that a rule is never passed over in silence.
#![expect(clippy::panic, reason = "harness: a failure ends the test")]

use serde_json::{Map, Value};

use crate::client::Answer;

/// Keywords that only describe.
const SILENT: [&str; 13] = [
    "$schema",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "minimum",
    "discriminator",
];

/// What a value has that a schema does not tell of, and the other way round. The schema refers to nothing outside.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    Document(Value::Null).check(schema, value, "", &mut faults);
    faults
}

/// One operation of the document.
#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    /// In capitals: `GET`.
    pub method: String,
    /// As documented: `/v1/orgs/{org}`.
    pub path: String,
    /// The operation object.
    pub value: Value,
}

impl Operation {
    /// The media types of its body; none when it takes no body.
    pub fn media_types(&self) -> Vec<String> {
        let content = self.value.pointer("/requestBody/content").and_then(Value::as_object);
        content
            .map(|content| content.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Its parameters in one place: `query`.
    pub fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.value["parameters"].as_array().cloned().unwrap_or_default();
        let names = all
            .iter()
            .filter(|each| each["in"] == place)
            .map(|each| text(&each["name"]));
        names.collect()
    }

    pub fn is_public(&self) -> bool {
        self.value["security"].as_array().is_some_and(Vec::is_empty)
    }
}

/// The published document, as a judge of answers.
#[derive(Clone, Debug)]
pub struct Document(pub Value);

impl Document {
    /// Every operation, in the document's order.
    pub fn operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, methods) in entries(&self.0["paths"]) {
            for (method, value) in entries(methods) {
                found.push(Operation {
                    id: text(&value["operationId"]),
                    method: method.to_uppercase(),
                    path: path.clone(),
                    value: value.clone(),
                });
            }
        }
        found
    }

    /// # Panics
    /// When the document has no such operation.
    pub fn operation(&self, id: &str) -> Operation {
        let found = self.operations().into_iter().find(|operation| operation.id == id);
        found.unwrap_or_else(|| panic!("the document has no operation {id}"))
    }

    /// The schema of an operation's JSON body, with its name followed.
    pub fn body_schema(&self, operation: &Operation) -> Option<&Value> {
        let schema = operation
            .value
            .pointer("/requestBody/content/application~1json/schema")?;
        let name = schema["$ref"].as_str()?;
        self.0.pointer(name.trim_start_matches('#'))
    }

    /// Asserts that an answer is one that the document tells of, and goes on.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_answer(&self, id: &str, answer: &Answer) {
        let faults = self.faults(id, answer);
        assert!(
            faults.is_empty(),
            "{id} answered {}: {faults:#?}\n{}",
            answer.status(),
            answer.text()
        );
    }

    /// What an answer has that the document does not tell of, and the other way round.
    pub fn faults(&self, id: &str, answer: &Answer) -> Vec<String> {
        let operation = self.operation(id);
        let response = &operation.value["responses"][answer.status().to_string()];
        if response.is_null() {
            return vec![format!("the status {} is not documented", answer.status())];
        }
        let mut faults = Vec::new();
        for (name, header) in entries(&response["headers"]) {
            if header["required"] == true && answer.header(name).is_none() {
                faults.push(format!("the header {name} is missing"));
            }
        }
        let media_type = answer.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let Some(content) = response["content"].as_object() else {
            if !answer.bytes().is_empty() {
                faults.push("there is a body and none is documented".to_owned());
            }
            return faults;
        };
        match content.get(media_type) {
            Some(body) if media_type.ends_with("json") => match serde_json::from_slice(answer.bytes()) {
                Ok(value) => self.check(&body["schema"], &value, "", &mut faults),
                Err(error) => faults.push(format!("the body is no JSON: {error}")),
            },
            Some(_) => {}
            None => faults.push(format!("the media type `{media_type}` is not documented")),
        }
        faults
    }

    /// Compares a value with a schema; `at` is its JSON pointer.
    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(schema) = schema.as_object() else { return };
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let name = text(rule);
                    match self.0.pointer(name.trim_start_matches('#')) {
                        Some(named) => self.check(named, value, at, faults),
                        None => faults.push(format!("{at}: {name} does not resolve")),
                    }
                }
                "type" if !has_type(rule, value) => faults.push(format!("{at}: is no {rule}")),
                "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                    faults.push(format!("{at}: is none of {rule}"));
                }
                "const" if rule != value => faults.push(format!("{at}: is not {rule}")),
                "items" => {
                    for (index, each) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, each, &format!("{at}/{index}"), faults);
                    }
                }
                "required" => missing(rule, value, at, faults),
                "properties" | "additionalProperties" | "type" | "enum" | "const" => {}
                "anyOf" | "oneOf" | "allOf" => self.combined(keyword, rule, value, at, faults),
                silent if SILENT.contains(&silent) => {}
                unknown => faults.push(format!("{at}: the harness does not know `{unknown}`")),
            }
        }
        self.members(schema, value, at, faults);
        checked_format(schema, value, at, faults);
    }

    fn combined(&self, keyword: &str, rule: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let fits = |each: &Value| {
            let mut found = Vec::new();
            self.check(each, value, at, &mut found);
            found.is_empty()
        };
        let all = rule.as_array().map(Vec::as_slice).unwrap_or_default();
        let fitting = all.iter().filter(|each| fits(each)).count();
        let holds = match keyword {
            "oneOf" => fitting == 1,
            "anyOf" => fitting > 0,
            _ => fitting == all.len(),
        };
        if !holds {
            faults.push(format!("{at}: fits {fitting} of {} in {keyword}", all.len()));
        }
    }

    /// Compares members. One that is not documented is a fault, unless the schema leaves members open.
    fn members(&self, schema: &Map<String, Value>, value: &Value, at: &str, faults: &mut Vec<String>) {
        let (Some(members), Some(rule)) = (value.as_object(), schema.get("type")) else {
            return;
        };
        if rule != "object" {
            return;
        }
        for (name, member) in members {
            let at = format!("{at}/{name}");
            let known = schema.get("properties").and_then(|properties| properties.get(name));
            match (known, schema.get("additionalProperties")) {
                (Some(known), _) => self.check(known, member, &at, faults),
                (None, Some(Value::Bool(false)) | None) => faults.push(format!("{at}: is not documented")),
                (None, Some(others)) => self.check(others, member, &at, faults),
            }
        }
    }
}

fn has_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    };
    match rule {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

fn missing(rule: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    for name in rule.as_array().into_iter().flatten().map(text) {
        if value.is_object() && value.get(&name).is_none() {
            faults.push(format!("{at}/{name}: is missing"));
        }
    }
}

/// The formats and bounds that answers use.
fn checked_format(schema: &Map<String, Value>, value: &Value, at: &str, faults: &mut Vec<String>) {
    if let (Some(bound), Some(number)) = (schema.get("minimum").and_then(Value::as_f64), value.as_f64())
        && number < bound
    {
        faults.push(format!("{at}: is below {bound}"));
    }
    let Some(value) = value.as_str() else { return };
    // RFC 3339, in UTC, with milliseconds: 2030-01-02T03:04:05.678Z.
    let is_instant = || {
        let shape: String = value
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        shape == "0000-00-00T00:00:00.000Z"
    };
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") if !is_instant() => faults.push(format!("{at}: `{value}` is no instant")),
        _ => {}
    }
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
