//! Schemas of the published document as they are needed to hold a value to them. Each is taken apart once, when the program
//! starts: to look a schema's words up anew for each of a thousand values takes longer than to store them.

use std::borrow::Cow;
use std::collections::HashMap;

use domain::kernel::Timestamp;
use serde_json::Value;

/// A schema, or which of the named ones it is.
pub(super) enum Schema {
    Inline(Box<Shape>),
    Named(usize),
}

/// What a schema says of a value.
#[derive(Default)]
pub(super) struct Shape {
    kind: Option<Kind>,
    /// What it must be one of.
    words: Option<Vec<Value>>,
    /// Of the entries of a list.
    pub(super) items: Option<Schema>,
    /// It is one of these.
    pub(super) choices: Vec<Schema>,
    /// Of the members that have no name here.
    pub(super) others: Option<Schema>,
    /// In the order in which they are documented.
    pub(super) properties: Vec<Property>,
}

/// A member of an object.
pub(super) struct Property {
    pub(super) name: String,
    pub(super) is_required: bool,
    pub(super) schema: Schema,
}

#[derive(Clone, Copy)]
enum Kind {
    Object,
    List,
    Text,
    Instant,
    Truth,
    Integer,
    Number,
}

impl Kind {
    /// Formats other than that of an instant are for the operation to check.
    fn of(schema: &Value) -> Option<Self> {
        match schema.get("type")?.as_str()? {
            "object" => Some(Self::Object),
            "array" => Some(Self::List),
            "string" if schema.get("format").and_then(Value::as_str) == Some("date-time") => Some(Self::Instant),
            "string" => Some(Self::Text),
            "boolean" => Some(Self::Truth),
            "integer" => Some(Self::Integer),
            "number" => Some(Self::Number),
            _ => None,
        }
    }

    /// What is wanted, when the value is not that.
    fn mismatch(self, value: &Value) -> Option<&'static str> {
        let (fits, wanted) = match self {
            Self::Object => (value.is_object(), "an object"),
            Self::List => (value.is_array(), "a list"),
            Self::Truth => (value.is_boolean(), "true or false"),
            Self::Integer => (value.is_i64(), "an integer"),
            Self::Number => (value.is_number(), "a number"),
            Self::Text => (value.is_string(), "a string"),
            Self::Instant => match value.as_str() {
                None => (false, "a string"),
                Some(text) => (
                    Timestamp::parse(text).is_ok(),
                    "an instant such as `2030-01-02T03:04:05Z`",
                ),
            },
        };
        (!fits).then_some(wanted)
    }
}

impl Shape {
    /// What is wanted of the value itself, when it is not that.
    pub(super) fn mismatch(&self, value: &Value) -> Option<Cow<'static, str>> {
        if let Some(wanted) = self.kind.and_then(|kind| kind.mismatch(value)) {
            return Some(wanted.into());
        }
        let words = self.words.as_ref().filter(|words| !words.contains(value))?;
        let words = words.iter().filter_map(Value::as_str);
        let listed: Vec<_> = words.map(|word| format!("`{word}`")).collect();
        Some(format!("one of {}", listed.join(", ")).into())
    }
}

/// The named schemas of a document, taken apart as far as they were asked for.
pub(super) struct Names<'a> {
    document: &'a Value,
    numbers: HashMap<&'a str, usize>,
    shapes: Vec<Shape>,
}

impl<'a> Names<'a> {
    pub(super) fn of(document: &'a Value) -> Self {
        Self {
            document,
            numbers: HashMap::new(),
            shapes: Vec::new(),
        }
    }

    /// All that were asked for, by their numbers.
    pub(super) fn shapes(self) -> Vec<Shape> {
        self.shapes
    }

    pub(super) fn schema(&mut self, schema: &'a Value) -> Schema {
        match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.named(reference),
            None => Schema::Inline(Box::new(self.shape(schema))),
        }
    }

    /// A schema that is not there wants nothing.
    fn named(&mut self, reference: &'a str) -> Schema {
        if let Some(number) = self.numbers.get(reference) {
            return Schema::Named(*number);
        }
        let number = self.shapes.len();
        self.numbers.insert(reference, number);
        // It may name itself: its place is taken before it is looked into.
        self.shapes.push(Shape::default());
        let pointer = reference.trim_start_matches('#');
        if let Some(schema) = self.document.pointer(pointer) {
            let shape = match self.schema(schema) {
                Schema::Inline(shape) => *shape,
                alias @ Schema::Named(_) => Shape {
                    choices: vec![alias],
                    ..Shape::default()
                },
            };
            if let Some(place) = self.shapes.get_mut(number) {
                *place = shape;
            }
        }
        Schema::Named(number)
    }

    fn shape(&mut self, schema: &'a Value) -> Shape {
        let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
        let properties = members(schema.get("properties")).map(|(name, property)| Property {
            name: name.clone(),
            is_required: required.contains(&name.as_str()),
            schema: self.schema(property),
        });
        let properties = properties.collect();
        let choices = if schema.get("oneOf").is_some() {
            "oneOf"
        } else {
            "anyOf"
        };
        Shape {
            kind: Kind::of(schema),
            words: schema.get("enum").and_then(Value::as_array).cloned(),
            items: schema.get("items").map(|items| self.schema(items)),
            choices: list(schema, choices).map(|choice| self.schema(choice)).collect(),
            others: schema
                .get("additionalProperties")
                .filter(|others| others.is_object())
                .map(|others| self.schema(others)),
            properties,
        }
    }
}

/// Those of an object; none of anything else.
pub(super) fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn list<'a>(schema: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_may_name_itself_and_another_and_one_that_is_not_there() {
        let tree = json!({ "type": "object", "properties": {
            "left": { "$ref": "#/components/schemas/Tree" }, "leaf": { "$ref": "#/components/schemas/Alias" },
            "gone": { "$ref": "#/components/schemas/Gone" },
        } });
        let leaf = json!({ "type": "string" });
        let alias = json!({ "$ref": "#/components/schemas/Leaf" });
        let document = json!({ "components": { "schemas": { "Tree": tree, "Leaf": leaf, "Alias": alias } } });
        let mut names = Names::of(&document);
        let root = json!({ "$ref": "#/components/schemas/Tree" });
        assert!(matches!(names.schema(&root), Schema::Named(0)));
        let shapes = names.shapes();
        assert_eq!(shapes.len(), 4);
        let numbers: Vec<_> = shapes[0].properties.iter().map(|property| &property.schema).collect();
        assert!(matches!(
            numbers[..],
            [Schema::Named(0), Schema::Named(1), Schema::Named(3)]
        ));
        assert!(matches!(shapes[1].choices[..], [Schema::Named(2)]));
        assert_eq!(shapes[2].mismatch(&json!(7)).as_deref(), Some("a string"));
        assert_eq!(shapes[3].mismatch(&json!(7)), None, "nothing is known of it");
    }
}
